"""`sia demo`: the loop over simulated weeks."""

import json
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sia_dagster.cli.in_process import dagster_instance
from sia_dagster.core.progress import progress_line

if TYPE_CHECKING:
    from rich.table import Table

    from sia_dagster.demo.run import WeekOutcome

EXAMPLE = "Example: sia demo --folder /tmp/demo   (the same windows in the UI: make dev)"


@click.command(epilog=EXAMPLE)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder for storage and traces; by default the working folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.option("--serve", is_flag=True, help="Only serve the simulated OpenAI-compatible endpoint, until interrupted.")
@click.option("--port", default=8765, show_default=True, help="Port of --serve, on 127.0.0.1.")
@click.option("--model", "models", multiple=True, help="With --serve: a further model name to serve; repeatable.")
def command(folder: Path, as_json: bool, serve: bool, port: int, models: tuple[str, ...]) -> None:
    """Run the whole loop over eight weeks of a SIMULATED application: no account, no key.

    A local server simulates model, judge and optimizer by documented rules; everything else is real: the traces' files,
    the Dagster job, the statistics, the registry, the report.
    """
    if serve:
        _serve(port, models)
        return
    began = time.monotonic()
    weeks = _run(folder.absolute(), quiet=as_json)
    if as_json:
        click.echo(json.dumps([week.model_dump(mode="json") for week in weeks], indent=2))
    else:
        _print_weeks(weeks, time.monotonic() - began)


def _serve(port: int, models: tuple[str, ...]) -> None:
    from sia_dagster.demo.server import SimulatedProvider

    with SimulatedProvider(port, also_serves=models) as provider:
        click.echo(f"Simulated provider on {provider.base_url} (Ctrl+C ends it)")
        provider.wait()


def _run(folder: Path, *, quiet: bool) -> "list[WeekOutcome]":
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from sia_dagster.defs.progress_log import listen
    from sia_dagster.demo.run import DemoError, run_demo

    folder.mkdir(parents=True, exist_ok=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with ExitStack() as stack:
        instance = stack.enter_context(dagster_instance())
        bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet))
        week = bar.add_task("starting", total=None)
        stage = bar.add_task("", total=None)
        stack.enter_context(listen(lambda advance: bar.update(stage, description=f"  {progress_line(advance)}")))
        try:
            return list(run_demo(folder, instance, started=lambda text: bar.update(week, description=text)))
        except DemoError as error:
            raise click.ClickException(str(error)) from error


def _print_weeks(weeks: "list[WeekOutcome]", seconds: float) -> None:
    from rich.console import Console

    console = Console()
    console.print(_table(weeks))
    last = [week for week in weeks if week.version]
    shown = last[-1] if last else weeks[-1]
    cost = sum(week.cost_usd for week in weeks)
    console.print(f"{len(weeks)} windows in {seconds:.0f} s; the simulated calls would have cost {cost:.4f} USD.")
    console.print(f"Report of {shown.window}:  {shown.report}", soft_wrap=True)
    console.print(f"The policy in force:  {_name()} policy show --loop message_desk", soft_wrap=True)
    console.print("The same windows in the Dagster UI:  make dev  (http://127.0.0.1:3000)", soft_wrap=True)


def _name() -> str:
    """The command as a user of this shell types it: its name where the shell finds it, else its path."""
    called = Path(sys.argv[0])
    if shutil.which("sia") or called.name != "sia":
        return "sia"
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else str(called)


def _table(weeks: "list[WeekOutcome]") -> "Table":
    from rich.table import Table

    table = Table(
        title="message_desk (SIMULATED): the application's weeks, and what the loop decided after each",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption="live: mean correctness of the week's own answers. old -> new: both policies replayed on n "
        "held-out conversations, some of them from up to four earlier weeks. Those of one customer, and those that ask "
        "the same, are a group and count once. p of the paired permutation test.",
        caption_justify="left",
    )
    for name in ("window", "live", "n", "groups", "old -> new", "p"):
        table.add_column(name, justify="left" if name == "window" else "right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what was decided", no_wrap=True)
    for week in weeks:
        compared = week.baseline_mean is not None
        table.add_row(
            week.window,
            _number(week.production_score),
            str(week.conversations),
            str(week.groups),
            f"{_number(week.baseline_mean)} -> {_number(week.candidate_mean)}" if compared else "-",
            "<0.001" if week.p_value is not None and week.p_value < 0.001 else _number(week.p_value, 3),
            f"{_COLOURS[week.verdict]}{week.verdict}[/]",
            week.decided if week.calls else "no traffic",
        )
    return table


_COLOURS = {"accept": "[green]", "reject": "[red]", "inconclusive": "[yellow]"}


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
