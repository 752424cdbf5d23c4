"""The outputs that a judge is watched on, and changes of them that should change no score."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import chain, islice, zip_longest
from typing import Literal

from sia_dagster.core.judge_watch.drift import Shift, mean_shift
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.judge_report import Probe
from sia_dagster.core.records.sample import Sample

PROBE_ALPHA = 0.025
"""One-sided level of each end of a probe's interval, which covers 95 %: a probe warns and blocks nothing."""

Purpose = Literal["anchors", "probes"]


def scored_outputs(samples: Iterable[Sample], evaluator: str, most: int, purpose: Purpose) -> tuple[Sample, ...]:
    """At most `most` of the samples that the evaluator scored, in the order of a hash of the span's id.

    Each purpose has its own order. Anchors take the scores in turn, lowest first, as long as there are any, so that a
    judge that passes nearly everything is also watched on what fails. Probes follow the traffic's own distribution.
    """
    scored = [(score, sample) for sample in samples if (score := sample.score(evaluator)) is not None]
    ordered = sorted(scored, key=lambda pair: _place(purpose, evaluator, pair[1].span_id))
    return tuple(islice(_in_turn(ordered) if purpose == "anchors" else (sample for _, sample in ordered), most))


def twice_as_long(sample: Sample) -> Sample:
    """The output repeated: longer, and no better."""
    return sample.model_copy(update={"output": f"{sample.output}\n\n{sample.output}"})


def position_probe(
    samples: Sequence[Sample], results: Sequence[EvalMetrics], constant: EvalConstant, tolerance: float
) -> Probe:
    """The shift of the scores of `samples` with the labels in reverse order; `results` are in their order.

    Biased where the mean moved in either direction by more than `tolerance` (a share of the range) and the interval
    excludes 0. Answers without a score are left out; below MIN_CONVERSATIONS of them there is no shift.
    """
    n, shift = _shift(samples, results, constant)
    moves = shift is not None and shift.beyond(tolerance * constant.scale)
    return _probe("position", n, shift, biased=moves)


def verbosity_probe(
    samples: Sequence[Sample], results: Sequence[EvalMetrics], constant: EvalConstant, tolerance: float
) -> Probe:
    """The same for the repeated output. Only a rise is a bias: a judge may well score repetition lower."""
    n, shift = _shift(samples, results, constant)
    rises = shift is not None and shift.mean > 0 and shift.beyond(tolerance * constant.scale)
    return _probe("verbosity", n, shift, biased=rises)


def _place(purpose: Purpose, evaluator: str, span_id: str) -> str:
    return hashlib.sha256(f"{purpose}/{evaluator}/{span_id}".encode("utf-8", "surrogatepass")).hexdigest()


def _in_turn(scored: Sequence[tuple[float, Sample]]) -> Iterable[Sample]:
    """One of each score, then another of each, the lowest score first."""
    by_score: dict[float, list[Sample]] = {}
    for score, sample in scored:
        by_score.setdefault(score, []).append(sample)
    rounds = zip_longest(*(by_score[score] for score in sorted(by_score)))
    return (sample for sample in chain.from_iterable(rounds) if sample is not None)


def _shift(
    samples: Sequence[Sample], results: Sequence[EvalMetrics], constant: EvalConstant
) -> tuple[int, Shift | None]:
    pairs = [(sample.score(constant.name), metrics.score) for sample, metrics in zip(samples, results, strict=True)]
    changes = [after - before for before, after in pairs if before is not None and after is not None]
    return len(changes), mean_shift(changes, constant.scale, PROBE_ALPHA)


def _probe(kind: Literal["position", "verbosity"], n: int, shift: Shift | None, *, biased: bool) -> Probe:
    if shift is None:
        return Probe(kind=kind, n=n)
    return Probe(kind=kind, n=n, shift=shift.mean, ci_low=shift.low, ci_high=shift.high, biased=biased)
