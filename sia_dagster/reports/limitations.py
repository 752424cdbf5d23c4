"""What a verdict could not show, in sentences: the risks of an approval."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from sia_dagster.core.records.comparison import SliceComparison
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.text import conversations_in_groups, count
from sia_dagster.reports.wording import share, signed, trimmed

SURE: Final = 0.05
"""The probability that a harm of the named share is in none of the conversations."""
NAMED: Final = 6
"""How many parts of the traffic, or models, are named; the others are counted."""
MODEL: Final = 80
"""Characters of a model's name."""


def limitations(state: StateActions, report: ValidationReport) -> tuple[str, ...]:
    """One sentence for each thing that this window could not show; empty where nothing was compared."""
    if report.primary is None:
        return ()
    return (
        *_groups(report),
        *_parts(report),
        *_models(state, report),
        *_guardrails(report),
        *_rare(report),
        *_noise(report),
        *_judges(state, report),
        *_pool(report),
    )


def _groups(report: ValidationReport) -> Iterator[str]:
    if report.grouping is None or not report.grouping.note:
        return
    effect = report.design_effect
    told = "" if effect is None else f" (design effect {effect:.1f}: so many times the variance, if they resembled)"
    yield f"Whether its conversations are independent of each other: {report.grouping.note}{told}."


def part_name(part: SliceComparison) -> str:
    """`tag vip`; for a model `requests to NAME`, since replays send them to the policy's own model."""
    return f"{'requests to' if part.dimension == 'model' else part.dimension} {part.value}"


def _parts(report: ValidationReport) -> Iterator[str]:
    found = {kind: [part for part in report.slices if part.finding == kind] for kind in ("not_shown", "too_few")}
    if found["not_shown"]:
        yield f"That these parts of the traffic do not lose: {_named(found['not_shown'])}."
    if found["too_few"]:
        yield f"Anything about these parts, which have too few conversations: {_named(found['too_few'])}."
    if not report.slices:
        yield "Whether a part of the traffic loses: no part was compared by itself."


def _named(parts: list[SliceComparison]) -> str:
    names = [f"{part_name(part)} ({conversations_in_groups(*part.comparison.counted)})" for part in parts[:NAMED]]
    more = [f"{len(parts) - NAMED:,} more"] if len(parts) > NAMED else []
    return ", ".join(names + more)


def _models(state: StateActions, report: ValidationReport) -> Iterator[str]:
    """A policy has one model: replays send it the requests that other models answered in production."""
    asked = tuple(dict.fromkeys(policy.model for policy in (report.baseline, report.candidate) if policy))
    others = Counter(s.model for s in state.samples if s.model and not {s.model, s.answered_by} & set(asked))
    if others:
        part = share(others.total() / len(state.samples))
        more = [count(len(others) - NAMED, "more model")] if len(others) > NAMED else []
        names = _and([*(trimmed(name, MODEL) for name, _ in others.most_common(NAMED)), *more])
        alone = f"both policies were replayed with {_and([trimmed(name, MODEL) for name in asked])} only"
        yield f"How it performs with {names}, which produced {part} of the window's samples: {alone}."


def _guardrails(report: ValidationReport) -> Iterator[str]:
    for c in report.comparisons:
        margin = c.margin if c.margin is not None else report.guardrail_margin
        must_keep = c.role == "guardrail" or (c.role == "primary" and c.margin is not None)
        if not must_keep or margin is None:
            continue
        if c.ci_low is None:
            counted = conversations_in_groups(*c.counted)
            yield f"That {c.evaluator} keeps its level: only {counted} scored."
        elif c.ci_low <= -margin * c.scale:
            yield f"That {c.evaluator} keeps its level: it may have fallen by {signed(c.ci_low, c.scale)}."


def _rare(report: ValidationReport) -> Iterator[str]:
    """The exact rule of three: a harm of this share is in none of n conversations with probability `SURE`."""
    primary = report.primary
    if primary and primary.n:
        unseen = 1 - SURE ** (1 / primary.n)
        counted = conversations_in_groups(*primary.counted)
        yield (
            f"A rare harm: one that occurs in fewer than {share(unseen)} of conversations may not have occurred in any "
            f"of these {counted}."
        )


def _noise(report: ValidationReport) -> Iterator[str]:
    if not report.noise:
        yield "How much scores vary without a change: no answer was generated or judged a second time."
    for estimate in report.noise:
        if estimate.ci_low is None or estimate.ci_high is None or estimate.ci_low <= 0 <= estimate.ci_high:
            continue
        generated = estimate.kind == "generation"
        what = "one policy answered the same requests" if generated else "the same answers were judged"
        yield f"Why {estimate.evaluator} changed by {signed(estimate.mean_difference)} when {what} a second time."


def _judges(state: StateActions, report: ValidationReport) -> Iterator[str]:
    judges = [constant.name for constant in state.eval_constants if constant.kind == "llm_classify"]
    asked = {watch.evaluator: watch.shift is not None for watch in report.watch if watch.anchors}
    yield from _as_before([name for name in judges if name not in asked], "no frozen anchors were judged again")
    yield from _as_before([name for name in judges if asked.get(name) is False], "too many anchors got no score")
    for watch in report.watch:
        biased = [probe.kind for probe in watch.probes if probe.biased]
        if biased:
            what = {"position": "the order of its labels", "verbosity": "an answer's length"}
            yield f"That {watch.evaluator} is fair: its scores depend on {_and([what[kind] for kind in biased])}."
    known = {watch.evaluator for watch in report.watch if watch.kappa is not None}
    alone = [name for name in judges if name not in known]
    if alone:
        yield f"That people agree with {_and(alone)}: too few answers of this window were annotated by people."


def _as_before(judges: list[str], why: str) -> Iterator[str]:
    if judges:
        verb = "judges" if len(judges) == 1 else "judge"
        yield f"That {_and(judges)} {verb} as before: {why} in this window."


def _pool(report: ValidationReport) -> Iterator[str]:
    left_out = [window for window in report.pooled if not window.used and window.reason]
    if left_out:
        names = "; ".join(f"{window.window} ({window.reason})" for window in left_out)
        yield f"Whether it holds in earlier windows that were left out: {names}."


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
