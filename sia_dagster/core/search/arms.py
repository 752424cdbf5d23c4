"""Whole policies that compete: the better half goes on over more train samples (successive halving), then they race."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from sia_dagster.core.guard import prompt_tokens
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.search import Candidate, RaceResult
from sia_dagster.core.search.causes import Cause, shortfall
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.search.racing import FEWEST_TO_CHOOSE
from sia_dagster.core.text import count

ROWS: Final = 16
"""Answers, about, in each round of halving: shared out among the candidates that are left."""
FEWEST_ROWS: Final = 3
MOST_RACED: Final = 2
LENGTH_PENALTY: Final = 0.05
"""Of the score's range, for a prompt of `policy.max_prompt_tokens`: of two that score alike the shorter one goes on
(CAPO, arXiv 2504.16005)."""
_FAILING_TO_WELL: Final = 3
"""So many samples that lack some of the score are answered for one that does not."""


def standing(desk: Desk) -> dict[str, ArmOutcome]:
    """Answer and scores of each train sample that the primary evaluator scored, by span id.

    Under the policy that the desk starts from where that is known, else as they were logged.
    """
    primary, found = desk.constants[0].name, dict[str, ArmOutcome]()
    for sample in desk.train:
        logged = ArmOutcome(output=sample.output, evals=sample.evals)
        answers = (desk.known(desk.start, sample), logged)
        scored = (each for each in answers if each is not None and each.score(primary) is not None)
        if (answer := next(scored, None)) is not None:
            found[sample.span_id] = answer
    return found


def primary_metrics(desk: Desk, answers: Mapping[str, ArmOutcome]) -> dict[str, EvalMetrics]:
    """The primary evaluator's results of these answers."""
    name = desk.constants[0].name
    return {span: metric for span, answer in answers.items() for metric in answer.evals if metric.name == name}


def covering_order(
    causes: Sequence[Cause], metrics: Mapping[str, EvalMetrics], primary: EvalConstant, without: Collection[str] = ()
) -> tuple[str, ...]:
    """Span ids of scored samples, of which any beginning covers as much as it can.

    One of each cause in turn, the largest cause first, with one that went well after every few; of what is left those
    that lack most first.
    """
    lacking = {span: shortfall(metric, primary) or 0.0 for span, metric in sorted(metrics.items())}
    by_cause = (span for turn in zip_longest(*(cause.samples for cause in causes)) for span in turn if span)
    failing = dict.fromkeys([*by_cause, *sorted((s for s in lacking if lacking[s] > 0), key=lambda s: -lacking[s])])
    well = [span for span, lacks in lacking.items() if lacks <= 0 and span not in without]
    left = [span for span in failing if span not in without]
    return tuple(_mixed(left, well))


def _mixed(failing: Sequence[str], well: Sequence[str]) -> Iterator[str]:
    rest = iter(well)
    for place, span in enumerate(failing, start=1):
        yield span
        if place % _FAILING_TO_WELL == 0:
            yield from (each for each in [next(rest, None)] if each is not None)
    yield from rest


async def best_first(
    desk: Desk, candidates: Sequence[Candidate], probes: Sequence[str], prices: Mapping[str, float]
) -> list[Candidate]:
    """The candidates by their scores on the train samples `probes`, minus `prices` (by name); of equals as given.

    Successive halving (Jamieson and Talwalkar, Non-stochastic best arm identification, AISTATS 2016). As many answers
    of the cap are left as a race needs; where it allows no more, by price alone. Raises SearchCapReached.
    """
    left, dropped, asked = sorted(candidates, key=lambda each: prices[each.name]), list[Candidate](), probes[:0]
    while len(left) > 1 or not asked:
        affordable = (desk.calls_left // desk.calls_a_row - 2 * FEWEST_TO_CHOOSE) // len(left)
        asked = probes[: max(0, min(max(FEWEST_ROWS, ROWS // max(2, len(left))), affordable))]
        if not asked:
            break
        worth = {each.name: await score_of(desk, each.actions, asked) - prices[each.name] for each in left}
        left.sort(key=lambda each: -worth[each.name])
        half = (len(left) + 1) // 2
        left, dropped = left[:half], [*left[half:], *dropped]
    return [*left, *dropped]


async def score_of(desk: Desk, actions: Actions, span_ids: Sequence[str]) -> float:
    """The mean score of these answers as a share of the range; an answer without a score counts as the lowest."""
    primary = desk.constants[0]
    outcomes = await desk.probe(actions, span_ids)
    scores = [primary.low if (score := each.score(primary.name)) is None else score for each in outcomes.values()]
    return sum((score - primary.low) / primary.scale for score in scores) / max(1, len(span_ids))


def price_of(desk: Desk, actions: Actions) -> float:
    """What the policy is longer than the one that the desk starts from, as a share of the score's range."""
    longer = prompt_tokens(actions) - prompt_tokens(desk.start)
    return LENGTH_PENALTY * longer / desk.config.max_prompt_tokens


async def raced(
    desk: Desk, ranked: Sequence[Candidate], metrics: Mapping[str, EvalMetrics], causes: Sequence[Cause]
) -> list[Candidate]:
    """All of `ranked`, the first that is better than the policy the desk starts from in front; others with a reason.

    Two are compared at most, and only such as gain on the train samples that they were tried on, beside `metrics`.
    Raises SearchCapReached.
    """
    lost = list[Candidate]()
    for place, candidate in enumerate(ranked):
        if place >= MOST_RACED:
            lost.append(candidate.model_copy(update={"reasons": ("others score more on train samples",)}))
        elif (expected := gain_on_train(desk, candidate.actions, metrics)) is not None and expected <= 0:
            lost.append(candidate.model_copy(update={"reasons": ("it gains nothing on the train samples tried",)}))
        else:
            result = await desk.race(candidate.actions, causes=causes, expected=expected or 0.0)
            if result.decision in ("better", "too_small"):
                rest = (c.model_copy(update={"reasons": (f"{candidate.name} is better",)}) for c in ranked[place + 1 :])
                return [candidate.model_copy(update={"race": result}), *lost, *rest]
            lost.append(candidate.model_copy(update={"race": result, "reasons": (_lost(result),)}))
    return lost


def gain_on_train(desk: Desk, actions: Actions, metrics: Mapping[str, EvalMetrics]) -> float | None:
    """The mean gain over all scored train samples, as a share of the range; None where none was tried.

    Samples that lacked some of the score, of which more are tried, count by their share of all, and so do the others.
    """
    primary, gain, tried = desk.constants[0], 0.0, False
    train = {sample.span_id: sample for sample in desk.train}
    for failing in (True, False):
        spans = [span for span, metric in metrics.items() if bool(shortfall(metric, primary)) is failing]
        known = [(each, metrics[span]) for span in spans if (each := desk.known(actions, train[span])) is not None]
        if moves := [_moved(outcome, before, primary) for outcome, before in known]:
            gain, tried = gain + sum(moves) / len(moves) * len(spans) / len(metrics), True
    return gain if tried else None


def _moved(outcome: ArmOutcome, before: EvalMetrics, primary: EvalConstant) -> float:
    score = outcome.score(primary.name)
    was = primary.low if before.score is None else before.score
    return ((primary.low if score is None else score) - was) / primary.scale


def _lost(result: RaceResult) -> str:
    if result.objection:
        return result.objection
    found = "no gain is seen" if result.decision == "worse" else "the gain is too uncertain"
    return f"{found} on {count(result.groups, 'group')} of the selection split ({result.mean:+.3f} of the range)"
