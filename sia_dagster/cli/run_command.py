"""`sia run`: one window of a loop, in this process."""

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from sia_dagster.adapters.files.storage import is_stored
from sia_dagster.cli.in_process import dagster_instance, failure_of
from sia_dagster.cli.open_project import CommandProject, open_project
from sia_dagster.cli.options import json_option, loop_option, window_option
from sia_dagster.core.errors import SiaError
from sia_dagster.core.progress import Advance, extras
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.reports.wording import visible

if TYPE_CHECKING:
    from dagster import AssetKey, ExecuteInProcessResult

EXAMPLE = "Example: sia run --loop message_desk --window 2026-11-09"


@click.command(epilog=EXAMPLE)
@loop_option
@window_option
@json_option
def command(loop_name: str | None, window: str, as_json: bool) -> None:
    """Run all stages of one window with the same assets as the UI.

    Where the next window ran before this one, its `next_window_results` are materialised too. Answers that a stopped
    run paid for are kept: run it again to continue. Exit code 1 where a stage failed.
    """
    project = open_project(loop_name)
    chosen = project.window(window)
    key = chosen.key
    result = _run(project.definitions.resolve_job_def(project.names.job), key)
    if not result.success:
        raise SiaError(failure_of(result))
    facts = _facts(project, result.asset_value(project.names.asset("validation_results")), _promotion(project, result))
    update: PolicyUpdate = result.asset_value(project.names.asset("updated_policy"))
    facts["search"] = update.reason
    facts["examined_in"] = following = _unchecked_window(project, chosen)
    check = _check_in(project, following) if following else None
    click.echo(json.dumps(facts, indent=2) if as_json else _text(facts))
    if check and not check.success:
        raise SiaError(
            f"this window has run, but next_window_results of the window after it failed: {failure_of(check)}"
        )


def _unchecked_window(project: CommandProject, window: TimeWindow) -> str | None:
    """The key of the window after `window`, if it ran before this window left it a candidate to check."""
    from sia_dagster.defs.assets.next_window_results import SPEC

    following = project.names.following_window(window)
    if following is None or is_stored(project.document_path(SPEC.stage, following.key)):
        return None
    there = all(is_stored(project.document_path(stage, following.key)) for stage in SPEC.upstream)
    return following.key if there else None


def _check_in(project: CommandProject, window: str) -> "ExecuteInProcessResult":
    job = project.definitions.resolve_implicit_global_asset_job_def()
    return _run(job, window, [project.names.asset("next_window_results")])


def _run(job: Any, window: str, chosen: "Sequence[AssetKey] | None" = None) -> "ExecuteInProcessResult":
    from rich import progress
    from rich.console import Console

    from sia_dagster.defs.batches import waiting
    from sia_dagster.defs.jobs import QUIET
    from sia_dagster.defs.progress_log import listen

    columns = (
        *(progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn()),
        *(progress.TextColumn("{task.fields[extras]}"), progress.TimeElapsedColumn()),
        *(progress.TextColumn("left"), progress.TimeRemainingColumn()),
    )
    with ExitStack() as stack:
        instance = stack.enter_context(dagster_instance())
        bar = stack.enter_context(progress.Progress(*columns, console=Console(stderr=True), transient=True))
        task = bar.add_task("traces", total=None, extras="")
        stack.enter_context(listen(lambda advance: bar.update(task, **_shown(advance))))
        stack.enter_context(waiting())
        # What an application's functions print must not end up between the lines, or in the JSON, of this command.
        stack.enter_context(redirect_stdout(sys.stderr))
        result: ExecuteInProcessResult = job.execute_in_process(
            partition_key=window, asset_selection=chosen, instance=instance, raise_on_error=False, run_config=QUIET
        )
        return result


def _shown(advance: Advance) -> dict[str, Any]:
    """The fields of the progress bar."""
    shown = {"description": advance.what, "completed": advance.done, "total": advance.of}
    return {**shown, "extras": ", ".join(extras(advance))}


def _promotion(project: CommandProject, result: "ExecuteInProcessResult") -> Promotion | None:
    """What became of the candidate; None where the job leaves that to a person."""
    if project.loop.promotion == "manual":
        return None
    found: Promotion = result.asset_value(project.names.asset("promoted_policy"))
    return found


def _facts(project: CommandProject, report: ValidationReport, promotion: Promotion | None) -> dict[str, Any]:
    waits = report.verdict == "accept" and not (promotion and promotion.promoted)
    approve = f"sia policy promote --loop {report.loop} --window {report.window.key}"
    return {
        "loop": report.loop,
        "window": report.window.key,
        "verdict": report.verdict,
        "reasons": list(report.reasons),
        "samples_needed": report.samples_needed,
        "report": str(project.report_path(report.window.key)),
        "not_promoted": promotion.reason if waits and promotion else None,
        "approve": approve if waits else None,
    }


def _text(facts: dict[str, Any]) -> str:
    lines = [f"{facts['loop']} {facts['window']}: {facts['verdict']}"]
    # They quote tags and models, which come from traces.
    lines += [f"  {visible(reason)}" for reason in facts["reasons"]]
    lines += [f"  search: {visible(facts['search'])}"] if facts["search"] else []
    if facts["samples_needed"]:
        lines.append(f"  held-out conversations needed: {facts['samples_needed']}")
    lines.append(f"  report: {facts['report']}")
    if facts["examined_in"]:
        lines.append(f"  candidate checked on the next window's traffic: {facts['examined_in']}")
    if facts["not_promoted"]:
        lines.append(f"  not promoted: {visible(facts['not_promoted'])}")
    if facts["approve"]:
        lines.append(f"  to approve it: {facts['approve']}")
    return "\n".join(lines)
