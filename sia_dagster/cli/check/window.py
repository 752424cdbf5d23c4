"""The checks of `sia check` in one window of a loop: its spans, samples, calls and cost."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from sia_dagster.adapters.engine.money.list_prices import prices_source
from sia_dagster.cli.check.calls import Calls, calls_finding, calls_in
from sia_dagster.cli.check.check_results import CheckResult, Result, finding
from sia_dagster.cli.check.funnel_findings import losses_findings, windows_with_calls
from sia_dagster.cli.open_project import CommandProject
from sia_dagster.core.cost import Estimate, estimate_sentence
from sia_dagster.core.errors import ConfigError, SiaError, TraceError
from sia_dagster.core.openinference import samples_from_rows
from sia_dagster.core.ports.trace_store import span_query
from sia_dagster.core.records.funnel import Funnel, FunnelCount
from sia_dagster.core.records.sample import Sample, TimeWindow
from sia_dagster.core.records.trace_notes import TraceNote
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import count
from sia_dagster.core.traffic import group_conversations, plausibility, with_samples
from sia_dagster.reports.funnel_table import worst
from sia_dagster.wiring.platforms import probe_store, trace_source
from sia_dagster.wiring.prices import estimate_window

ALLOWED_SKIPPED = 0.1
"""The share of unreadable spans from which the check warns, as the asset's own check does."""


class WindowSpans(Value):
    """The spans that a loop would read in a window."""

    loop: str
    window: TimeWindow
    calls: int = 0
    """The application's LLM calls in the window."""
    sampled: int = 0
    """The calls that would be evaluated and replayed."""
    samples: tuple[Sample, ...] = ()
    skipped: tuple[str, ...] = ()
    funnel: Funnel = Funnel()
    """What became of the records, from the trace store to the calls that can be replayed."""
    notes: tuple[TraceNote, ...] = ()
    """What is implausible in the samples."""
    mended: tuple[TraceNote, ...] = ()
    """What was mended in them."""
    counts: dict[tuple[str, str], int] = Field(default_factory=dict)
    """The calls by span name and model."""


class WindowCheck(Value):
    """The findings about one window of one loop."""

    findings: tuple[CheckResult, ...]
    spans: WindowSpans | None = None
    """None where they could not be read."""
    calls: Calls = Calls()
    """The window's calls and policies."""
    estimate: Estimate = Estimate()


def check_window(project: CommandProject, key: str | None) -> WindowCheck:
    """Read the window (by default the latest closed one) and estimate its cost; nothing is paid for."""
    name, step = project.loop.name, "spans"
    found: list[CheckResult] = []
    try:
        window = project.window(key)
        step = "trace store"
        if answer := probe_store(project.loop, window):
            found.append(CheckResult(check=f"{name}: {step}", result="pass", found=answer))
        step = "spans"
        spans = read_window(project, window)
    except SiaError as error:
        failed = CheckResult(check=f"{name}: {step}", result="fail", found=str(error))
        return WindowCheck(findings=(*found, failed))
    found.append(finding(f"{name}: spans", lambda: _spans(project, spans)))
    found += losses_findings(name, spans.funnel)
    if not spans.sampled:
        return WindowCheck(findings=tuple(found), spans=spans)
    found.append(finding(f"{name}: samples", lambda: _samples(spans)))
    # That none can be replayed is the finding before.
    found += [_note(name, note, "warn") for note in spans.notes if note.kind != "none_replayable"]
    found += [_note(name, note, "warn" if note.kind in _WARNED else "pass") for note in spans.mended]
    if not spans.funnel.replayable:
        return WindowCheck(findings=tuple(found), spans=spans)
    step, calls, expected = "calls", Calls(), Estimate()
    try:
        calls = find_calls(project, spans)
        found.append(finding(f"{name}: calls", lambda: calls_finding(calls)))
        found.append(finding(f"{name}: held out", lambda: _held_out(calls.samples)))
        step = "cost"
        expected = _estimated(project, spans, calls.samples)
        found.append(finding(f"{name}: cost", lambda: _cost(project, expected)))
    except SiaError as error:
        found.append(CheckResult(check=f"{name}: {step}", result="fail", found=str(error)))
    return WindowCheck(findings=tuple(found), spans=spans, calls=calls, estimate=expected)


def read_window(project: CommandProject, window: TimeWindow) -> WindowSpans:
    """The window's spans as the assets would read them. Raises TraceError."""
    loop = project.loop
    calls, rows, facts, funnel = 0, list[dict[str, Any]](), Counter[tuple[str, str]](), FunnelCount()
    for batch in trace_source(loop.traces, project.file.folder).spans(span_query(loop, window), funnel):
        calls += batch.num_rows
        rows += batch.filter(batch["sampled"]).to_pylist()
        facts.update((row["name"] or "", row["model"] or "") for row in batch.select(["name", "model"]).to_pylist())
    mapped = samples_from_rows(rows)
    return WindowSpans(
        loop=loop.name,
        window=window,
        calls=calls,
        sampled=len(rows),
        samples=mapped.samples,
        skipped=mapped.skipped,
        funnel=with_samples(funnel.result(), mapped),
        notes=plausibility(mapped.samples),
        mended=mapped.notes,
        counts=dict(sorted(facts.items())),
    )


def find_calls(project: CommandProject, spans: WindowSpans) -> Calls:
    """The window's calls and policies, by the registry at its end. Raises PolicyError."""
    registry = [version for version in project.policies.timeline() if version.at < spans.window.end]
    return calls_in(project.loop.traces, spans.samples, spans.counts, registry)


def _estimated(project: CommandProject, spans: WindowSpans, samples: Sequence[Sample]) -> Estimate:
    """The estimate under the policy that was in force at the window's end. Raises ConfigError, PolicyError."""
    in_force = project.policies.in_force(before=spans.window.end)
    policy = in_force.actions if in_force else None
    llm, folder = project.file.config.llm, project.file.folder
    return estimate_window(project.loop, samples, llm=llm, folder=folder, policy=policy)


def _spans(project: CommandProject, spans: WindowSpans) -> str:
    where = f"window {spans.window.key} of {spans.loop}"
    lost = f"; {worst(spans.funnel)}" if spans.funnel.losses else ""
    if not spans.calls:
        held = windows_with_calls(project)
        there = f"; windows that hold calls: {', '.join(held)}" if held else ""
        raise TraceError(
            f"{where} holds no call of the application{lost}{there}; was there traffic, do the files reach this far, "
            "and does `traces.where` fit it?"
        )
    if not spans.sampled:
        raise TraceError(f"{where} holds {spans.calls} calls, and none of them has an output without an error{lost}")
    return f"window {spans.window.key}: {spans.calls} calls, {spans.sampled} of them would be evaluated"


def _samples(spans: WindowSpans) -> str | tuple[Result, str]:
    skipped = (
        f"{len(spans.skipped)} of {spans.sampled} cannot be used; the first: {spans.skipped[0]}"
        if spans.skipped
        else ""
    )
    if not spans.samples:
        raise TraceError(skipped)
    if not spans.funnel.replayable:
        why = next(note.sentence for note in spans.notes if note.kind == "none_replayable")
        raise TraceError(f"{why}: judging them would be paid for nothing{f'; {skipped}' if skipped else ''}")
    replayable = f"{spans.funnel.replayable} of {len(spans.samples)} can be replayed"
    if not skipped:
        return f"all {spans.sampled} can be used; {replayable}"
    return "warn" if len(spans.skipped) > ALLOWED_SKIPPED * spans.sampled else "pass", f"{skipped}; {replayable}"


_WARNED = ("nobody", "parameters_unreadable", "variables_unreadable")
"""What was mended in a way that loses something."""


def _note(name: str, note: TraceNote, result: Result) -> CheckResult:
    return CheckResult(check=f"{name}: traces", result=result, found=f"{note.sentence} (such as span {note.span_id})")


def _held_out(samples: Sequence[Sample]) -> str | tuple[Result, str]:
    """Both counts: held-out conversations, and the groups of them that count."""
    own = [sample for sample in samples if sample.split == "holdout"]
    found = group_conversations(own).grouping
    groups = count(found.groups, "group")
    text = (
        f"{count(found.conversations, 'held-out conversation')} of {groups} (those of one user, or with the same "
        "request, count once)"
    )
    return ("warn", f"{text}; {found.note}") if found.note else text


def _cost(project: CommandProject, expected: Estimate) -> str | tuple[Result, str]:
    """Whether the window stays below its spend cap. Raises ConfigError where the cap could not be enforced."""
    llm, spend = project.file.config.llm, expected.total
    tokens = spend.prompt_tokens + spend.completion_tokens
    sentence = estimate_sentence(expected, llm, prices_source=prices_source())
    if spend.cost_usd is None:
        models = ", ".join(expected.unpriced)
        if llm.budget_usd is not None:
            advice = "add their prices (USD for a million tokens), or use llm.budget_tokens"
            raise ConfigError(f"llm.budget_usd cannot be enforced, since the price of {models} is unknown: {advice}")
        return "warn", f"{sentence}: add it to llm.prices"
    if llm.budget_usd is not None and spend.cost_usd > llm.budget_usd:
        return "warn", f"{sentence}: more than llm.budget_usd ({llm.budget_usd:g}), where the run would stop"
    if llm.budget_tokens is not None and tokens > llm.budget_tokens:
        return "warn", f"{sentence}: more than llm.budget_tokens ({llm.budget_tokens:,}), where the run would stop"
    return sentence
