"""Asks a model which of an evaluator's statements name the same fault, where the evaluator words freely."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from sia_dagster.core.prompting import NOTICE, Form, quote
from sia_dagster.core.prompting.prompts import load_prompt
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.search.causes import Complaints, Statement
from sia_dagster.core.search.clauses import Clause
from sia_dagster.core.search.desk import Desk

FEWEST: Final = 6
"""Statements that nothing is known of, from which on a model is asked: fewer are proposed for as they are."""
LEAST_GROUPED: Final = 0.25
"""Share of the new statements; an answer with fewer has not done what was asked."""
MOST: Final = 80
"""Statements in one question, those said most often first."""
FORM: Final = Form(
    name="faults",
    shape={
        "type": "object",
        "properties": {
            "faults": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "statements": {"type": "array", "items": {"type": "integer"}},
                    },
                    "required": ["name", "statements"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["faults"],
        "additionalProperties": False,
    },
)
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")


async def name_faults(desk: Desk, complaints: Complaints, metrics: Mapping[str, EvalMetrics], *, draw: str) -> None:
    """Let a model put statements together, if FEWEST or more are new and a judge said them; else change nothing.

    One call. An answer that cannot be used changes nothing, nor does one that leaves out most of the statements:
    then each statement is a cause by itself. Raises SearchCapReached.
    """
    unknown = complaints.unknown(complaints.statements(metrics))
    if complaints.constant.kind != "llm_classify" or len(unknown) < FEWEST:
        return
    fresh = sorted(unknown, key=lambda each: (-len(each.samples), each.clause.text))[:MOST]
    known = [Statement(Clause(text, wordings[0]), ()) for text, wordings in complaints.faults]
    asked = [*known, *fresh]
    answer = await desk.propose(_messages(complaints, asked), FORM, draw=draw)
    groups = _groups((answer.content or {}).get("faults"), len(asked))
    grouped = {number for group in groups for number in group if number > len(known)}
    if len(grouped) < LEAST_GROUPED * len(fresh):
        return
    for group in groups:
        _join(complaints, [number - 1 for number in group], asked, len(known))
    complaints.asides += [
        each.clause.stems for number, each in enumerate(asked, start=1) if number not in grouped and number > len(known)
    ]


def _join(complaints: Complaints, places: Sequence[int], asked: Sequence[Statement], known: int) -> None:
    """Add a group's new statements to the fault among them that was known before, else as a fault of their own."""
    fresh = tuple(asked[place].clause.stems for place in places if place >= known)
    earlier = next((place for place in places if place < known), None)
    if earlier is not None:
        text, wordings = complaints.faults[earlier]
        complaints.faults[earlier] = (text, (*wordings, *fresh))
    elif fresh:
        complaints.faults.append((asked[places[0]].clause.text, fresh))


def _groups(faults: object, statements: int) -> list[list[int]]:
    """The numbers of each fault; a number that there is not is left out."""
    found = []
    for fault in faults if isinstance(faults, list) else []:
        given = fault.get("statements") if isinstance(fault, dict) else None
        numbers = given if isinstance(given, list) else []
        found.append([each for each in dict.fromkeys(numbers) if isinstance(each, int) and 1 <= each <= statements])
    return [group for group in found if group]


def _messages(complaints: Complaints, asked: Sequence[Statement]) -> tuple[JsonObject, ...]:
    lines = [
        f"Statement {number} ({len(each.samples)}):\n{quote(each.clause.text, 'statement')}"
        for number, each in enumerate(asked, start=1)
    ]
    texts = {
        "notice": NOTICE,
        "criteria": quote(complaints.constant.criteria, "criteria"),
        "statements": "\n".join(lines),
    }
    system, user = (_PLACEHOLDER.sub(lambda match: texts[match[1]], part) for part in _parts())
    return ({"role": "system", "content": system}, {"role": "user", "content": user})


@cache
def _parts() -> tuple[str, str]:
    system, _, user = load_prompt("causes").partition("\n---\n")
    return system, user
