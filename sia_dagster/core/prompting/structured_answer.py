"""The form of a structured answer: how it is asked for in each way that endpoints know, and how it is read.

Strict JSON schema, a forced function call, JSON mode, or text that is parsed. Whatever the method, the answer is
checked here; one that cannot be used is reported as such, never repaired and never guessed.
"""

import json
from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import cached_property

from pydantic import Field

from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.prompting.answer_text import read_json, with_fields, without_thoughts
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
    read_text: ReadText = read_json
    """Reads the answer to `text_instruction`."""

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

    def read(self, method: AnswerMethod, reply: ChatReply) -> "Answer":
        """The object in `reply`, wherever it stands, or why there is none. The caller checks its values."""
        paid = Answer(attempts=reply.attempts, cost_usd=reply.cost_usd)
        if reply.finish_reason == "length":
            return paid.model_copy(update={"problem": "the answer was cut off at the token limit"})
        if reply.finish_reason == "content_filter":
            quoted = f": {_shown(reply.text)}" if reply.text else ""
            problem = f"the model declined, or the endpoint's content filter withheld the answer{quoted}"
            return paid.model_copy(update={"problem": problem})
        texts = self._texts(reply)
        found = [content for text in texts for content in self._contents(method, text)]
        content = next((content for content in found if self.fits(content)), found[0] if found else None)
        if content is None:
            text = texts[0] if texts else ""
            problem = f"the answer is not of the form asked for: {_shown(text)}"
            return paid.model_copy(update={"problem": problem, "text": text})
        return paid.model_copy(update={"content": content})

    def fits(self, content: JsonObject) -> bool:
        """Whether the object has the fields that the form requires."""
        return all(field in content for field in self._fields)

    @property
    def _fields(self) -> tuple[str, ...]:
        return tuple(self.shape.get("required", ()))

    def _texts(self, reply: ChatReply) -> list[str]:
        """Where the answer may stand: the arguments of the call asked for or the only one, the text, the thoughts."""
        named = [call.arguments for call in reply.tool_calls if call.name == self.name]
        called = named or ([reply.tool_calls[0].arguments] if len(reply.tool_calls) == 1 else [])
        return [text for text in (*called, reply.text, reply.reasoning) if text]

    def _contents(self, method: AnswerMethod, text: str) -> Iterator[JsonObject]:
        """What the text says, read as was asked for, then as JSON."""
        plain = self.read_text(without_thoughts(text)) if method is AnswerMethod.TEXT else None
        for content in (plain, read_json(text)):
            if content is not None:
                yield with_fields(content, self._fields) or content


class Answer(Value):
    """A structured answer, or the reason that there is none."""

    content: JsonObject | None = None
    problem: str = ""
    """Empty exactly if there is `content`."""
    text: str = ""
    """An answer that is not of the form asked for, as it came."""
    attempts: int = Field(default=0, ge=0)
    """Of the call that was answered; refused ways of asking are not counted, so that a run from the store agrees."""
    cost_usd: float | None = None


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
