"""`make demo`: eight simulated weeks through the real job, each under the policy that the week before put in force."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.adapters.files.storage import StoragePath, storage_root
from sia_dagster.core.config.trace_source import LocalTracesConfig
from sia_dagster.core.records.gate import Grouping
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.value import Value
from sia_dagster.defs.jobs import QUIET
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.run_failures import failure_reasons
from sia_dagster.demo.demo_definitions import demo_config, demo_definitions
from sia_dagster.demo.traffic import WEEKS, week_windows, write_traffic
from sia_dagster.wiring.endpoint import window_spend
from sia_dagster.wiring.loop_session import ChatSettings, completions_file


class WeekOutcome(Value):
    """The outcome of one window, as a row of the demo's table."""

    window: str
    calls: int = 0
    production_score: float | None = None
    """Mean `correctness` of the week's own traffic."""
    verdict: str = ""
    decided: str = ""
    """The outcome in a few words."""
    baseline_mean: float | None = None
    candidate_mean: float | None = None
    p_value: float | None = None
    conversations: int = 0
    """Held-out conversations; with a candidate those replayed under both policies: all, or those of a first look."""
    groups: int = 0
    """Of these conversations: each counts once."""
    version: int | None = None
    """The registry's version that this window put in force."""
    cost_usd: float = 0.0
    report: str = ""


class DemoError(Exception):
    """A window of the demo failed; the message holds Dagster's own."""


def run_demo(
    folder: Path, instance: dg.DagsterInstance, *, started: Callable[[str], None] | None = None
) -> Iterator[WeekOutcome]:
    """Run the weeks in order with storage under `folder`, and yield each as its run ends.

    A second run decides the same and pays for nothing: answers, traffic and registry are kept.
    Raises DemoError with the failed step.
    """
    config = demo_config()
    names = LoopNames(config.loops[0])
    root = storage_root(config.storage, folder)
    job = demo_definitions(folder).resolve_job_def(names.job)
    store = PolicyFiles(root, names.name)
    traces = LocalTracesConfig.model_validate(names.loop.traces.model_dump())
    for window, plan in zip(week_windows(), WEEKS, strict=True):
        if started:
            started(f"{window.key}: {plan.what}")
        in_force = store.in_force(before=window.end)
        write_traffic(folder / traces.path, window, in_force.actions if in_force else None, plan)
        result = job.execute_in_process(
            partition_key=window.key, instance=instance, raise_on_error=False, run_config=QUIET
        )
        if not result.success:
            raise DemoError(f"window {window.key} failed: {' '.join(failure_reasons(result.all_events))}")
        yield _outcome(names, window, result, root)


def _outcome(names: LoopNames, window: TimeWindow, result: dg.ExecuteInProcessResult, root: StoragePath) -> WeekOutcome:
    update: PolicyUpdate = _value(names, result, "updated_policy")
    report: ValidationReport = _value(names, result, "validation_results")
    promotion: Promotion = _value(names, result, "promoted_policy")
    evaluated = _metadata(names, result, "eval_results")
    chat = ChatSettings(llm=demo_config().llm, completions=completions_file(root, Path()))
    paid = window_spend(chat, names.name, window)
    primary, grouping = report.primary, report.grouping or Grouping()
    counted = primary.counted if primary else (report.conversations, grouping.groups)
    return WeekOutcome(
        window=window.key,
        calls=_metadata(names, result, "traces")["calls"],
        production_score=evaluated.get("score/correctness"),
        verdict=report.verdict,
        decided=_decided(update, report, promotion),
        conversations=counted[0],
        groups=counted[1],
        baseline_mean=primary.baseline_mean if primary else None,
        candidate_mean=primary.candidate_mean if primary else None,
        p_value=primary.p_value if primary else None,
        version=promotion.promoted.version if promotion.promoted else None,
        cost_usd=round(sum(spend.cost_usd or 0.0 for spend in paid.values()), 6),
        report=str(root / "reports" / names.name / f"{window.key}.html"),
    )


def _value(names: LoopNames, result: dg.ExecuteInProcessResult, stage: str) -> Any:
    return result.asset_value(names.asset(stage))


def _metadata(names: LoopNames, result: dg.ExecuteInProcessResult, stage: str) -> dict[str, Any]:
    events = result.asset_materializations_for_node("__".join(names.asset(stage).path))
    return {name: value.value for name, value in events[-1].metadata.items()}


def _decided(update: PolicyUpdate, report: ValidationReport, promotion: Promotion) -> str:
    """The outcome in a few words; the report has the reasons."""
    stopped = sum(candidate.status == "stopped_by_guard" for candidate in update.candidates)
    if promotion.promoted:
        return f"promoted as v{promotion.promoted.version}"
    if report.verdict == "accept" and report.concerns:
        return "a person must look"
    if update.changed:
        return "open: tried again" if report.carries_on else "not shown better"
    if stopped:
        return f"guard stopped {stopped} of {len(update.candidates)}"
    return "no candidate helps" if update.candidates else "nothing to learn from"
