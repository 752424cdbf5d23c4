"""Edits tried together on a few train samples: whose cause goes away, and who does harm."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.search import Edit
from sia_dagster.core.search.causes import Cause, names, shortfall
from sia_dagster.core.search.desk import Desk

TARGETS: Final = 2
"""Samples of each edit's cause that are answered again."""
FEWEST_PROBED: Final = 6
WENT_WELL: Final = 2
"""Samples with the best score among them: what was right should stay so."""
MOST_TRACED: Final = 3
"""Harmed samples of which the culprit is looked for; each takes up to two answers for each halving of the edits."""


class ProposedEdit(NamedTuple):
    """An edit (of a rewritten prompt: several that go together), the cause it is for, and what a probe showed."""

    edits: tuple[Edit, ...]
    cause: Cause
    thoughts: str = ""
    probed: int = 0
    """Samples with the cause that were answered again."""
    mended: int = 0
    """Those of which the evaluator no longer names it."""
    targets: tuple[str, ...] = ()
    """The span ids of the probed ones."""

    @property
    def mended_share(self) -> float:
        """Of the probed ones; 0 without any."""
        return self.mended / self.probed if self.probed else 0.0

    @property
    def text(self) -> str:
        """All new text, which names the edit."""
        return "\n".join(edit.text for edit in self.edits)

    @property
    def marked(self) -> tuple[Edit, ...]:
        """The edits with their cause and what the probe showed."""
        found = {"cause": self.cause.text, "probed": self.probed, "mended": self.mended}
        return tuple(edit.model_copy(update=found) for edit in self.edits)

    def probed_on(self, outcomes: Mapping[str, ArmOutcome]) -> "ProposedEdit":
        """With the result on those samples of its cause that were answered."""
        targets = tuple(span for span in self.cause.samples if span in outcomes)
        mended = sum(not _still_named(outcomes[span], self.cause) for span in targets)
        return self._replace(probed=len(targets), mended=mended, targets=targets)


def covering_samples(
    proposed: Sequence[ProposedEdit], metrics: Mapping[str, EvalMetrics], primary: EvalConstant
) -> tuple[str, ...]:
    """Span ids: TARGETS of each edit's cause, at least FEWEST_PROBED in all, and some that went well."""
    chosen: dict[str, None] = {}
    for each in proposed:
        covered = sum(span in chosen for span in each.cause.samples)
        fresh = [span for span in each.cause.samples if span not in chosen]
        chosen |= dict.fromkeys(fresh[: max(0, TARGETS - covered)])
    others = (span for each in proposed for span in each.cause.samples if span not in chosen)
    chosen |= dict.fromkeys(list(dict.fromkeys(others))[: max(0, FEWEST_PROBED - len(chosen))])
    well = [span for span, metric in sorted(metrics.items()) if shortfall(metric, primary) == 0]
    return tuple(dict.fromkeys((*chosen, *well[:WENT_WELL])))


async def culprits(
    desk: Desk,
    proposed: Sequence[ProposedEdit],
    outcomes: Mapping[str, ArmOutcome],
    before: Mapping[str, EvalMetrics],
    assembled: Callable[[Sequence[ProposedEdit]], Actions | None],
) -> Collection[ProposedEdit]:
    """The edits that harm as many samples as they mend: those without which a harmed sample is as good as it was.

    A sample is harmed if its score falls, and falls again in a second answer: once may be chance. Edits for causes of
    its own are not suspected. Harm that no single edit explains is left, and so is an edit that mends more than it
    harms: the race weighs both, and the harm is a cause of the next round.
    """
    primary, policy = desk.constants[0].name, assembled(proposed)
    harmed = [span for span, outcome in outcomes.items() if _fell(outcome, before.get(span), primary)][:MOST_TRACED]
    if policy is None or not harmed:
        return ()
    again = await desk.probe(policy, harmed, repeat=1)
    found: Counter[str] = Counter()
    for span in harmed:
        if span not in again or not _fell(again[span], before[span], primary):
            continue
        suspects = [each for each in proposed if span not in each.cause.samples]
        culprit = await _culprit(desk, span, suspects, proposed, before[span], assembled)
        found += Counter([culprit.text] if culprit else [])
    return [each for each in proposed if found[each.text] >= max(1, each.mended)]


async def without_effect(
    desk: Desk, proposed: Sequence[ProposedEdit], assembled: Callable[[Sequence[ProposedEdit]], Actions | None]
) -> list[ProposedEdit]:
    """The doubtful edits whose causes go away by the others alone: they change nothing, or do harm that is not seen.

    An edit is doubtful if its cause stayed in one of its samples.
    """
    left = list(proposed)
    for each in [each for each in proposed if each.mended < each.probed]:
        rest = [other for other in left if other is not each]
        actions = assembled(rest)
        if actions is not None:
            again = each.probed_on(await desk.probe(actions, each.targets))
            left = rest if again.mended >= each.mended else left
    return [each for each in proposed if each not in left]


async def _culprit(
    desk: Desk,
    span: str,
    suspects: Sequence[ProposedEdit],
    proposed: Sequence[ProposedEdit],
    before: EvalMetrics,
    assembled: Callable[[Sequence[ProposedEdit]], Actions | None],
) -> ProposedEdit | None:
    """Halve the suspects until one is left, and check that the sample is as good as before without it."""
    while suspects:
        half = suspects[: max(1, len(suspects) // 2)]
        rest = [each for each in proposed if each not in half]
        actions = assembled(rest)
        if actions is None:
            return None
        outcome = (await desk.probe(actions, [span])).get(span)
        recovered = outcome is not None and not _fell(outcome, before, before.name)
        if len(half) == len(suspects) == 1:
            return half[0] if recovered else None
        suspects = half if recovered else suspects[len(half) :]
        if recovered and len(half) == 1:
            return half[0]
    return None


def _fell(outcome: ArmOutcome, before: EvalMetrics | None, evaluator: str) -> bool:
    if before is None or before.score is None:
        return False
    score = outcome.score(evaluator)
    return score is None or score < before.score


def _still_named(outcome: ArmOutcome, cause: Cause) -> bool:
    """Whether the cause persists; an answer without a score shows nothing mended."""
    metric = next((each for each in outcome.evals if each.name == cause.evaluator), None)
    return metric is None or metric.score is None or names(metric, cause)
