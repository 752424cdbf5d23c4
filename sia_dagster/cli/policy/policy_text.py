"""Policies as text for the terminal. Prompts are untrusted: control characters are made visible."""

import json
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from sia_dagster.cli.text_tables import new_table
from sia_dagster.core.records.comparison import primary_of
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyDecision, PolicyVersion, Promotion
from sia_dagster.core.text import conversations_in_groups
from sia_dagster.reports.changes import settings_changes
from sia_dagster.reports.prompt_diff import unified_lines
from sia_dagster.reports.provenance import origin_notes
from sia_dagster.reports.wording import trimmed, visible

_SETTINGS = ("model", "parameters", "examples", "tools", "variables")
_COLOURS = {"+": "green", "-": "red"}


def versions_table(loop: str, versions: Sequence[PolicyVersion]) -> Table:
    """One row a version, oldest first; the one in force is marked."""
    table = new_table("version", "in force from", "by", "what", title=f"{loop}: policies, the last is in force")
    for entry in versions:
        style = "bold" if entry is versions[-1] else ""
        table.add_row(
            str(entry.version), f"{entry.at:%Y-%m-%d %H:%M}", Text(visible(entry.by)), Text(_what(entry)), style=style
        )
    return table


def decisions_table(loop: str, decisions: Sequence[PolicyDecision]) -> Table:
    """One row a decision, oldest first."""
    table = new_table("window", "decided", "by", "what", "verdict", "note", title=f"{loop}: decisions")
    for decision in decisions:
        what = Text(f"{decision.kind} {decision.candidate[:8]}")
        by, note = Text(visible(decision.by)), Text(visible(decision.note))
        table.add_row(decision.window.key, f"{decision.at:%Y-%m-%d %H:%M}", by, what, decision.verdict, note)
    return table


def policy_text(entry: PolicyVersion | None, actions: Actions, *, in_force: bool) -> Text:
    """One version, its settings and its prompt; without an `entry` the policy before any promotion."""
    if entry is None:
        lines = ["The policy before any promotion, as in the traces"]
    else:
        since = f"{entry.at:%Y-%m-%d %H:%M} {entry.at:%Z}"
        state = f"in force since {since}" if in_force else f"came into force {since}"
        lines = [f"{entry.loop} version {entry.version}, {state}, by {visible(entry.by) or 'nobody named'}"]
        lines.append(f"  {_what(entry)}")
        lines += [f"  note: {visible(entry.note)}"] if entry.note else []
        lines += [f"  report: {visible(entry.report)}"] if entry.report else []
        lines += [f"  to be looked at: {visible(finding.reason)}" for finding in entry.concerns]
    text = Text("\n".join(lines) + "\n", style="bold")
    settings = actions.model_dump(mode="json")
    shown = [f"{name}: {_value(settings[name])}" for name in _SETTINGS if settings[name]]
    text.append(visible("\n".join([*shown, "system prompt:"])) + "\n", style="not bold")
    text.append(visible(actions.system_prompt), style="not bold")
    return text.append(_origins(entry), style="not bold") if entry and entry.provenance else text


def _origins(entry: PolicyVersion) -> str:
    """Where the sentences of the prompt are from that the loop wrote, a line each."""
    lines = ["", "sentences that the loop wrote:"]
    for note in origin_notes(entry.provenance):
        cause = f"; {note.cause}" if note.cause else ""
        lines.append(f"  {trimmed(note.text, 80)} [window {note.window}: {note.effect}{cause}]")
    return visible("\n".join(lines))


def promotion_text(promotion: Promotion) -> str:
    """The outcome for a window's candidate, in a line."""
    return f"{promotion.loop}: {visible(promotion.reason)}"


def diff_text(left: int, right: int, old: Actions, new: Actions) -> Text:
    """A unified diff of the prompts, then each setting that differs, before and after."""
    text = Text(f"--- version {left}\n+++ version {right}\n", style="bold")
    if old == new:
        return text.append("The two are the same policy.", style="not bold")
    for line in unified_lines(old.system_prompt, new.system_prompt):
        text.append(f"{line}\n", style=f"not bold {_COLOURS.get(line[0], '')}".strip())
    for change in settings_changes(old, new):
        text.append(f"{change.name}:\n", style="bold")
        text.append(f"-{visible(change.old)}\n", style="not bold red")
        text.append(f"+{visible(change.new)}\n", style="not bold green")
    text.rstrip()
    return text


def diff_document(old: Actions, new: Actions) -> dict[str, Any]:
    """The same as data: `prompt` lines with `+`, `-` or a space before them, and `settings` before and after."""
    changes = settings_changes(old, new)
    return {
        "same": old == new,
        "prompt": list(unified_lines(old.system_prompt, new.system_prompt)),
        "settings": {change.name: {"old": change.old, "new": change.new} for change in changes},
    }


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _what(entry: PolicyVersion) -> str:
    """How the version came into force, in a line."""
    if entry.kind == "rollback":
        return f"rolled back to version {entry.restores}" if entry.restores else "rolled back to before any promotion"
    how = "promoted past the gate" if entry.override else "promoted"
    window = f"window {entry.window.key}" if entry.window else "no window"
    primary = primary_of(entry.evidence)
    if primary is None or primary.baseline_mean is None or primary.candidate_mean is None:
        return f"{how}, {window}"
    old, new = primary.baseline_mean, primary.candidate_mean
    counted = conversations_in_groups(*primary.counted)
    saved = f"{entry.saving.in_words}; " if entry.saving and not entry.override else ""
    return f"{how}, {window}: {saved}{primary.evaluator} {old:.2f} -> {new:.2f} ({counted})"
