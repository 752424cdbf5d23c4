"""The rules of a search: the limits of a candidate, and how candidates are compared."""

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.guard import GuardLimits
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics import ComparisonRule


class SearchRules(Value):
    """The limits of a candidate, and how candidates are compared."""

    limits: GuardLimits = GuardLimits()
    rule: ComparisonRule = ComparisonRule()
    workers: int = 32
    in_batches: bool = False
    """Whether answers come in batches, which take hours: then a race asks for all of its answers at once."""

    @classmethod
    def of(
        cls, loop: LoopConfig, *, workers: int, limits: GuardLimits | None = None, in_batches: bool = False
    ) -> "SearchRules":
        """The rules of a configured loop; without `limits` a longer prompt is not priced."""
        unpriced = GuardLimits(max_prompt_tokens=loop.policy.max_prompt_tokens, protected=loop.policy.protected)
        return cls(limits=limits or unpriced, rule=ComparisonRule.of(loop), workers=workers, in_batches=in_batches)
