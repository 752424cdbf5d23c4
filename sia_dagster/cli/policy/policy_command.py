"""`sia policy`: the registry of a loop's policies, and who puts one in force."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from sia_dagster.adapters.config.environment import read
from sia_dagster.cli.open_project import open_project
from sia_dagster.cli.policy.approval import Said, promote_window, publish_policy, reject_window
from sia_dagster.cli.policy.policy_text import (
    decisions_table,
    diff_document,
    diff_text,
    policy_text,
    promotion_text,
    versions_table,
)
from sia_dagster.core.errors import PolicyNotFound
from sia_dagster.core.policy import rollback as roll_back
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.value import Value

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


_loop = click.option("--loop", "loop_name", help="The loop; not needed where there is only one.")


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


_by = click.option("--by", help="Your name, for the registry; by default $USER.")


_note = click.option("--note", default="", help="Why, for the registry.")


@click.group(epilog="Example: sia policy list --loop message_desk")
def command() -> None:
    """List, show, compare, promote, reject, publish and roll back the policies of a loop.

    Versions count from 1; 0 is the policy before any promotion, as the traces showed it. The highest is in force.
    """


@command.command(
    "list", short_help="List all versions, oldest first.", epilog="Example: sia policy list --loop message_desk"
)
@_loop
@click.option("--decisions", "only_decisions", is_flag=True, help="Only what people decided about candidates.")
@_json
def list_(loop_name: str | None, only_decisions: bool, as_json: bool) -> None:
    """List all versions, oldest first: when, by whom, on which window's evidence; and what people decided."""
    project = open_project(loop_name)
    versions = () if only_decisions else project.policies.versions()
    decisions = project.decisions.decisions()
    if as_json:
        shown: Sequence[Value] = decisions if only_decisions else versions
        click.echo(json.dumps([entry.model_dump(mode="json") for entry in shown], indent=2))
        return
    if versions:
        _print(versions_table(project.loop.name, versions), soft_wrap=False)
    elif not only_decisions:
        click.echo(f"{project.loop.name}: no policy was promoted yet; the one that the traces show is in force.")
    if decisions:
        _print(decisions_table(project.loop.name, decisions), soft_wrap=False)
    elif only_decisions:
        click.echo(f"{project.loop.name}: nobody decided about a candidate yet.")


@command.command(
    short_help="Show one version and its evidence.",
    epilog="\b\nExample: sia policy show\n         sia policy show --version 1",
)
@_loop
@click.option("--version", type=click.IntRange(min=0), help="By default the version in force.")
@_json
def show(loop_name: str | None, version: int | None, as_json: bool) -> None:
    """Show one version: its prompt and settings, and the evidence that it rests on."""
    versions = open_project(loop_name).policies.versions()
    number = _in_force(versions).version if version is None else version
    actions, entry = actions_of(versions, number), _entry(versions, number)
    if as_json:
        told = entry.model_dump(mode="json") if entry else {"version": 0, "actions": actions.model_dump(mode="json")}
        click.echo(json.dumps(told, indent=2))
    else:
        _print(policy_text(entry, actions, in_force=number == versions[-1].version))


@command.command(
    short_help="Compare two versions.",
    epilog="\b\nExample: sia policy diff        (what the version in force changed)\n         sia policy diff 0 2",
)
@_loop
@click.argument("old", type=click.IntRange(min=0), required=False)
@click.argument("new", type=click.IntRange(min=0), required=False)
@_json
def diff(loop_name: str | None, old: int | None, new: int | None, as_json: bool) -> None:
    """Compare version OLD with NEW: the prompt as a unified diff, then the settings.

    By default NEW is the version in force and OLD the one that it replaced.
    """
    versions = open_project(loop_name).policies.versions()
    right = _in_force(versions).version if new is None else new
    entry = _entry(versions, right)
    left = (entry.parent if entry else None) or 0 if old is None else old
    before, after = actions_of(versions, left), actions_of(versions, right)
    if as_json:
        click.echo(json.dumps({"old": left, "new": right, **diff_document(before, after)}, indent=2))
    else:
        _print(diff_text(left, right, before, after))


@command.command(
    short_help="Put an accepted window's candidate in force.",
    epilog="Example: sia policy promote --window 2026-11-09 --by Ada --note 'read the samples that got worse'",
)
@_loop
@click.option("--window", required=True, help="The window whose accepted candidate comes into force.")
@_by
@_note
@click.option(
    "--override", is_flag=True, help="Although the gate does not accept it; recorded, and --note has to say why."
)
@_json
def promote(loop_name: str | None, window: str, by: str | None, note: str, override: bool, as_json: bool) -> None:
    """Put an accepted window's candidate in force, as materialising `promoted_policy` in the UI does.

    The whole gate is checked again. Refused with the reason and exit code 1 where it does not accept the candidate,
    where a person rejected it, or where another policy came into force since.
    """
    if override and not note.strip():
        raise click.UsageError("--override needs --note: say why the candidate comes into force past the gate")
    said = Said(by=by or _user(), note=note, override=override)
    promotion = promote_window(open_project(loop_name), window, said)
    click.echo(promotion.model_dump_json(indent=2) if as_json else promotion_text(promotion))


@command.command(
    short_help="Record that a window's candidate is not to come into force.",
    epilog="Example: sia policy reject --window 2026-11-09 --by Ada --note 'too curt with complaints'",
)
@_loop
@click.option("--window", required=True, help="The window whose candidate is rejected.")
@_by
@_note
@_json
def reject(loop_name: str | None, window: str, by: str | None, note: str, as_json: bool) -> None:
    """Record that a window's candidate is not to come into force: no run of the job promotes it then.

    It can be approved later all the same, by name and with a note.
    """
    said = Said(by=by or _user(), note=note, decision="reject")
    promotion = reject_window(open_project(loop_name), window, said)
    click.echo(promotion.model_dump_json(indent=2) if as_json else promotion_text(promotion))


@command.command(
    short_help="Put an earlier policy in force again.",
    epilog="\b\nExample: sia policy rollback --by Ada\n         sia policy rollback --to 0",
)
@_loop
@click.option("--to", "to_version", type=click.IntRange(min=0), help="By default the version before the one in force.")
@_by
@_note
@_json
def rollback(loop_name: str | None, to_version: int | None, by: str | None, note: str, as_json: bool) -> None:
    """Put an earlier policy in force again, as a new version; the history stays.

    The platforms of `publish` follow: their label goes back to the prompt version that holds this policy.
    """
    project = open_project(loop_name)
    entry = roll_back(project.policies, to_version, at=datetime.now(UTC), by=by or _user(), note=note)
    restored = f"of version {entry.restores}" if entry.restores else "from before any promotion"
    told = f"{entry.loop}: version {entry.version} is in force, the policy {restored} again"
    click.echo(entry.model_dump_json(indent=2) if as_json else told)
    for each in publish_policy(project):
        click.echo(each.told, err=as_json)


@command.command(
    short_help="Bring the platforms of `publish` to the policy in force.",
    epilog="\b\nExample: sia policy publish\n         sia policy publish --force   (over somebody else's label)",
)
@_loop
@click.option("--force", is_flag=True, help="Take a prompt or a label over that belongs to somebody else.")
@_json
def publish(loop_name: str | None, force: bool, as_json: bool) -> None:
    """Bring the platforms of `publish` to the policy in force: its prompt version made, the label moved to it.

    A promotion and a rollback do this by themselves; this repeats it after a failure. With nothing changed it changes
    nothing. Where the prompt or the label belongs to somebody else it says so and exits with 1.
    """
    project = open_project(loop_name)
    _in_force(project.policies.versions())
    published = publish_policy(project, force=force)
    nowhere = f"{project.loop.name}: `publish` names no platform; the registry has the policy in force."
    if as_json:
        click.echo(json.dumps([each.model_dump(mode="json") for each in published], indent=2))
    else:
        click.echo("\n".join(each.told for each in published) or nowhere)


def actions_of(versions: "Sequence[PolicyVersion]", number: int) -> "Actions":
    """The policy of a version; 0 is the one before any promotion. Raises PolicyNotFound with the versions there are."""
    if entry := _entry(versions, number):
        return entry.actions
    if number == 0 and versions and versions[0].replaced:
        return versions[0].replaced
    _in_force(versions)
    there = ", ".join(str(entry.version) for entry in versions)
    raise PolicyNotFound(f"there is no version {number}; there are: {there}")


def _entry(versions: "Sequence[PolicyVersion]", number: int) -> "PolicyVersion | None":
    return next((entry for entry in versions if entry.version == number), None)


def _in_force(versions: "Sequence[PolicyVersion]") -> "PolicyVersion":
    if not versions:
        raise PolicyNotFound(
            "no policy was promoted yet, so the one that the traces show is in force; `sia run --window KEY` looks for "
            "a better one, and `sia policy promote` puts it in force"
        )
    return versions[-1]


def _user() -> str:
    return read("USER") or read("USERNAME") or "a person"


def _print(renderable: "Text | Table", *, soft_wrap: bool = True) -> None:
    from rich.console import Console

    Console(highlight=False).print(renderable, soft_wrap=soft_wrap)
