"""A window, a recorded call (`Sample`) with its messages, and the split of a conversation. All are frozen values."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from operator import not_
from typing import Final, Literal

from pydantic import Field

from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.value import JsonObject, Value

Split = Literal["train", "selection", "holdout"]


class TimeWindow(Value):
    """`[start, end)`, both aware. `key` is the partition key: the window's start."""

    key: str
    start: datetime
    end: datetime


class ToolCall(Value):
    """One call of a tool that an assistant message asks for."""

    id: str = ""
    name: str
    arguments: str = ""
    """JSON text, as the model wrote it."""


class Message(Value):
    """One message of a chat, in the terms of OpenInference."""

    role: str
    content: str | None = None
    """The text; of a multimodal message the joined text of its parts."""
    parts: tuple[JsonObject, ...] = ()
    """The parts of a multimodal message in the wire form of chat completions; empty for plain text."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    def to_openai(self) -> JsonObject:
        """The message in the wire form of chat completions."""
        wire: JsonObject = {"role": self.role, "content": list(self.parts) if self.parts else self.content}
        if self.name:
            wire["name"] = self.name
        if self.tool_call_id:
            wire["tool_call_id"] = self.tool_call_id
        if self.tool_calls:
            wire["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                for c in self.tool_calls
            ]
        return wire


class Sample(Value):
    """One call of the application: its input, its output and its evaluations."""

    span_id: str
    trace_id: str
    conversation_id: str
    """Session, else user, else trace, else span: the first id that stands for somebody."""
    user_id: str = Field(default="", exclude_if=not_)
    """Who wrote it, where the trace records that (`user.id`): what one account writes in many conversations is one
    source, of one split, and counts once. Stored only where it is recorded, so that other samples keep the bytes that
    they had before there was this field."""
    start_time: datetime
    split: Split
    system_prompt: str = ""
    """As it was sent, filled in; the leading system and developer messages joined by a blank line."""
    messages: tuple[Message, ...] = ()
    """The chat history without the leading system messages, oldest first."""
    output: str = ""
    variables: dict[str, str] = Field(default_factory=dict)
    """The values of the template's variables, where the trace recorded them."""
    template: str | None = None
    """The system prompt before filling in, only where filling it in gives `system_prompt` exactly."""
    name: str = ""
    """The span's name, such as `ChatCompletion`."""
    model: str = ""
    """As it was requested: an alias, or a deployment's name."""
    answered_by: str = ""
    """The model's name in the answer, where it is another (`gpt-4o-2024-08-06` for `gpt-4o`)."""
    parameters: JsonObject = Field(default_factory=dict)
    tools: tuple[JsonObject, ...] = ()
    tags: tuple[str, ...] = ()
    """The application's tags of the call (`tag.tags`), in its order."""
    evals: tuple[EvalMetrics, ...] = ()
    annotations: tuple[EvalMetrics, ...] = ()
    """People's annotations of the logged output in the trace store."""

    def score(self, evaluator: str) -> float | None:
        """The evaluator's score of the logged output; None where it gave none."""
        return next((e.score for e in self.evals if e.name == evaluator), None)

    @property
    def recorded_model(self) -> str:
        """The model's name as the trace store knows it (`llm.model_name`): that of the answer."""
        return self.answered_by or self.model

    @property
    def source(self) -> str:
        """Whoever is behind it: the user, else the conversation."""
        return f"user {self.user_id}" if self.user_id else f"conversation {self.conversation_id}"

    @property
    def request(self) -> str:
        """The text of the last user message, for people."""
        return next((m.content or "" for m in reversed(self.messages) if m.role == "user"), "")


NEARLY_ALL: Final = 0.9
FEWEST_TO_TELL: Final = 10
"""Among fewer conversations, that one name has nearly all of them says nothing."""
NOBODY: Final = frozenset(
    (
        *(
            "anonymous",
            "anon",
            "guest",
            "unknown",
            "none",
            "null",
            "nil",
            "nan",
            "undefined",
            "default",
            "na",
            "notset",
        ),
        *("unset", "empty", "missing", "noid", "false", "objectobject", ""),
    )
)
"""Ids of users and sessions that stand for nobody, in any case, without signs, and with or without "user", "session"
or "id" before or after them; so does one of zeros."""
_AFFIX = re.compile(r"^(?:user|session)(?:id)?|(?:user|session)(?:id)?$")


def person(user_id: str) -> str:
    """Who is behind a user's id: the id without case, blanks around it and forms of composition; empty for nobody."""
    name = unicodedata.normalize("NFKC", user_id).strip().casefold()
    plain = re.sub(r"[\W_]+", "", name)
    return "" if plain in NOBODY or _AFFIX.sub("", plain) in NOBODY or not plain.strip("0") else name


def conversation_of(session_id: str, user_id: str, trace_id: str, span_id: str) -> str:
    """The id of a call's conversation: the first of the four that stands for somebody, as it was recorded.

    A session "undefined", a user "anonymous" or a trace of zeros would make one conversation of all calls.
    """
    return next((name for name in (session_id, user_id, trace_id) if person(name)), span_id)


def is_shared_by_all(held: int, conversations: int) -> bool:
    """Whether so many conversations have a name (a user's id, a request) that it distinguishes none of them.

    Such as the id of a service account. A user with more than half of the conversations may be one person.
    """
    return conversations >= FEWEST_TO_TELL and held >= NEARLY_ALL * conversations


def in_order(samples: Iterable[Sample]) -> list[Sample]:
    """The samples, oldest first; those of one moment by id. Times may lack a zone."""
    return sorted(samples, key=lambda sample: (sample.start_time.timestamp(), sample.span_id))


def people_of(samples: Iterable[Sample]) -> dict[str, str]:
    """By conversation id, who it is with: the first person that any of its samples names; without one it is missing."""
    found: dict[str, str] = {}
    for sample in in_order(samples):
        if who := person(sample.user_id):
            found.setdefault(sample.conversation_id, who)
    return found


TRAIN_SHARE: Final = 0.3

SELECTION_SHARE: Final = 0.2
"""The rest, one half, is the holdout: the verdict needs the most conversations."""


def split_of(source_id: str) -> Split:
    """The split of a user, else of a conversation: the id's SHA-256 in [0, 1), cut at 0.3 (train) and 0.5 (selection).

    It depends on nothing else, so a user's conversations are of one split in every window.
    """
    digest = hashlib.sha256(source_id.encode("utf-8", "surrogatepass")).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    if point < TRAIN_SHARE:
        return "train"
    return "selection" if point < TRAIN_SHARE + SELECTION_SHARE else "holdout"
