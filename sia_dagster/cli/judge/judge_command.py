"""`sia judge`: the judges' anchors and drift, and new anchors after a judge was changed on purpose."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.cli.judge.judge_text import judges_table
from sia_dagster.cli.open_project import CommandProject, open_project
from sia_dagster.cli.options import by_option, json_option, loop_option, note_option, user
from sia_dagster.cli.text_tables import show
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.judge_watch import reset_anchors
from sia_dagster.core.ports.stores import GateLog
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.gate import WHENEVER
from sia_dagster.wiring.session import eval_constants


@click.group(epilog="Example: sia judge list --loop message_desk")
def command() -> None:
    """List the judges' drift, and freeze new anchors for one.

    Anchors are outputs whose scores were kept: in each window every judge scores its anchors again.
    """


@command.command("list", epilog="Example: sia judge list --loop message_desk")
@loop_option
@json_option
def list_(loop_name: str | None, as_json: bool) -> None:
    """List judges, anchors and drift.

    For each judge: its anchors, the last result on them, and since which window it drifts.
    """
    project = open_project(loop_name)
    log = gate_log(project)
    judges = [_document(judge, log) for judge in judges_of(project)]
    if as_json:
        click.echo(json.dumps(judges, indent=2))
    elif not judges:
        click.echo(f"{project.loop.name}: the loop has no judge (llm_classify) to watch.")
    else:
        show(judges_table(project.loop.name, judges))


@command.command(
    epilog="Example: sia judge reset --evaluator correctness --by Ada --note 'the new model is the one we want'"
)
@loop_option
@click.option("--evaluator", required=True, help="The judge whose anchors no longer count.")
@by_option
@note_option
@json_option
def reset(loop_name: str | None, evaluator: str, by: str | None, note: str, as_json: bool) -> None:
    """Let the next window freeze new anchors.

    For a judge that changed on purpose: its anchors no longer count, and the next window that runs freezes its own
    outputs instead. This calls no model and deletes nothing; windows that ended before keep the anchors they had. A
    judge with another template, model or labels is another judge and needs no reset.
    """
    project = open_project(loop_name)
    judge = _named(project, evaluator)
    record = reset_anchors(gate_log(project), judge, at=datetime.now(UTC), by=by or user(), note=note)
    if as_json:
        click.echo(json.dumps({"evaluator": judge.name, "reset": record is not None}, indent=2))
    elif record is None:
        click.echo(f"{project.loop.name}: {judge.name} has no anchors; the next window that runs freezes some.")
    else:
        text = f"the anchors of window {record.window.key} no longer count; the next window that runs freezes new ones"
        click.echo(f"{project.loop.name}: {judge.name}: {text}")


def gate_log(project: CommandProject) -> GateLog:
    """The loop's log, where its assets keep it."""
    return GateFiles(project.file.storage, project.loop.name)


def judges_of(project: CommandProject) -> list[EvalConstant]:
    """The loop's judges as they are configured now. Raises ConfigError."""
    constants = eval_constants(project.loop, project.file.folder)
    return [constant for constant in constants if constant.kind == "llm_classify"]


def _named(project: CommandProject, name: str) -> EvalConstant:
    judges = {judge.name: judge for judge in judges_of(project)}
    if name not in judges:
        there = ", ".join(judges) or "none"
        raise ConfigError(f"{name!r} is no judge of {project.loop.name}; its judges (llm_classify) are: {there}")
    return judges[name]


def _document(judge: EvalConstant, log: GateLog) -> dict[str, Any]:
    """One judge as data: anchors, the last watch of its fingerprint, and the reset that waits for a window."""
    anchors = log.anchors(judge.name, judge.fingerprint, WHENEVER)
    watches = [
        record
        for record in log.watches(WHENEVER)
        if (record.judge.evaluator, record.judge.fingerprint) == (judge.name, judge.fingerprint)
    ]
    waits = anchors is not None and not anchors.scores
    return {
        "evaluator": judge.name,
        "fingerprint": judge.fingerprint,
        "anchors": len(anchors.scores) if anchors else 0,
        "anchored_in": anchors.window.key if anchors and not waits else None,
        "frozen_at": anchors.at.isoformat() if anchors and not waits else None,
        "reset": {"at": anchors.at.isoformat(), "by": anchors.by, "note": anchors.note} if anchors and waits else None,
        "last": watches[-1].judge.model_dump(mode="json") if watches else None,
        "last_window": watches[-1].window.key if watches else None,
    }
