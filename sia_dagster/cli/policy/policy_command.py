"""`sia policy`: the registry of a loop's policies, and people's decisions about them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from sia_dagster.cli.open_project import open_project
from sia_dagster.cli.options import by_option, json_option, loop_option, note_option, user, window_option
from sia_dagster.cli.policy.approval import PersonDecision, promote_window, publish_policy, reject_window
from sia_dagster.cli.policy.policy_text import (
    decisions_table,
    diff_document,
    diff_text,
    policy_text,
    promotion_text,
    versions_table,
)
from sia_dagster.cli.text_tables import show
from sia_dagster.core.errors import PolicyNotFound
from sia_dagster.core.policy import rollback as roll_back
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.value import Value


@click.group(epilog="Example: sia policy list --loop message_desk")
def command() -> None:
    """List, show, compare, promote, reject, publish and roll back the policies of a loop.

    Versions count from 1; 0 is the policy before any promotion, as in the traces. The highest is in force.
    """


@command.command("list", epilog="Example: sia policy list --loop message_desk")
@loop_option
@click.option("--decisions", "only_decisions", is_flag=True, help="Only people's decisions about candidates.")
@json_option
def list_(loop_name: str | None, only_decisions: bool, as_json: bool) -> None:
    """List all versions, oldest first.

    When, by whom and on which window's evidence each came into force; then people's decisions about candidates.
    """
    project = open_project(loop_name)
    versions = () if only_decisions else project.policies.versions()
    decisions = project.decisions.decisions()
    if as_json:
        shown: Sequence[Value] = decisions if only_decisions else versions
        click.echo(json.dumps([entry.model_dump(mode="json") for entry in shown], indent=2))
        return
    if versions:
        show(versions_table(project.loop.name, versions))
    elif not only_decisions:
        click.echo(f"{project.loop.name}: no policy was promoted yet; the policy in the traces is in force.")
    if decisions:
        show(decisions_table(project.loop.name, decisions))
    elif only_decisions:
        click.echo(f"{project.loop.name}: nobody decided about a candidate yet.")


@command.command("show", epilog="\b\nExample: sia policy show\n         sia policy show --version 1")
@loop_option
@click.option("--version", type=click.IntRange(min=0), help="By default the version in force.")
@json_option
def show_(loop_name: str | None, version: int | None, as_json: bool) -> None:
    """Show one version and its evidence.

    Its prompt and settings, and the comparison that its promotion rests on.
    """
    versions = open_project(loop_name).policies.versions()
    number = _in_force(versions).version if version is None else version
    actions, entry = actions_of(versions, number), _entry(versions, number)
    if as_json:
        document = (
            entry.model_dump(mode="json") if entry else {"version": 0, "actions": actions.model_dump(mode="json")}
        )
        click.echo(json.dumps(document, indent=2))
    else:
        show(policy_text(entry, actions, in_force=number == versions[-1].version), soft_wrap=True)


@command.command(
    epilog="\b\nExample: sia policy diff        (what the version in force changed)\n         sia policy diff 0 2"
)
@loop_option
@click.argument("old", type=click.IntRange(min=0), required=False)
@click.argument("new", type=click.IntRange(min=0), required=False)
@json_option
def diff(loop_name: str | None, old: int | None, new: int | None, as_json: bool) -> None:
    """Compare two versions.

    The prompts of OLD and NEW as a unified diff, then the settings. By default NEW is the version in force and OLD the
    one that it replaced.
    """
    versions = open_project(loop_name).policies.versions()
    right = _in_force(versions).version if new is None else new
    entry = _entry(versions, right)
    left = (entry.parent if entry else None) or 0 if old is None else old
    before, after = actions_of(versions, left), actions_of(versions, right)
    if as_json:
        click.echo(json.dumps({"old": left, "new": right, **diff_document(before, after)}, indent=2))
    else:
        show(diff_text(left, right, before, after), soft_wrap=True)


@command.command(
    epilog="Example: sia policy promote --window 2026-11-09 --by Ada --note 'read the samples that got worse'"
)
@loop_option
@window_option
@by_option
@note_option
@click.option("--override", is_flag=True, help="Although the gate does not accept it; recorded, and needs --note.")
@json_option
def promote(loop_name: str | None, window: str, by: str | None, note: str, override: bool, as_json: bool) -> None:
    """Put an accepted window's candidate in force.

    The same as materialising `promoted_policy` in the UI: the whole gate is checked again. Refused with the reason and
    exit code 1 where the gate does not accept the candidate, where a person rejected it, or where another policy came
    into force since.
    """
    if override and not note.strip():
        raise click.UsageError("--override needs --note: why the candidate comes into force past the gate")
    decision = PersonDecision(by=by or user(), note=note, override=override)
    promotion = promote_window(open_project(loop_name), window, decision)
    click.echo(promotion.model_dump_json(indent=2) if as_json else promotion_text(promotion))


@command.command(epilog="Example: sia policy reject --window 2026-11-09 --by Ada --note 'too curt with complaints'")
@loop_option
@window_option
@by_option
@note_option
@json_option
def reject(loop_name: str | None, window: str, by: str | None, note: str, as_json: bool) -> None:
    """Record that a window's candidate must not come into force.

    No run of the job promotes it then. It can be approved later all the same, by name and with a note.
    """
    decision = PersonDecision(by=by or user(), note=note, decision="reject")
    promotion = reject_window(open_project(loop_name), window, decision)
    click.echo(promotion.model_dump_json(indent=2) if as_json else promotion_text(promotion))


@command.command(epilog="\b\nExample: sia policy rollback --by Ada\n         sia policy rollback --to 0")
@loop_option
@click.option("--to", "to_version", type=click.IntRange(min=0), help="By default the version before the one in force.")
@by_option
@note_option
@json_option
def rollback(loop_name: str | None, to_version: int | None, by: str | None, note: str, as_json: bool) -> None:
    """Put an earlier policy in force again, as a new version.

    The history stays. The platforms of `publish` follow: their label moves back to the prompt version that holds this
    policy.
    """
    project = open_project(loop_name)
    at, name = datetime.now(UTC), by or user()
    entry = roll_back(project.policies, to_version, at=at, by=name, note=note)
    restored = f"of version {entry.restores}" if entry.restores else "from before any promotion"
    text = f"{entry.loop}: version {entry.version} is in force, the policy {restored} again"
    if (entry.at, entry.by) != (at, name):
        text += f"; {entry.by or 'somebody'} had rolled back to it already, at {entry.at.isoformat(timespec='seconds')}"
    click.echo(entry.model_dump_json(indent=2) if as_json else text)
    for each in publish_policy(project):
        click.echo(each.sentence, err=as_json)


@command.command(
    epilog="\b\nExample: sia policy publish\n         sia policy publish --force   (over somebody else's label)"
)
@loop_option
@click.option("--force", is_flag=True, help="Take over a prompt or a label that belongs to somebody else.")
@json_option
def publish(loop_name: str | None, force: bool, as_json: bool) -> None:
    """Bring the platforms of `publish` to the policy in force.

    Its prompt version is created there and the label moved to it. A promotion and a rollback do this by themselves;
    this repeats it after a failure. With nothing changed it changes nothing. Where the prompt or the label belongs to
    somebody else it names them and exits with 1.
    """
    project = open_project(loop_name)
    _in_force(project.policies.versions())
    published = publish_policy(project, force=force)
    nowhere = f"{project.loop.name}: `publish` names no platform; the registry has the policy in force."
    if as_json:
        click.echo(json.dumps([each.model_dump(mode="json") for each in published], indent=2))
    else:
        click.echo("\n".join(each.sentence for each in published) or nowhere)


def actions_of(versions: Sequence[PolicyVersion], number: int) -> Actions:
    """The policy of a version; 0 is the one before any promotion. Raises PolicyNotFound with the existing versions."""
    if entry := _entry(versions, number):
        return entry.actions
    if number == 0 and versions and versions[0].replaced:
        return versions[0].replaced
    _in_force(versions)
    there = ", ".join(str(entry.version) for entry in versions)
    raise PolicyNotFound(f"there is no version {number}; there are: {there}")


def _entry(versions: Sequence[PolicyVersion], number: int) -> PolicyVersion | None:
    return next((entry for entry in versions if entry.version == number), None)


def _in_force(versions: Sequence[PolicyVersion]) -> PolicyVersion:
    if not versions:
        raise PolicyNotFound(
            "no policy was promoted yet, so the policy in the traces is in force; `sia run --window KEY` searches a "
            "better one, and `sia policy promote` puts it in force"
        )
    return versions[-1]
