"""Structured answers from any endpoint: a ladder of ways to ask; where the endpoint refuses one, the next is used.

Strict JSON schema -> a forced function call -> JSON mode -> text that is parsed. Whatever the method, the answer is
checked here; one that cannot be used is reported as such, never repaired and never guessed.
"""

import json
import re
from collections.abc import Callable
from enum import IntEnum
from functools import cached_property

from pydantic import Field

from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatModel, ChatReply, ChatRequest
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.text import storable

ReadText = Callable[[str], JsonObject | None]
"""Reads a plain answer; None where it is not of the form that was asked for."""
_FORMAT = re.compile(r"response_format|json|schema|structured output|grammar|\btools?\b|tool_choice|function", re.I)
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.S)
_SHOWN = 120


class AnswerMethod(IntEnum):
    """Ways to ask for a structured answer, the strictest first."""

    JSON_SCHEMA = 0
    TOOLS = 1
    JSON_MODE = 2
    TEXT = 3


def read_json(text: str) -> JsonObject | None:
    """The JSON object that is `text`, or that its last code fence contains; None if there is none.

    Its strings can be stored: half of a surrogate pair becomes U+FFFD.
    """
    fenced = _FENCE.findall(text)
    for candidate in (text, *fenced[-1:]):
        try:
            content = storable(json.loads(candidate))
        except (ValueError, RecursionError):
            continue
        if isinstance(content, dict):
            return content
    return None


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
        """The object in `reply`, or why there is none. The caller checks its values."""
        paid = Answer(attempts=reply.attempts, cost_usd=reply.cost_usd)
        if reply.finish_reason == "length":
            return paid.model_copy(update={"problem": "the answer was cut off at the token limit"})
        if reply.finish_reason == "content_filter":
            return paid.model_copy(update={"problem": "the endpoint's content filter withheld the answer"})
        text = next((call.arguments for call in reply.tool_calls if call.name == self.name), reply.text)
        content = (self.read_text if method is AnswerMethod.TEXT else read_json)(text)
        if content is None:
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            problem = f"the answer is not of the form asked for: {shown!r}"
            return paid.model_copy(update={"problem": problem, "text": text})
        return paid.model_copy(update={"content": content})


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


class StructuredCalls:
    """Asks for one form, and remembers for all who share the instance which ways of asking the endpoint refuses."""

    def __init__(self, chat: ChatModel, form: Form) -> None:
        self._chat, self._form = chat, form
        self._method, self._proven = AnswerMethod.JSON_SCHEMA, False

    async def ask(self, request: ChatRequest) -> Answer:
        """Ask once. A failed call or unusable answer is a value with `problem`.

        `request` carries neither tools nor a response format, and its last message is plain text. Raises what
        must stop the stage: EndpointRefused, SpendCapReached.
        """
        try:
            method, reply = await self._descend(request)
        except CallFailed as error:
            return Answer(problem=str(error), attempts=error.attempts)
        return self._form.read(method, reply)

    async def _descend(self, request: ChatRequest) -> tuple[AnswerMethod, ChatReply]:
        method = self._method
        while True:
            try:
                reply = await self._chat.complete(self._form.at(method, request))
            except CallFailed as error:
                if method is AnswerMethod.TEXT or not self._refuses_form(error, request.model):
                    raise
                method = AnswerMethod(method + 1)
            else:
                if not self._proven:
                    self._method, self._proven = method, True
                return method, reply

    def _refuses_form(self, error: CallFailed, model: str) -> bool:
        """Whether the endpoint refuses the way of asking. After one worked, a vague 400 concerns its row (too long)."""
        message = str(error).replace(model, "")  # A model's name may contain any word (`tool-use`).
        if error.status in {400, 404, 422, 500, 501} and _FORMAT.search(message):
            return True
        return error.status == 400 and not self._proven
