"""Publishes the policy in force on a platform: finds or creates its prompt version, then moves the label."""

import re
from collections.abc import Sequence

from sia_dagster.core.errors import PublishConflict
from sia_dagster.core.ports.prompt_hub import HubVersion, PromptHub
from sia_dagster.core.records.comparison import EvaluatorComparison, primary_of
from sia_dagster.core.records.registry import PolicyVersion, Publication
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import conversations_in_groups

LABEL = "production"
"""The label of the prompt version that applications load."""


class _Mark(Value):
    """The policy that a prompt version holds: a line of its message by which it is found again."""

    loop: str
    version: int
    fingerprint: str

    @property
    def line(self) -> str:
        return f"sia:{self.loop}/{self.version}/{self.fingerprint}"


def publish(
    entry: PolicyVersion, *, target: str, hub: PromptHub, last: Publication | None, prompt: str, force: bool = False
) -> Publication:
    """Publish `entry`, the policy in force, as `prompt` on `hub`; `target` is the hub's name in `publish`.

    `last` is the loop's last publication on this target. The steps are: find the prompt version of this policy by its
    mark, else create it; move the label; then the caller records the result. Each step checks the state first, so after
    a crash the same call has the same result, and a second call changes nothing and returns `last`. A rollback uses the
    prompt version that already holds the policy, if there is one.

    Raises PublishConflict, before anything is changed, where the prompt belongs to somebody else, where the label is
    not where `last` set it, or where a newer policy was published; `force` skips these checks. Raises PublishError
    where the hub fails.
    """
    known = last if last is not None and last.prompt == prompt else None
    versions = hub.versions(prompt)
    found = _version_of(entry, versions)
    if not force:
        _check_order(entry, known, target)
        _check_owner(entry, versions, prompt=prompt, target=target)
        _check_label(entry, versions, known=known, found=found, target=target)
    version_id = found.id if found else hub.create(prompt, entry.actions, commit_message(entry))
    if found is None or LABEL not in found.labels:
        hub.set_label(prompt, version_id, LABEL)
    if known is not None and (known.policy_version, known.version_id) == (entry.version, version_id):
        return known
    return Publication(
        target=target,
        policy_version=entry.version,
        prompt=prompt,
        version_id=version_id,
        label=LABEL,
        reason=f"{_what(entry)}; `{LABEL}` is on prompt version {version_id} of {prompt!r}",
    )


def commit_message(entry: PolicyVersion) -> str:
    """The message of the prompt version: what happened, by which verdict, and the mark on a line of its own.

    It holds no text of a trace.
    """
    primary = primary_of(entry.evidence)
    saved = [entry.saving.in_words] if entry.saving and not entry.override else []
    lines = [f"{_what(entry)}{_window(entry)}", *saved, *([_gain(primary)] if primary else [])]
    return "\n".join([*lines, "", _mark(entry).line])


def _what(entry: PolicyVersion) -> str:
    name = f"{entry.loop} version {entry.version}"
    if entry.kind == "promote":
        return f"{name}: promoted"
    restored = f"version {entry.restores}" if entry.restores else "the policy before any promotion"
    return f"{name}: rolled back to {restored}"


def _window(entry: PolicyVersion) -> str:
    if entry.window is None:
        return ""
    return f" by window {entry.window.key}, {'past its gate' if entry.override else 'verdict accept'}"


def _gain(c: EvaluatorComparison) -> str:
    change = " -> ".join("?" if mean is None else f"{mean:.3g}" for mean in (c.baseline_mean, c.candidate_mean))
    name = "gain" if c.margin is None else "difference"
    gain = "" if c.difference is None else f", {name} {c.difference:+.3g}"
    p_value = "" if c.p_value is None or c.margin is not None else f", p = {c.p_value:.2g}"
    return f"{c.evaluator} {change}{gain}{p_value}, {conversations_in_groups(*c.counted)}"


def _mark(entry: PolicyVersion) -> _Mark:
    return _Mark(loop=entry.loop, version=entry.version, fingerprint=entry.actions.fingerprint)


def _read_mark(version: HubVersion) -> _Mark | None:
    """The first mark of the message between blanks: a hub may keep messages on one line."""
    match = re.search(r"(?<!\S)sia:(\w+)/([1-9]\d*)/([0-9a-f]{16})(?!\S)", version.message, re.ASCII)
    return _Mark(loop=match[1], version=int(match[2]), fingerprint=match[3]) if match else None


def _version_of(entry: PolicyVersion, versions: Sequence[HubVersion]) -> HubVersion | None:
    """The prompt version that holds the entry's policy: its own; for a rollback also an earlier entry's.

    Of several (from concurrent runs) the one with the label, else the oldest, so that repeated calls agree.
    """
    own = _mark(entry)
    same = [v for v in versions if _read_mark(v) == own]
    if not same and entry.kind == "rollback":
        same = [v for v in versions if (mark := _read_mark(v)) and _holds(mark, own)]
    return next((v for v in same if LABEL in v.labels), same[0] if same else None)


def _holds(mark: _Mark, own: _Mark) -> bool:
    return (mark.loop, mark.fingerprint) == (own.loop, own.fingerprint)


def _check_order(entry: PolicyVersion, known: Publication | None, target: str) -> None:
    if known is not None and known.policy_version > entry.version:
        raise PublishConflict(
            f"loop {entry.loop}: {target} already holds version {known.policy_version}, which is newer than version "
            f"{entry.version}; publish the policy in force, or {_force(entry)} if the registry was started anew"
        )


def _check_owner(entry: PolicyVersion, versions: Sequence[HubVersion], *, prompt: str, target: str) -> None:
    marks = [mark for v in versions if (mark := _read_mark(v))]
    if versions and all(mark.loop != entry.loop for mark in marks):
        holder = f"loop {marks[-1].loop}" if marks else "somebody else"
        raise PublishConflict(
            f"loop {entry.loop}: the prompt {prompt!r} on {target} is {holder}'s: none of its {len(versions)} versions "
            f"was made by this loop; rename it there, or {_force(entry)} to add to it and move its label `{LABEL}`"
        )


def _check_label(
    entry: PolicyVersion,
    versions: Sequence[HubVersion],
    *,
    known: Publication | None,
    found: HubVersion | None,
    target: str,
) -> None:
    holder = next((v for v in versions if LABEL in v.labels), None)
    left = known.version_id if known and any(v.id == known.version_id for v in versions) else None
    if holder is None and left is None:
        return
    if holder is not None and (holder.id == left or holder == found):
        return
    now = f"is on {_holder(holder)}" if holder else "was removed"
    before = f"this loop left it on prompt version {known.version_id}" if known else "this loop never put it there"
    raise PublishConflict(
        f"loop {entry.loop}: the label `{LABEL}` on {target} {now}, while {before}; nothing was changed: ask who moved "
        f"it, move it back, or {_force(entry)} to move it to version {entry.version}"
    )


def _holder(version: HubVersion) -> str:
    mark = _read_mark(version)
    return f"prompt version {version.id} ({f'{mark.loop} version {mark.version}' if mark else 'not made by a loop'})"


def _force(entry: PolicyVersion) -> str:
    return f"run `sia policy publish --force --loop {entry.loop}`"
