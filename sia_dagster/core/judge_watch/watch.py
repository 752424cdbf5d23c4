"""The judge watch: frozen outputs judged again in each window, and probes for position and verbosity bias."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.evaluators import score_row
from sia_dagster.core.judge_watch.agreement import agreement
from sia_dagster.core.judge_watch.drift import AnchorDraws, drift_of
from sia_dagster.core.judge_watch.probes import position_probe, scored_outputs, twice_as_long, verbosity_probe
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.judge_report import Anchors, AnchorScore, JudgeWatch, Probe, WatchRecord
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value
from sia_dagster.core.replay import map_rows
from sia_dagster.core.statistics import MIN_CONVERSATIONS

NO_ANSWERS = "the window has no answers, so its judges were not called"

NOTHING_FROZEN = "no anchors were frozen before this window's end: there is nothing to compare with"

NOT_ASKED = "judges are not watched: watch.anchors is 0"


class WatchRules(Value):
    """How judges are watched in one window."""

    window: str
    """The window's key: part of every draw, so that each window gets new judgements."""
    anchors: int
    probes: int
    tolerance: float
    max_unscored_share: float
    workers: int = 32

    @classmethod
    def of(cls, loop: LoopConfig, window: str, *, workers: int) -> "WatchRules":
        """The rules of a configured loop."""
        return cls(
            window=window, workers=workers, max_unscored_share=loop.validation.max_unscored_share, **dict(loop.watch)
        )


@dataclass(frozen=True)
class JudgeHistory:
    """The records of one judge in the gate's log."""

    anchors: Anchors | None = None
    """Those that the window may see, with scores; None where none were frozen before its end, or they were reset."""
    records: tuple[WatchRecord, ...] = ()
    """The results of these anchors in the windows before, oldest first."""
    needs_anchors: bool = False
    """Whether no window at all has frozen anchors since the last reset: this window's outputs then become anchors."""


@dataclass(frozen=True)
class WatchedJudge:
    """A judge with what its watch needs."""

    judge: Evaluator
    reordered: Evaluator
    """The same judge with its labels in reverse order."""
    history: JudgeHistory = field(default_factory=JudgeHistory)


class ChangedAnchor(NamedTuple):
    """A frozen output that the judge scores differently now."""

    was: AnchorScore
    now: EvalMetrics


class WatchResult(NamedTuple):
    """The result of one judge in one window."""

    judge: JudgeWatch
    frozen: tuple[AnchorScore, ...]
    """This window's outputs to be kept as anchors; empty where there are anchors, or the outputs are too few."""
    changed: tuple[ChangedAnchor, ...] = ()
    """The anchors whose score now equals neither of the first two, in their order. For people: not stored."""


class _Request(NamedTuple):
    evaluator: Evaluator
    sample: Sample
    draw: str


class _Plan(NamedTuple):
    """The requests to one judge."""

    again: tuple[_Request, ...]
    first: tuple[_Request, ...]
    second: tuple[_Request, ...]
    position: tuple[_Request, ...]
    verbosity: tuple[_Request, ...]


class _Results(NamedTuple):
    """The results of a plan's requests, in the same order."""

    again: tuple[EvalMetrics, ...]
    first: tuple[EvalMetrics, ...]
    second: tuple[EvalMetrics, ...]
    position: tuple[EvalMetrics, ...]
    verbosity: tuple[EvalMetrics, ...]


async def watch_judges(
    judges: Sequence[WatchedJudge], samples: Sequence[Sample], *, rules: WatchRules, progress: Progress
) -> tuple[WatchResult, ...]:
    """Judge every judge's anchors again, probe it on this window's outputs, and freeze anchors where none are.

    `samples` are the window's, with the judges' results in `evals` and people's in `annotations`. A judge's result
    depends on the anchors and the samples alone, not on whether new anchors are frozen. A judgement that fails is left
    out and counted. Raises EndpointRefused and SpendCapReached.
    """
    plans = [_plan(judge, samples, rules) for judge in judges]
    requests = [request for plan in plans for part in plan for request in part]
    scored = iter(await _score_all(requests, rules.workers, progress))
    found = []
    for judge, plan in zip(judges, plans, strict=True):
        results = _Results(*(tuple(islice(scored, len(part))) for part in plan))
        changed = tuple(_changed(judge.history, results.again))
        watch = _judge_watch(judge, plan, results, samples, rules)
        found.append(WatchResult(watch, _frozen(plan, results, rules), changed))
    return tuple(found)


async def _score_all(requests: Sequence[_Request], workers: int, progress: Progress) -> list[EvalMetrics]:
    scored: dict[int, EvalMetrics] = {}
    failed = 0

    async def work(request: _Request) -> EvalMetrics:
        return await score_row(request.evaluator, request.sample, request.draw)

    async for index, metrics in map_rows(requests, work, workers=min(workers, len(requests))):
        scored[index] = metrics
        failed += metrics.error is not None
        progress(Advance(done=len(scored), of=len(requests), what="judgements of judges", failed=failed))
    return [scored[index] for index in range(len(requests))]


def _plan(watched: WatchedJudge, samples: Sequence[Sample], rules: WatchRules) -> _Plan:
    judge, name, history = watched.judge, watched.judge.constant.name, watched.history
    # Evaluations and annotations of an output are used in its own window only.
    bare = [sample.model_copy(update={"annotations": ()}) for sample in samples]
    chosen = scored_outputs(bare, name, rules.anchors, "anchors") if history.needs_anchors else ()
    fresh = tuple(sample.model_copy(update={"evals": ()}) for sample in chosen if len(chosen) >= MIN_CONVERSATIONS)
    anchors = history.anchors if rules.anchors and samples else None
    again = tuple(score.sample for score in anchors.scores) if anchors else ()
    probed = scored_outputs(bare, name, rules.probes, "probes")
    longer = tuple(twice_as_long(sample) for sample in probed)
    return _Plan(
        again=_requests(judge, again, f"anchors/{rules.window}/again"),
        first=_requests(judge, fresh, f"anchors/{rules.window}/first"),
        second=_requests(judge, fresh, f"anchors/{rules.window}/second"),
        position=_requests(watched.reordered, probed, f"probe/{rules.window}/position"),
        verbosity=_requests(judge, longer, f"probe/{rules.window}/verbosity"),
    )


def _requests(evaluator: Evaluator, samples: Iterable[Sample], draw: str) -> tuple[_Request, ...]:
    """A draw for each output, so that equal outputs are judged independently."""
    return tuple(_Request(evaluator, sample, f"{draw}/{sample.span_id}") for sample in samples)


def _judge_watch(
    watched: WatchedJudge, plan: _Plan, results: _Results, samples: Sequence[Sample], rules: WatchRules
) -> JudgeWatch:
    constant = watched.judge.constant
    people = agreement(samples, [constant])
    bare = JudgeWatch(
        evaluator=constant.name,
        fingerprint=constant.fingerprint,
        kappa=people[0].kappa if people else None,
        probes=_probes(plan, results, constant, rules.tolerance),
        reason=NO_ANSWERS if not samples else NOTHING_FROZEN if rules.anchors else NOT_ASKED,
    )
    return _with_anchors(bare, watched, results.again, rules) if results.again else bare


def _probes(plan: _Plan, results: _Results, constant: EvalConstant, tolerance: float) -> tuple[Probe, ...]:
    probed = [request.sample for request in plan.position]
    if not probed:
        return ()
    return (
        position_probe(probed, results.position, constant, tolerance),
        verbosity_probe(probed, results.verbosity, constant, tolerance),
    )


def _with_anchors(
    judge: JudgeWatch, watched: WatchedJudge, again: Sequence[EvalMetrics], rules: WatchRules
) -> JudgeWatch:
    """The judge with the result of its anchors. `again` has a result for each anchor, in their order."""
    anchors = watched.history.anchors
    draws = list(_draws(anchors.scores if anchors else (), again))
    known = judge.model_copy(update={"anchors": len(again), "anchored_in": anchors.window.key if anchors else None})
    drift = drift_of(draws, watched.judge.constant.scale, rules.tolerance)
    if drift is None or len(again) - len(draws) > rules.max_unscored_share * len(again):
        since = _since(watched.history, rules, None)
        # An earlier drift counts as unresolved until the judge is seen steady.
        unknown = {"reason": _unwatched_reason(len(draws), again, rules), "since": since, "drifted": bool(since)}
        return known.model_copy(update=unknown)
    since = _since(watched.history, rules, drift.drifted)
    reason = f"{judge.evaluator} {drift.sentence(since_window=known.anchored_in or '')}"
    return known.model_copy(update={**drift.numbers, "since": since, "reason": reason})


def _draws(scores: Iterable[AnchorScore], again: Iterable[EvalMetrics]) -> Iterator[AnchorDraws]:
    """The draws of the anchors that have all three scores."""
    for was, now in zip(scores, again, strict=True):
        if was.first.score is not None and was.second.score is not None and now.score is not None:
            yield AnchorDraws(was.first.score, was.second.score, now.score)


def _changed(history: JudgeHistory, again: Sequence[EvalMetrics]) -> Iterator[ChangedAnchor]:
    scores = history.anchors.scores if history.anchors and again else ()
    for was, now in zip(scores, again, strict=True):
        if now.score is not None and now.score not in (was.first.score, was.second.score):
            yield ChangedAnchor(was, now)


def _since(history: JudgeHistory, rules: WatchRules, drifted: bool | None) -> tuple[str, ...]:
    """The windows since the judge was last seen steady; an inconclusive one (None) continues an earlier drift."""
    before = history.records[-1].judge.since if history.records else ()
    continues = drifted or (drifted is None and before)
    return (*before, rules.window) if continues else ()


def _unwatched_reason(scored: int, again: Sequence[EvalMetrics], rules: WatchRules) -> str:
    first = next((f". The first: {metrics.error}" for metrics in again if metrics.error), "")
    return (
        f"the judge could not be watched: {len(again) - scored} of {len(again)} anchors got no score (at most "
        f"{rules.max_unscored_share:.0%} may, and at least {MIN_CONVERSATIONS} have to){first}"
    )


def _frozen(plan: _Plan, results: _Results, rules: WatchRules) -> tuple[AnchorScore, ...]:
    """The outputs that were scored twice; none where too many failed, since anchors are frozen once."""
    scores = tuple(
        AnchorScore(sample=request.sample, first=first, second=second)
        for request, first, second in zip(plan.first, results.first, results.second, strict=True)
        if first.score is not None and second.score is not None
    )
    enough = max(MIN_CONVERSATIONS, (1 - rules.max_unscored_share) * len(plan.first))
    return scores if len(scores) >= enough else ()
