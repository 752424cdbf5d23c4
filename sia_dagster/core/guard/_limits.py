"""The loop's bounds on a candidate."""

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.records.value import Value


class GuardLimits(Value):
    """A loop's bounds on a candidate, and the traffic and price by which a longer prompt is priced."""

    max_prompt_tokens: int = 1500
    """Of the system prompt and the examples together."""
    protected: tuple[str, ...] = ()
    """Passages of the system prompt that every candidate keeps, letter for letter and as often as before."""
    max_extra_usd_a_week: float | None = None
    """What a longer prompt may cost more in a week; None: any amount."""
    calls_a_week: float = 0.0
    usd_per_prompt_token: float | None = None
    """Of the model of the policy in force; None where its price is unknown."""

    @classmethod
    def of(
        cls, policy: PolicyConfig, *, calls_a_week: float = 0.0, usd_per_prompt_token: float | None = None
    ) -> "GuardLimits":
        """The bounds in a loop's configuration."""
        return cls(
            max_prompt_tokens=policy.max_prompt_tokens,
            protected=policy.protected,
            max_extra_usd_a_week=policy.max_extra_usd_a_week,
            calls_a_week=calls_a_week,
            usd_per_prompt_token=usd_per_prompt_token,
        )

    @property
    def without_cost(self) -> "GuardLimits":
        """The same for any cost."""
        return self.model_copy(update={"max_extra_usd_a_week": None})
