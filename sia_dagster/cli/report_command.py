"""`sia report`: the path of a window's report."""

import json
from pathlib import Path

import click

from sia_dagster.cli.open_project import open_project
from sia_dagster.cli.options import loop_option
from sia_dagster.core.errors import ConfigError, SiaError

EXAMPLE = "\b\nExample: sia report --window 2026-11-09 --open"


@click.command(epilog=EXAMPLE)
@loop_option
@click.option("--window", help="The window's key, its start; by default the latest that has a report.")
@click.option("--open", "in_browser", is_flag=True, help="Show it in the browser.")
@click.option("--json", "as_json", is_flag=True, help="Print loop, window and path as JSON.")
def command(loop_name: str | None, window: str | None, in_browser: bool, as_json: bool) -> None:
    """Print the path of a window's HTML report: the verdict and the evidence for it."""
    project = open_project(loop_name)
    windows = project.reported_windows()
    if window is None and not windows:
        raise ConfigError(f"no window of {project.loop.name} has a report yet; `sia run --window KEY` makes one")
    key = window or windows[-1]
    if key not in windows:
        raise project.not_run(key)
    path = project.report_path(key)
    facts = {"loop": project.loop.name, "window": key, "report": str(path)}
    click.echo(json.dumps(facts, indent=2) if as_json else facts["report"])
    if in_browser:
        _open(path if isinstance(path, Path) else None, facts["report"])


def _open(path: Path | None, shown: str) -> None:
    """Raises SiaError where there is no browser, or the report is not a local file."""
    import webbrowser

    if path is None:
        raise SiaError(f"{shown} is not a local file: download it to open it")
    if not webbrowser.open(path.resolve().as_uri()):
        raise SiaError(f"no browser could be started; open {shown} yourself")
