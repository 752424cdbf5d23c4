"""The judges' watch: frozen outputs judged again in each window, and probes of what should not matter to a judge."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.evaluators import score_row
from sia_dagster.core.judge_watch.agreement import agreement
from sia_dagster.core.judge_watch.drift import AnchorDraws, drift_of, range_of
from sia_dagster.core.judge_watch.probes import position_probe, scored_outputs, twice_as_long, verbosity_probe
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.judge_report import Anchors, AnchorScore, JudgeWatch, Probe, WatchRecord
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value
from sia_dagster.core.replay import map_rows
from sia_dagster.core.statistics import MIN_CONVERSATIONS

NO_ANSWERS = "the window has no answers, so its judges were not asked"


NOTHING_FROZEN = "no anchors were frozen before this window's end: there is nothing to compare with"


NOT_ASKED = "judges are not watched: watch.anchors is 0"


class WatchRules(Value):
    """How judges are watched in one window."""

    window: str
    """The window's key: part of every draw, so that each window asks anew."""
    anchors: int
    probes: int
    tolerance: float
    max_unscored_share: float
    workers: int = 32

    @classmethod
    def of(cls, loop: LoopConfig, window: str, *, workers: int) -> "WatchRules":
        """The rules that the configuration names."""
        return cls(
            window=window, workers=workers, max_unscored_share=loop.validation.max_unscored_share, **dict(loop.watch)
        )


@dataclass(frozen=True)
class Memory:
    """What the gate's log knows of one judge."""

    anchors: Anchors | None = None
    """Those that the window may see, with scores; None where none were frozen before its end, or they were reset."""
    watched: tuple[WatchRecord, ...] = ()
    """What these anchors said in the windows before, oldest first."""
    wanted: bool = False
    """Whether nobody, whenever, has frozen anchors since the last reset: then this window's outputs become anchors."""


@dataclass(frozen=True)
class WatchedJudge:
    """A judge and what it is watched by."""

    judge: Evaluator
    turned: Evaluator
    """The same with its labels in reverse order."""
    memory: Memory = field(default_factory=Memory)


class ChangedAnchor(NamedTuple):
    """A frozen output that is judged otherwise now."""

    was: AnchorScore
    now: EvalMetrics


class Watched(NamedTuple):
    """What one window found out about a judge."""

    judge: JudgeWatch
    frozen: tuple[AnchorScore, ...]
    """This window's outputs to be kept as anchors; empty where there are anchors, or the outputs are too few."""
    changed: tuple[ChangedAnchor, ...] = ()
    """The anchors of which the judge now says neither of what it said first, in their order. For people: not stored."""


class _Ask(NamedTuple):
    evaluator: Evaluator
    sample: Sample
    draw: str


class _Plan(NamedTuple):
    """What is asked of one judge."""

    again: tuple[_Ask, ...]
    first: tuple[_Ask, ...]
    second: tuple[_Ask, ...]
    position: tuple[_Ask, ...]
    verbosity: tuple[_Ask, ...]


class _Said(NamedTuple):
    """What it answered, in the same order."""

    again: tuple[EvalMetrics, ...]
    first: tuple[EvalMetrics, ...]
    second: tuple[EvalMetrics, ...]
    position: tuple[EvalMetrics, ...]
    verbosity: tuple[EvalMetrics, ...]


async def watch_judges(
    judges: Sequence[WatchedJudge], samples: Sequence[Sample], *, rules: WatchRules, progress: Progress
) -> tuple[Watched, ...]:
    """Judge every judge's anchors again, probe it on this window's outputs, and freeze anchors where none are.

    `samples` are the window's, with what the judges said of them in `evals` and people in `annotations`. What is
    found of a judge depends on the anchors and the samples alone, never on whether anchors are frozen beside. A
    judgement that fails is left out and counted. Raises EndpointRefused and SpendCapReached.
    """
    plans = [_plan(judge, samples, rules) for judge in judges]
    asks = [ask for plan in plans for part in plan for ask in part]
    answers = iter(await _asked(asks, rules.workers, progress))
    found = []
    for judge, plan in zip(judges, plans, strict=True):
        said = _Said(*(tuple(islice(answers, len(part))) for part in plan))
        changed = tuple(_changed(judge.memory, said.again))
        found.append(Watched(_found(judge, plan, said, samples, rules), _frozen(plan, said, rules), changed))
    return tuple(found)


def could_be_watched(judge: JudgeWatch) -> bool:
    """Whether the anchors that were asked about say anything; True where there were none to ask about."""
    return not judge.anchors or judge.shift is not None


async def _asked(asks: Sequence[_Ask], workers: int, progress: Progress) -> list[EvalMetrics]:
    said: dict[int, EvalMetrics] = {}
    failed = 0

    async def work(ask: _Ask) -> EvalMetrics:
        return await score_row(ask.evaluator, ask.sample, ask.draw)

    async for index, metrics in map_rows(asks, work, workers=min(workers, len(asks))):
        said[index] = metrics
        failed += metrics.error is not None
        progress(Advance(done=len(said), of=len(asks), what="judgements of judges", failed=failed))
    return [said[index] for index in range(len(asks))]


def _plan(watched: WatchedJudge, samples: Sequence[Sample], rules: WatchRules) -> _Plan:
    judge, name, memory = watched.judge, watched.judge.constant.name, watched.memory
    # An output's evaluations and annotations are nobody's business but its window's.
    bare = [sample.model_copy(update={"annotations": ()}) for sample in samples]
    chosen = scored_outputs(bare, name, rules.anchors, "anchors") if memory.wanted else ()
    fresh = tuple(sample.model_copy(update={"evals": ()}) for sample in chosen if len(chosen) >= MIN_CONVERSATIONS)
    asked = memory.anchors if rules.anchors and samples else None
    again = tuple(score.sample for score in asked.scores) if asked else ()
    probed = scored_outputs(bare, name, rules.probes, "probes")
    longer = tuple(twice_as_long(sample) for sample in probed)
    return _Plan(
        again=_asks(judge, again, f"anchors/{rules.window}/again"),
        first=_asks(judge, fresh, f"anchors/{rules.window}/first"),
        second=_asks(judge, fresh, f"anchors/{rules.window}/second"),
        position=_asks(watched.turned, probed, f"probe/{rules.window}/position"),
        verbosity=_asks(judge, longer, f"probe/{rules.window}/verbosity"),
    )


def _asks(evaluator: Evaluator, samples: Iterable[Sample], draw: str) -> tuple[_Ask, ...]:
    """Two outputs never share a draw, even where one is the other word for word: each is a witness of its own."""
    return tuple(_Ask(evaluator, sample, f"{draw}/{sample.span_id}") for sample in samples)


def _found(watched: WatchedJudge, plan: _Plan, said: _Said, samples: Sequence[Sample], rules: WatchRules) -> JudgeWatch:
    constant = watched.judge.constant
    people = agreement(samples, [constant])
    bare = JudgeWatch(
        evaluator=constant.name,
        fingerprint=constant.fingerprint,
        kappa=people[0].kappa if people else None,
        probes=_probes(plan, said, constant, rules.tolerance),
        reason=NO_ANSWERS if not samples else NOTHING_FROZEN if rules.anchors else NOT_ASKED,
    )
    return _beside_anchors(bare, watched, said.again, rules) if said.again else bare


def _probes(plan: _Plan, said: _Said, constant: EvalConstant, tolerance: float) -> tuple[Probe, ...]:
    probed = [ask.sample for ask in plan.position]
    if not probed:
        return ()
    return (
        position_probe(probed, said.position, constant, tolerance),
        verbosity_probe(probed, said.verbosity, constant, tolerance),
    )


def _beside_anchors(
    judge: JudgeWatch, watched: WatchedJudge, again: Sequence[EvalMetrics], rules: WatchRules
) -> JudgeWatch:
    """The judge with what its anchors say. `again` has an answer for each anchor, in their order."""
    anchors = watched.memory.anchors
    words = list(_words(anchors.scores if anchors else (), again))
    asked = judge.model_copy(update={"anchors": len(again), "anchored_in": anchors.window.key if anchors else None})
    drift = drift_of(words, range_of(watched.judge.constant), rules.tolerance)
    if drift is None or len(again) - len(words) > rules.max_unscored_share * len(again):
        since = _since(watched.memory, rules, None)
        # Nothing says that a drift has ended.
        unseen = {"reason": _unseen(len(words), again, rules), "since": since, "drifted": bool(since)}
        return asked.model_copy(update=unseen)
    since = _since(watched.memory, rules, drift.drifted)
    reason = f"{judge.evaluator} {drift.told(since_window=asked.anchored_in or '')}"
    return asked.model_copy(update={**drift.numbers, "since": since, "reason": reason})


def _words(scores: Iterable[AnchorScore], again: Iterable[EvalMetrics]) -> Iterator[AnchorDraws]:
    """Of the anchors that have all three scores."""
    for was, now in zip(scores, again, strict=True):
        if was.first.score is not None and was.second.score is not None and now.score is not None:
            yield AnchorDraws(was.first.score, was.second.score, now.score)


def _changed(memory: Memory, again: Sequence[EvalMetrics]) -> Iterator[ChangedAnchor]:
    scores = memory.anchors.scores if memory.anchors and again else ()
    for was, now in zip(scores, again, strict=True):
        if now.score is not None and now.score not in (was.first.score, was.second.score):
            yield ChangedAnchor(was, now)


def _since(memory: Memory, rules: WatchRules, drifted: bool | None) -> tuple[str, ...]:
    """The windows since the judge was seen steady. One that says nothing (None) only goes on with what was before."""
    before = memory.watched[-1].judge.since if memory.watched else ()
    goes_on = drifted or (drifted is None and before)
    return (*before, rules.window) if goes_on else ()


def _unseen(scored: int, again: Sequence[EvalMetrics], rules: WatchRules) -> str:
    first = next((f". The first: {metrics.error}" for metrics in again if metrics.error), "")
    return (
        f"the judge could not be watched: {len(again) - scored} of {len(again)} anchors got no score (at most "
        f"{rules.max_unscored_share:.0%} may, and at least {MIN_CONVERSATIONS} have to){first}"
    )


def _frozen(plan: _Plan, said: _Said, rules: WatchRules) -> tuple[AnchorScore, ...]:
    """The outputs that were scored twice; none where that failed too often: what is frozen stays as few for good."""
    scores = tuple(
        AnchorScore(sample=ask.sample, first=first, second=second)
        for ask, first, second in zip(plan.first, said.first, said.second, strict=True)
        if first.score is not None and second.score is not None
    )
    enough = max(MIN_CONVERSATIONS, (1 - rules.max_unscored_share) * len(plan.first))
    return scores if len(scores) >= enough else ()
