"""The calls and policies that `sia check` finds in a window, so that a user can write `traces.where`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from sia_dagster.cli.check.check_results import Result
from sia_dagster.cli.text_tables import new_table
from sia_dagster.core.attribution import attribute
from sia_dagster.core.config.trace_source import TracesConfig
from sia_dagster.core.records.policy import PolicyShare
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value
from sia_dagster.reports.policy_shares import beginning, origin
from sia_dagster.reports.wording import NOTHING, visible

SHOWN = 12
"""Rows of the table; the JSON holds all."""
MANY = 5
"""With more prompts without a template than this, the finding says why none was found."""
Fact = tuple[str, str]
"""Span name and model of a call."""


class CallRow(Value):
    """Calls of one span name, model and prompt."""

    name: str
    model: str
    policy: int
    """Which prompt this is, counted from 0: the one in force, else the commonest."""
    prompt: str
    """Its first words, with the slots of its variables; where they are those of prompt 0, the first that differ."""
    origin: str
    """How its samples were attributed to this prompt."""
    in_force: bool
    same_call: bool
    """Whether it is a version of the prompt in force, and not another call of the application."""
    samples: int
    share: float
    """Of the window's readable samples, 0..1."""
    calls: int
    """All of the window's calls of this name and model, whatever their prompt."""


class Calls(Value):
    """The calls and prompts of a window."""

    rows: tuple[CallRow, ...] = ()
    """Of the prompt in force first, then by samples."""
    where: str | None = None
    """A condition that selects this loop's call only, where span name or model distinguish it."""
    refused: tuple[str, ...] = ()
    """Why templates could not be recovered."""
    samples: tuple[Sample, ...] = ()
    """The window's samples, with the template and variables that they were sent with."""


def calls_in(
    traces: TracesConfig, samples: Sequence[Sample], counts: Mapping[Fact, int], registry: Sequence[PolicyVersion]
) -> Calls:
    """The window's calls by name, model and prompt.

    `where` is in the language of `traces` and extends the condition there; `counts` are of all calls of the window;
    `registry` holds the entries of that time.
    """
    in_force = max(registry, key=lambda version: version.version, default=None)
    attributed = attribute(samples, registry, in_force)
    groups = Counter(
        (place, s.name, s.recorded_model) for place, s in zip(attributed.places, attributed.samples, strict=True)
    )
    ordered = sorted(groups, key=lambda key: (key[0], -groups[key], key[1:]))
    return Calls(
        rows=tuple(_row(attributed.policies, key, groups[key], counts) for key in ordered),
        where=_where(traces, attributed.samples, [attributed.policies[place].same_call for place in attributed.places]),
        refused=attributed.refused,
        samples=attributed.samples,
    )


def calls_finding(calls: Calls) -> str | tuple[Result, str]:
    """Whether all samples of the window are of one call, in words."""
    ours = [row for row in calls.rows if row.same_call]
    share = sum(row.share for row in ours)
    versions = len({row.policy for row in ours})
    text = f"one call, {versions} prompts" if versions > 1 else "one call, one prompt"
    if calls.refused and len({row.policy for row in calls.rows if row.origin == "text as sent"}) > MANY:
        text += f"; no template was found for some prompts: {calls.refused[0]}"
    if len(ours) == len(calls.rows):
        return text
    advice = (
        f"set traces.where: {calls.where}"
        if calls.where
        else "span name and model do not distinguish them: set traces.where by another column"
    )
    return "warn", f"{share:.0%} of the samples are of this loop's call, the others would be left out; {advice}"


def calls_table(calls: Calls, title: str) -> Table:
    """The rows as a table for the terminal."""
    table = new_table("span", "model, role and prompt", "calls", "samples", "share", title=title, numbers=3)
    for row in calls.rows[:SHOWN]:
        role = "in force" if row.in_force else "same call" if row.same_call else "another call"
        # In one column, a line each: beside each other they leave the prompt no room in a terminal of 80 columns.
        text = f"{row.model or NOTHING}, {role} ({row.origin})\n{row.prompt}"
        # Text, not markup: names and prompts come from traces.
        numbers = (f"{row.calls:,}", f"{row.samples:,}", f"{row.share:.0%}")
        table.add_row(Text(row.name or NOTHING), Text(text), *numbers)
    if len(calls.rows) > SHOWN:
        table.add_row("", f"and {len(calls.rows) - SHOWN} more; --json lists all", "", "", "")
    return table


def _row(
    policies: Sequence[PolicyShare], key: tuple[int, str, str], samples: int, counts: Mapping[Fact, int]
) -> CallRow:
    place, name, model = key
    policy = policies[place]
    return CallRow(
        name=visible(name),
        model=visible(model),
        policy=place,
        prompt=beginning(policy.system_prompt, policies[0].system_prompt),
        origin=origin(policy),
        in_force=policy.in_force,
        same_call=policy.same_call,
        samples=samples,
        share=samples / sum(each.samples for each in policies),
        calls=counts.get((name, model), samples),
    )


class _Language(NamedTuple):
    name: str
    model: str
    equals: str = "="
    both: str = "AND"
    either: str = "OR"


_LANGUAGES: Mapping[str, _Language] = {
    "local": _Language("name", "attributes.llm.model_name"),
    "arize": _Language("name", "attributes.llm.model_name"),
    "phoenix": _Language("name", "llm.model_name", "==", "and", "or"),
}
"""The columns of span name and model in each trace store, and how it writes conditions."""


def _where(traces: TracesConfig, samples: Sequence[Sample], ours: Sequence[bool]) -> str | None:
    """A condition on the name, else on the model, that all samples of this loop's call and no others meet."""
    if all(ours):
        return None
    syntax = _LANGUAGES[traces.source]
    readers: dict[str, Callable[[Sample], str]]
    readers = {syntax.name: lambda s: s.name, syntax.model: lambda s: s.recorded_model}
    for column, read in readers.items():
        here = {read(s) for s, our in zip(samples, ours, strict=True) if our}
        there = {read(s) for s, our in zip(samples, ours, strict=True) if not our}
        if here and not here & there and all(map(_plain, here)):
            # `${` of a trace is no reference to a variable.
            values = (value.replace("${", "$${") for value in sorted(here))
            condition = f" {syntax.either} ".join(f"{column} {syntax.equals} '{value}'" for value in values)
            if not traces.where.strip():
                return condition
            return f"({traces.where.strip()}) {syntax.both} {f'({condition})' if len(here) > 1 else condition}"
    return None


def _plain(value: str) -> bool:
    """Whether the value can be quoted as it is in all three languages."""
    return bool(value) and value.isprintable() and not set(value) & set("'\\")
