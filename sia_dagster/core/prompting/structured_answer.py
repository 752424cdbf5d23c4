"""The form of a structured answer: how it is asked for in each way that endpoints know, and how it is read.

Strict JSON schema, a forced function call, JSON mode, or text that is parsed. Whatever the method, the answer is
checked here; one that cannot be used is reported as such, never repaired and never guessed.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import cached_property

from pydantic import Field

from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.prompting.answer_text import conclusions, final_object, own_words, with_fields
from sia_dagster.core.records.value import JsonObject, Value

ReadText = Callable[[str], JsonObject | None]
"""Reads a plain answer; None where it is not of the form that was asked for."""
_SHOWN = 120


class AnswerMethod(IntEnum):
    """Ways to ask for a structured answer, the strictest first."""

    JSON_SCHEMA = 0
    TOOLS = 1
    JSON_MODE = 2
    TEXT = 3


class Form(Value):
    """The form of an answer, for every way of asking."""

    name: str
    """Name of the schema and of the function: letters, digits and underscores."""
    shape: JsonObject
    """A JSON schema of an object. Models write properties in this order, so reasons come before conclusions."""
    text_instruction: str = ""
    """Ends the last message for an endpoint without structured output; empty: a fenced JSON object is asked for."""
    read_text: ReadText | None = None
    """Reads the answer to `text_instruction`, without thoughts; an object is read in any case."""

    @cached_property
    def _schema_format(self) -> JsonObject:
        described = {"name": self.name, "strict": True, "schema": self.shape}
        return {"type": "json_schema", "json_schema": described}

    @cached_property
    def _tool(self) -> JsonObject:
        described = {"name": self.name, "description": "Gives the answer.", "parameters": self.shape}
        return {"type": "function", "function": described}

    @cached_property
    def _instructions(self) -> dict[AnswerMethod, str]:
        schema = json.dumps(self.shape, ensure_ascii=False)
        return {
            AnswerMethod.JSON_MODE: f"Answer with one JSON object and nothing else, of this JSON schema:\n{schema}",
            AnswerMethod.TEXT: self.text_instruction
            or f"Answer with one JSON object in a ```json code fence, of this JSON schema:\n{schema}",
        }

    def at(self, method: AnswerMethod, request: ChatRequest) -> ChatRequest:
        """`request`, asked in the way of `method`."""
        if method is AnswerMethod.JSON_SCHEMA:
            return request.model_copy(update={"response_format": self._schema_format})
        if method is AnswerMethod.TOOLS:
            choice = {"type": "function", "function": {"name": self.name}}
            parameters = {**request.parameters, "tool_choice": choice}
            return request.model_copy(update={"tools": (self._tool,), "parameters": parameters})
        *head, last = request.messages
        asked = {**last, "content": f"{last['content']}\n\n{self._instructions[method]}"}
        format_ = {"type": "json_object"} if method is AnswerMethod.JSON_MODE else None
        return request.model_copy(update={"messages": (*head, asked), "response_format": format_})

    def read(self, method: AnswerMethod, reply: ChatReply, judged: str = "") -> "Answer":
        """The object in `reply`, wherever it stands, or why there is none. The caller checks its values.

        Whatever could be the answer must agree on each field of few values, such as a label. What is repeated from
        `judged`, the texts that the answer is about, is no answer.
        """
        paid = Answer(attempts=reply.attempts, cost_usd=reply.cost_usd)
        if reply.finish_reason == "length":
            return paid.model_copy(update={"problem": "the answer was cut off at the token limit"})
        if reply.finish_reason == "content_filter":
            quoted = f": {_shown(reply.text)}" if reply.text else ""
            problem = f"the model declined, or the endpoint's content filter withheld the answer{quoted}"
            return paid.model_copy(update={"problem": problem})
        texts = self._texts(reply)
        shown = _shown(texts[0] if texts else "")
        own = [own_words(text, judged, self._decisive) for text in texts]
        if field := self._contradicted(own):
            return paid.model_copy(update={"problem": f"the answer gives more than one {field}: {shown}"})
        found = [content for text in own for content in self._contents(method, text)]
        content = next((content for content in found if self.fits(content)), found[0] if found else None)
        if content is None:
            problem = f"the answer is not of the form asked for: {shown}"
            return paid.model_copy(update={"problem": problem, "text": texts[0] if texts else ""})
        return paid.model_copy(update={"content": content})

    def fits(self, content: JsonObject) -> bool:
        """Whether the object has the fields that the form requires."""
        return all(field in content for field in self._fields)

    @property
    def _fields(self) -> tuple[str, ...]:
        return tuple(self.shape.get("required", ()))

    def _texts(self, reply: ChatReply) -> list[str]:
        """Where the answer may stand: the arguments of calls, the text, else the thoughts; the call asked for first."""
        calls = sorted(reply.tool_calls, key=lambda call: call.name != self.name)
        given = [text for text in (*(call.arguments for call in calls), reply.text) if text.strip()]
        return given or [text for text in (reply.reasoning,) if text]

    @cached_property
    def _decisive(self) -> tuple[str, ...]:
        """The fields with one of few values."""
        return tuple(name for name, shape in self.shape["properties"].items() if "enum" in shape)

    def _contradicted(self, own: Sequence[str]) -> str | None:
        """The first field for which the texts give several values."""
        given = {field: {value for text in own for value in conclusions(text, field)} for field in self._decisive}
        return next((field for field, values in given.items() if len(values) > 1), None)

    def _contents(self, method: AnswerMethod, text: str) -> Iterator[JsonObject]:
        """What the text says, read as was asked for, then as JSON."""
        plain = self.read_text(text) if method is AnswerMethod.TEXT and self.read_text is not None else None
        for content in (plain, final_object(text, nothing_behind=bool(self._decisive))):
            if content is not None:
                yield with_fields(content, self._fields) or content


class Answer(Value):
    """A structured answer, or the reason that there is none."""

    content: JsonObject | None = None
    problem: str = ""
    """Empty exactly if there is `content`."""
    too_long: bool = False
    """Whether there is none because the question is longer than the model's context."""
    text: str = ""
    """An answer that is not of the form asked for, as it came."""
    attempts: int = Field(default=0, ge=0)
    """Of the call that was answered; refused ways of asking are not counted, so that a run from the store agrees."""
    cost_usd: float | None = None


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
