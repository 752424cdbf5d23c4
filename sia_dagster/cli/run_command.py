"""`sia run`: one window of a loop, in this process."""

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from sia_dagster.core.errors import ConfigError, SiaError

if TYPE_CHECKING:
    from dagster import ExecuteInProcessResult

EXAMPLE = "Example: sia run --loop message_desk --window 2026-11-09"


@click.command(epilog=EXAMPLE)
@click.option("--loop", "loop_name", help="The loop; not needed where there is only one.")
@click.option("--window", required=True, help="The window's key: its start, as the UI shows partitions (2026-11-09).")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON instead of text.")
def command(loop_name: str | None, window: str, as_json: bool) -> None:
    """Run all stages of one window with the same assets as the UI.

    What a killed or stopped run paid for is kept: run it again to continue. Exit code 1 where a stage failed.
    """
    from sia_dagster.cli.project import open_project

    project = open_project(loop_name)
    keys = project.names.partitions.get_partition_keys()
    if window not in keys:
        near = ", ".join(keys[-3:]) or "none has closed yet"
        raise ConfigError(f"{window!r} is no closed window of {project.names.name}; the latest are: {near}")
    result = _run(project.job, window)
    if not result.success:
        raise SiaError(_failure(result))
    report = result.asset_value(project.names.asset("validation_results"))
    facts = {
        "loop": report.loop,
        "window": report.window.key,
        "verdict": report.verdict,
        "reasons": list(report.reasons),
        "samples_needed": report.samples_needed,
        "report": str(project.report_path(window)),
    }
    click.echo(json.dumps(facts, indent=2) if as_json else _text(facts))


def _run(job: Any, window: str) -> "ExecuteInProcessResult":
    from dagster import DagsterInstance
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from sia_dagster.adapters.environment import read
    from sia_dagster.defs.progress import listen

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ExitStack() as stack:
        instance = stack.enter_context(DagsterInstance.get() if read("DAGSTER_HOME") else DagsterInstance.ephemeral())
        bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        task = bar.add_task("traces", total=None)
        stack.enter_context(listen(lambda done, of, what: bar.update(task, description=what, completed=done, total=of)))
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        result: ExecuteInProcessResult = job.execute_in_process(
            partition_key=window, instance=instance, raise_on_error=False, run_config=quiet
        )
        return result


def _failure(result: "ExecuteInProcessResult") -> str:
    """Why the first failed stage failed: our own sentence where there is one."""
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            told = failure.description if failure else None
            error = event.step_failure_data.error
            return told or (error.message.strip() if error else event.message) or "a stage failed"
    return "the run failed"


def _text(facts: dict[str, Any]) -> str:
    lines = [f"{facts['loop']} {facts['window']}: {facts['verdict']}"]
    lines += [f"  {reason}" for reason in facts["reasons"]]
    if facts["samples_needed"]:
        lines.append(f"  held-out conversations it would take: {facts['samples_needed']}")
    return "\n".join([*lines, f"  report: {facts['report']}"])
