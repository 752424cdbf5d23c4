"""How the prompt has grown, version by version, and what its length costs in a week."""

from collections.abc import Callable, Iterator, Sequence

from sia_dagster.core.config.llm import Price
from sia_dagster.core.prompting import estimate_tokens
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import BEFORE_ANY_PROMOTION, PolicyVersion
from sia_dagster.core.records.value import Value


class PromptLength(Value):
    """The length of one version's system prompt."""

    version: int | None
    """None: the candidate; `BEFORE_ANY_PROMOTION`: as the traces showed it."""
    tokens: int
    """By estimate, of the template: without what its variables are filled with."""
    usd_a_week: float | None
    """Of these tokens alone; None where the model's price or the number of calls is unknown."""


def prompt_lengths(
    versions: Sequence[PolicyVersion],
    baseline: Actions | None,
    candidate: Actions | None,
    *,
    calls_a_week: float,
    price_of: Callable[[str], Price | None],
) -> tuple[PromptLength, ...]:
    """The policy before any promotion, every version, then the candidate if it is not `baseline`, the one in force.

    All at the same traffic, so that only the length differs. Discounts of batches and cached prompts do not count.
    """
    found = []
    for version, actions in _policies(versions, baseline, candidate):
        tokens, price = estimate_tokens(actions.system_prompt), price_of(actions.model) if calls_a_week else None
        usd = round(price.cost(tokens, 0) * calls_a_week, 6) if price else None
        found.append(PromptLength(version=version, tokens=tokens, usd_a_week=usd))
    return tuple(found)


def _policies(
    versions: Sequence[PolicyVersion], baseline: Actions | None, candidate: Actions | None
) -> Iterator[tuple[int | None, Actions]]:
    before = versions[0].replaced if versions else baseline
    if before is not None:
        yield BEFORE_ANY_PROMOTION, before
    yield from ((version.version, version.actions) for version in versions)
    if candidate is not None and candidate != baseline:
        yield None, candidate
