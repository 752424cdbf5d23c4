"""The changes of a candidate in the policy, as a sentence and as a list."""

import json

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import count
from sia_dagster.reports.prompt_diff import count_lines, diff_rows


class SettingChange(Value):
    """A part of the policy other than its prompt, before and after, as text."""

    name: str
    old: str
    new: str


def change_sentence(old: Actions | None, new: Actions | None) -> str:
    """One sentence on what differs between two policies."""
    if new is None:
        return "Nothing: there is no policy yet, since the window has no usable traffic and none was promoted before."
    if old is None:
        return "This would be the first policy."
    if old == new:
        return "Nothing: no candidate was chosen for validation, and the policy in force stays."
    parts = [part for part in (_prompt_part(old, new), _settings_part(old, new)) if part]
    return "; ".join(parts) + "."


def settings_changes(old: Actions | None, new: Actions | None) -> tuple[SettingChange, ...]:
    """The model, parameters, examples, tools and variables that differ, in this order."""
    if old is None or new is None:
        return ()
    names = ("model", "parameters", "examples", "tools", "variables")
    shown = [SettingChange(name=n, old=_setting(old, n), new=_setting(new, n)) for n in names]
    return tuple(change for change in shown if change.old != change.new)


def simulated_names(
    state: StateActions, update: PolicyUpdate, report: ValidationReport, spent: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The models whose names say `simulated`: of both policies, of the traces, and in `spent` (`judge NAME`)."""
    policies = (state.actions, update.candidate, report.baseline, report.candidate)
    models = {policy.model for policy in policies if policy}
    models |= {name for sample in state.samples for name in (sample.model, sample.answered_by)}
    models |= {key.rpartition(" ")[2] for key in spent}
    return tuple(sorted(name for name in models if "simulated" in name.casefold()))


def _prompt_part(old: Actions, new: Actions) -> str:
    if old.system_prompt == new.system_prompt:
        return ""
    added, changed, removed = count_lines(diff_rows(old.system_prompt, new.system_prompt))
    parts = [f"{count(n, 'line')} {verb}" for n, verb in ((added, "added"), (changed, "changed"), (removed, "removed"))]
    lines = ", ".join(part for part in parts if not part.startswith("no "))
    return f"The system prompt: {lines} ({len(old.system_prompt):,} to {len(new.system_prompt):,} characters)"


def _settings_part(old: Actions, new: Actions) -> str:
    changes = settings_changes(old, new)
    if not changes:
        return "model, parameters, examples and tools stay"
    names = [f"{c.name} from {c.old} to {c.new}" if c.name == "model" else c.name for c in changes]
    verb = "Changed" if old.system_prompt == new.system_prompt else "also changed"
    return f"{verb}: {', '.join(names)}"


def _setting(actions: Actions, name: str) -> str:
    value = actions.model_dump(mode="json")[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)
