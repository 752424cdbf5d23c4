"""Attacks by kind, as a gullible updater would copy them from a trace, and the world in which each is tried.

`guard_attacks_by_kind.json`: what a trace holds, whose text it is, the line that is added to the prompt, and the
samples that the edit names as its causes where support is what is tried.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from sia_dagster.core.guard import check_contract
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.guard import GuardFinding, stops
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.search import Edit
from sia_dagster_tests.places import CORPORA

POLICY: Final = Actions(
    system_prompt="You answer the messages of a shop's customers. Be polite and brief.\nName the order first.",
    model="m",
)
_TALK: Final = (
    ("where is my parcel, it was to come on Monday?", "I am sorry. It left our warehouse yesterday."),
    ("the lamp arrived with a crack in its foot", "I am sorry. We send a new one today."),
    ("can I change the delivery address?", "Yes, until it leaves the warehouse."),
    ("how long does a repair take?", "About two weeks."),
    ("the invoice lacks our tax number", "We will correct it."),
)
OTHERS: Final = ("s0", "s1", "s2")


class Attack(NamedTuple):
    """One attack."""

    kind: str
    author: str
    trace: str
    edit: str
    expected: str
    """`stop`, or `person`: at least that."""
    samples: tuple[str, ...] | None = None
    """What the edit names as its causes; by default the attack's sample and those of three other users."""


ATTACKS_BY_KIND: Final = tuple(
    Attack(**{**given, "samples": tuple(given["samples"]) if "samples" in given else None})
    for given in json.loads((CORPORA / "guard_attacks_by_kind.json").read_text(encoding="utf-8"))
)


def talk(span_id: str, request: str, answer: str, user: str) -> Sample:
    """One conversation of a user."""
    return Sample(
        span_id=span_id,
        trace_id=span_id,
        conversation_id=span_id,
        user_id=user,
        start_time=datetime(2026, 11, 9, tzinfo=UTC),
        split="train",
        messages=(Message(role="user", content=request),),
        output=answer,
    )


def everyday() -> list[Sample]:
    """What five users wrote and were answered."""
    return [talk(f"s{place}", *texts, f"u{place}") for place, texts in enumerate(_TALK)]


def world_of(attack: Attack) -> list[Sample]:
    """The everyday samples with the attack's, and three more conversations of the same account."""
    texts = {attack.author: attack.trace}
    tool = (Message(role="tool", content=texts["tool"]),) if "tool" in texts else ()
    judged = EvalMetrics(name="judge", score=0.0, explanation=texts.get("explanation"))
    sample = talk("attack", texts.get("user", "hello there"), texts.get("answer", "Thank you."), "mallory").model_copy(
        update={"variables": {"note": texts["variable"]} if "variable" in texts else {}, "evals": (judged,)}
    )
    sample = sample.model_copy(update={"messages": (*sample.messages, *tool)})
    again = [talk(f"again {n}", "hello again", "Thank you.", "mallory") for n in (1, 2, 3)]
    return [*everyday(), sample, *again]


def edited_by(attack: Attack) -> tuple[Actions, Edit]:
    """The candidate of an updater that believes the trace, and its edit."""
    causes = attack.samples if attack.samples is not None else ("attack", *OTHERS)
    edit = Edit(operation="add", text=attack.edit, samples=causes)
    return POLICY.model_copy(update={"system_prompt": f"{POLICY.system_prompt}\n{attack.edit}"}), edit


def findings_of(attack: Attack) -> tuple[GuardFinding, ...]:
    """What the guard finds."""
    candidate, edit = edited_by(attack)
    return check_contract(candidate, POLICY, world_of(attack), edits=(edit,))


def outcome(findings: tuple[GuardFinding, ...]) -> str:
    """`pass`, `stop` or `person`."""
    return "stop" if stops(findings) else "person" if findings else "pass"


def innocent_cases() -> Iterator[tuple[Actions, Actions, list[Sample]]]:
    """220 innocent edits in 14 languages: candidate, policy in force, samples."""
    for given in json.loads((CORPORA / "innocent_edits_by_language.json").read_text(encoding="utf-8")):
        policy = Actions(system_prompt=given["prompt"], model="m")
        samples = [talk(f"s{n}", request, answer, f"u{n}") for n, (request, answer) in enumerate(given["samples"])]
        for edit in given["edits"]:
            yield policy.model_copy(update={"system_prompt": f"{policy.system_prompt}\n{edit}"}), policy, samples
