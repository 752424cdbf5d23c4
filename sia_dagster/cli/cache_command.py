"""`sia cache`: show, prune and export the stored answers."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from sia_dagster.adapters.engine.store import CompletionStore, StoredGroup, older_windows
from sia_dagster.adapters.engine.store.export import FORMATS, export_answers
from sia_dagster.cli.open_project import open_projects
from sia_dagster.cli.options import json_option
from sia_dagster.cli.text_tables import new_table
from sia_dagster.core.errors import SiaError
from sia_dagster.reports.wording import visible
from sia_dagster.wiring.endpoint import open_store
from sia_dagster.wiring.loop_session import completions_file

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_loop_option = click.option("--loop", "loop_name", help="Only this loop; by default all that are in the store.")


@click.group(epilog="Example: sia cache show")
def command() -> None:
    """Show, prune and export the answers in the completion store.

    Every paid answer is kept under a hash of its request: a window that is run again pays for nothing twice. The store
    is `completions.sqlite` in the storage, or the database of `llm.completions`.
    """


@command.command(epilog="\b\nExample: sia cache show\n         sia cache show --loop message_desk --json")
@_loop_option
@json_option
def show(loop_name: str | None, as_json: bool) -> None:
    """Show number, size, age and cost of the answers.

    By window, stage and model. The last column is the cost of the stored answers, which a repeated run saves.
    """
    with _opened() as store:
        groups = [group for group in store.groups() if loop_name in (None, group.loop)]
        facts = {"store": store.name, "size": store.size(), **_sums(groups)}
    if as_json:
        listed = [group.model_dump(mode="json") for group in groups]
        click.echo(json.dumps({**facts, "groups": listed}, indent=2))
    else:
        _print(facts, groups)


def _age(_: click.Context, __: click.Parameter, value: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([hdw])", value)
    if match is None:
        raise click.BadParameter("write a number of hours, days or weeks: 12h, 90d, 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@command.command(
    epilog="\b\nExample: sia cache prune --older-than 90d\n         sia cache prune --older-than 26w --loop desk --yes"
)
@click.option("--older-than", "age", required=True, callback=_age, help="Hours, days or weeks: 12h, 90d, 8w.")
@_loop_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def prune(age: timedelta, loop_name: str | None, yes: bool, as_json: bool) -> None:
    """Drop the answers of windows that were last run long ago.

    All answers of a window are dropped together, once its last payment is older than that: a window that is being run
    or was run again lately keeps all of them. Nothing is dropped while a stage of any window is at work. A window that
    is run again later pays for its answers anew. Documents, reports and the spend ledger stay.
    """
    before = datetime.now(UTC) - age
    with _opened() as store:
        groups = store.groups()
        windows = older_windows(groups, before=before, loop=loop_name)
        chosen = {(window.loop, window.window) for window in windows}
        facts = {"windows": len(windows), **_sums([g for g in groups if (g.loop, g.window) in chosen])}
        if windows and not yes:
            sentence = f"Drop {facts['answers']:,} answers of {facts['windows']} windows, which cost"
            click.confirm(f"{sentence} {facts['cost_usd']:.2f} USD?", abort=True, err=True)
        dropped = store.prune(windows, before=before) if windows else 0
        name, size = store.name, store.size()
    text = f"{dropped:,} answers of {len(windows)} windows were dropped; {name} has {_bytes(size)} now"
    result = {"store": name, "dropped": dropped, "windows": len(windows), "size": size}
    click.echo(json.dumps(result, indent=2) if as_json else text)


@command.command(
    epilog="\b\nExample: sia cache export answers.parquet\n         sia cache export answers.jsonl --loop message_desk"
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_loop_option
@json_option
def export(file: Path, loop_name: str | None, as_json: bool) -> None:
    """Write the answers to a file.

    Every answer to FILE (.jsonl or .parquet): who paid, when, the answer, tokens and cost. Requests are not in the
    store, only their hashes, nor are keys; answers may quote your users.
    """
    if file.suffix not in FORMATS:
        raise click.BadParameter(f"{file.name} must end in one of {', '.join(FORMATS)}", param_hint="FILE")
    with _opened() as store:
        count = export_answers((each for each in store.answers() if loop_name in (None, each.loop)), file)
        result = {"store": store.name, "file": str(file), "answers": count}
    click.echo(json.dumps(result, indent=2) if as_json else f"{count:,} answers were written to {file}")


@contextmanager
def _opened() -> Iterator[CompletionStore]:
    """The configured store, or the demo's. Raises SiaError where no run has created it yet."""
    configured = open_projects()[0].file
    llm, path = configured.config.llm, completions_file(configured.storage, configured.folder)
    if llm.completions is None and not path.exists():
        raise SiaError(f"there is no completion store yet: the first run of a window creates {path}")
    with closing(open_store(llm, path)) as store:
        yield store


def _sums(groups: Sequence[StoredGroup]) -> dict[str, Any]:
    return {
        "answers": sum(group.answers for group in groups),
        "cost_usd": round(sum(group.cost_usd for group in groups), 9),
        "unpriced": sum(group.unpriced for group in groups),
        "oldest": min((group.oldest.isoformat() for group in groups), default=None),
        "newest": max((group.newest.isoformat() for group in groups), default=None),
    }


def _print(facts: dict[str, Any], groups: Sequence[StoredGroup]) -> None:
    title = f"{facts['store']}: {_bytes(facts['size'])}"
    columns = ("paid for", "oldest", "newest", "answers", "size", "USD")
    table = new_table(*columns, title=visible(title), numbers=3, whole=(1, 2))
    for group in groups:
        days = [f"{day:%Y-%m-%d}" for day in (group.oldest, group.newest)]
        who = visible(f"{group.loop} {group.window} {group.stage} {group.model}")
        table.add_row(who, *days, f"{group.answers:,}", _bytes(group.size), f"{group.cost_usd:.4f}")
    table.add_section()
    days = [str(facts[name] or "")[:10] for name in ("oldest", "newest")]
    size = _bytes(sum(group.size for group in groups))
    table.add_row("total", *days, f"{facts['answers']:,}", size, f"{facts['cost_usd']:.4f}")
    console = Console(highlight=False, markup=False)
    console.print(table)
    if facts["unpriced"]:
        console.print(f"{facts['unpriced']:,} of them have no price and count as 0 USD.", style="dim")


def _bytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MB" if size >= 2**20 else f"{size / 2**10:,.1f} kB"
