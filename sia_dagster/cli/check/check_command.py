"""`sia check`: whether a window would run, and what it would cost."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sia_dagster.cli.check.calls import calls_table
from sia_dagster.cli.check.check_results import CheckResult, project_findings
from sia_dagster.cli.check.funnel_findings import funnel_table
from sia_dagster.cli.check.window import WindowCheck, check_window
from sia_dagster.cli.open_project import open_projects
from sia_dagster.cli.options import json_option
from sia_dagster.cli.text_tables import new_table
from sia_dagster.core.errors import ConfigError, SiaError
from sia_dagster.core.records.spend import Spend
from sia_dagster.reports.wording import visible

EXAMPLE = "\b\nExample: sia check\n         sia check --loop message_desk --window 2026-11-09"
_ASSUMED = (
    "An estimate of a window that runs all stages in full. A window that stops early, or whose policies answer alike, "
    "takes less; judges with long explanations take more. Stored answers are never paid for again."
)
_MARKS = {"pass": ("ok", "green"), "warn": ("warning", "yellow"), "fail": ("FAILED", "bold red")}


@click.command(epilog=EXAMPLE)
@click.option("--loop", "loop_name", help="Only this loop; by default all.")
@click.option("--window", help="The window's key, its start; by default the latest that has closed.")
@json_option
def command(loop_name: str | None, window: str | None, as_json: bool) -> None:
    """Check configuration, credentials, endpoint and traces; list a window's calls and policies; estimate its cost.

    It asks the endpoint for its list of models, once; no model is called and nothing is paid. Exit code 1 where a check
    fails.
    """
    findings, windows = _checked(loop_name, window)
    if as_json:
        click.echo(json.dumps(_document(findings, windows), indent=2))
    else:
        _print(findings, windows)
    if failed := [finding.check for finding in findings if finding.result == "fail"]:
        raise SiaError(f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}")


def _checked(loop_name: str | None, window: str | None) -> tuple[list[CheckResult], list[WindowCheck]]:
    """All findings in order; a configuration that cannot be used is the only finding."""
    try:
        projects = open_projects(loop_name)
    except ConfigError as error:
        return [CheckResult(check="configuration", result="fail", found=str(error))], []
    windows = [check_window(project, window) for project in projects]
    return [*project_findings(projects), *(found for each in windows for found in each.findings)], windows


def _document(findings: Sequence[CheckResult], windows: Sequence[WindowCheck]) -> dict[str, Any]:
    return {
        "ok": all(finding.result != "fail" for finding in findings),
        "checks": [finding.model_dump() for finding in findings],
        "windows": [
            {
                "loop": each.spans.loop,
                "window": each.spans.window.key,
                "calls": each.spans.calls,
                "samples": len(each.spans.samples),
                "skipped": len(each.spans.skipped),
                "funnel": each.spans.funnel.model_dump(mode="json"),
                "notes": [note.model_dump(mode="json") for note in (*each.spans.notes, *each.spans.mended)],
                "calls_found": [row.model_dump(mode="json") for row in each.calls.rows],
                "suggested_where": each.calls.where,
                "templates_refused": list(each.calls.refused),
                "estimate": [line.model_dump(mode="json") for line in each.estimate.lines],
                "total": each.estimate.total.model_dump(mode="json"),
            }
            for each in windows
            if each.spans
        ],
    }


def _print(findings: Sequence[CheckResult], windows: Sequence[WindowCheck]) -> None:
    console = Console()
    console.print(_findings_table(findings))
    for each in windows:
        if each.spans and each.spans.funnel.records:
            console.print(funnel_table(each.spans.funnel, f"{each.spans.loop} {each.spans.window.key}: records"))
        if each.spans and each.calls.rows:
            title = f"{each.spans.loop} {each.spans.window.key}: calls and policies"
            console.print(calls_table(each.calls, title))
    estimated = [each for each in windows if each.estimate.lines]
    for each in estimated:
        console.print(_estimate_table(each))
    if estimated:
        console.print(_ASSUMED, style="dim")


def _findings_table(findings: Sequence[CheckResult]) -> Table:
    table = new_table("check", "result", "what was found")
    for finding in findings:
        word, style = _MARKS[finding.result]
        # Text, not markup: a finding may quote a file or a trace.
        table.add_row(finding.check, Text(word, style=style), Text(visible(finding.found)))
    return table


def _estimate_table(check: WindowCheck) -> Table:
    title = f"{check.spans.loop} {check.spans.window.key}: estimated cost" if check.spans else ""
    table = new_table("stage", "work", "calls", "tokens", "USD", title=title, numbers=3)
    for stage, lines in groupby(check.estimate.lines, key=lambda line: line.stage):
        for place, line in enumerate(lines):
            # Text, not markup: the application's model is named by its traces.
            work = Text(visible(f"{line.work} ({line.model})"))
            table.add_row("" if place else stage, work, *_numbers(line.spend))
    table.add_section()
    table.add_row("total", "", *_numbers(check.estimate.total))
    return table


def _numbers(spend: Spend) -> tuple[str, str, str]:
    cost = "unknown" if spend.cost_usd is None else f"{spend.cost_usd:.4f}"
    return f"{spend.calls:,}", f"{spend.prompt_tokens + spend.completion_tokens:,}", cost
