"""Windows of an application whose prompts are known: the text before filling in, and what each call was filled with."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import Message, Sample, TimeWindow, split_of

START = datetime(2026, 11, 9, tzinfo=UTC)


WINDOW = TimeWindow(key="2026-11-09", start=START, end=START + timedelta(days=7))


CONSTANT = EvalConstant(name="correctness", kind="code", fingerprint="f", primary=True)


DESK = (
    "You answer the customers of a bicycle shop. The customer is called {customer} and was first seen in {since} by "
    "the owner. Be polite, answer in at most five sentences and never promise a refund before the workshop has seen "
    "the bicycle."
)


DESK_LATER = DESK.replace("Be polite, answer in at most five sentences", "Be warm, name the order, write a few lines")


TITLES = (
    "Write a headline of at most eight words for the text below. Use no full stop, no quotation marks and no name of "
    "a person; where the text is empty, write the word nothing and stop."
)


NAMES = ["Ada Byron", "Bob", "Carla di Rosa", "Dai", "Eve M.", "Femi Okoro", "Gil", "Hana", "Ivo Petrov", "Jun"]


MONTHS = ["March", "May", "June", "August", "October", "last winter", "two weeks"]


def fill(template: str, values: Mapping[str, str]) -> str:
    return Actions(system_prompt=template, variables=tuple(values)).render(values)


def customer(number: int) -> dict[str, str]:
    """What the desk's prompt is filled with in one call."""
    return {
        "customer": NAMES[number * 7 % len(NAMES)] + (f" {number}" if number % 3 else ""),
        "since": f"{MONTHS[number * 5 % len(MONTHS)]} {2009 + number % 11}",
    }


def spoke(number: int, prompt: str = DESK, **fields: Any) -> Sample:
    """One call of the window; `prompt` as it was sent."""
    values = {
        "span_id": f"span-{number:03}",
        "trace_id": f"trace-{number}",
        "conversation_id": f"conversation-{number}",
        "start_time": START + timedelta(minutes=number),
        "split": split_of(f"conversation-{number}"),
        "system_prompt": prompt,
        "messages": (Message(role="user", content=f"question {chr(97 + number % 26)}{chr(97 + number // 26)}"),),
        "output": "answer",
        "name": "ChatCompletion",
        "model": "model-a",
    }
    return Sample.model_validate(values | fields)


def filled(numbers: Sequence[int], template: str = DESK, **fields: Any) -> list[Sample]:
    """Calls of which the trace holds the filled prompt alone."""
    return [spoke(n, fill(template, customer(n)), **fields) for n in numbers]


def recorded(numbers: Sequence[int], template: str = DESK, **fields: Any) -> list[Sample]:
    """Calls of which the trace holds template and variables, too."""
    return [
        spoke(n, fill(template, customer(n)), **{"template": template, "variables": customer(n), **fields})
        for n in numbers
    ]


def version(number: int, actions: Actions, **fields: Any) -> PolicyVersion:
    """An entry of the registry from before the window."""
    at = START - timedelta(days=30 - number)
    given: dict[str, Any] = {"version": number, "loop": "desk", "kind": "promote", "actions": actions, "at": at}
    return PolicyVersion.model_validate(given | fields)
