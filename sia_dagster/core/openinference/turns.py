"""Turns recorded messages into a chat that an endpoint accepts."""

from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import Final

from sia_dagster.core.openinference.messages import is_blank
from sia_dagster.core.openinference.python_text import is_opaque
from sia_dagster.core.records.sample import Message, ToolCall

SYSTEM_ROLES: Final = frozenset({"system", "developer"})


def as_chat(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same chat in the order and with the ids that chat completions require; a valid chat is unchanged.

    Empty assistant messages (thoughts alone) are dropped. Calls that follow an assistant message become part of it,
    since some APIs record each call as an item of its own. Calls without an id get one. A result without an id answers
    the first open call of its name, else the first open one; `function` results become `tool` results.
    """
    kept = (m for m in messages if m.role != "assistant" or m.content is not None or m.parts or m.tool_calls)
    return _paired(_joined(kept))


def completed(recorded: Sequence[Message], sent: Sequence[Message]) -> tuple[Message, ...]:
    """The recorded messages with the parts of the raw request, since instrumentors leave out parts or their details.

    Only if both are the same chat by length and roles, and what was recorded is part of what was sent.
    """
    if [m.role for m in recorded] != [m.role for m in sent]:
        return tuple(recorded)
    return tuple(
        message.model_copy(update={"parts": raw.parts}) if _holds(raw, message) else message
        for message, raw in zip(recorded, sent, strict=True)
    )


def filled(recorded: Sequence[Message], sent: Sequence[Message]) -> tuple[Message, ...]:
    """The recorded messages; one that lost its text is taken from the raw request.

    Only if both are the same chat by length, roles and all other texts. System messages may be missing in one of them,
    since some APIs have the system prompt beside the chat.
    """
    if not any(_is_empty(message) for message in recorded):
        return tuple(recorded)
    whole = [message.role for message in recorded] == [message.role for message in sent]
    talk = iter(sent if whole else [message for message in sent if message.role not in SYSTEM_ROLES])
    pairs = [(m, next(talk, None) if whole or m.role not in SYSTEM_ROLES else m) for m in recorded]
    if next(talk, None) is not None or not all(raw and _may_be(message, raw) for message, raw in pairs):
        return tuple(recorded)
    return tuple(raw if raw and _is_empty(message) else message for message, raw in pairs)


def is_lost(message: Message) -> bool:
    """Whether a message of the user, or of a tool, has nothing in it: a tool may answer with empty text."""
    if message.role == "user":
        return _is_empty(message)
    return message.role == "tool" and message.content is None and not message.parts


def without_repeats(history: Sequence[Message], prompts: Collection[str]) -> tuple[Message, ...]:
    """The messages without the system messages that only say one of the `prompts` again."""
    if not any(message.role in SYSTEM_ROLES for message in history):
        return tuple(history)
    said = {" ".join(prompt.split()) for prompt in prompts} - {""}
    return tuple(m for m in history if not (m.role in SYSTEM_ROLES and " ".join((m.content or "").split()) in said))


def _is_empty(message: Message) -> bool:
    """Whether there is no text, or an object's name in its place, and nothing else."""
    return (
        (is_blank(message.content) or is_opaque(message.content or "")) and not message.parts and not message.tool_calls
    )


def _may_be(message: Message, raw: Message) -> bool:
    return message.role == raw.role and (
        _is_empty(message) or (message.content or "").strip() == (raw.content or "").strip()
    )


def _holds(raw: Message, recorded: Message) -> bool:
    """Whether the raw message has parts, the recorded one's text and all of its images."""
    return bool(raw.parts) and raw.content == recorded.content and set(_images(recorded)) <= set(_images(raw))


def _images(message: Message) -> list[str]:
    return [str(part["image_url"].get("url")) for part in message.parts if part["type"] == "image_url"]


def _joined(messages: Iterable[Message]) -> list[Message]:
    """The messages, with calls joined to the assistant messages right before them."""
    turns: list[Message] = []
    for message in messages:
        turns.append(message)
        while len(turns) > 1 and _goes_on(*turns[-2:]):
            last = turns.pop()
            text = "\n".join(text for text in (turns[-1].content, last.content) if text) or turns[-1].content
            calls = turns[-1].tool_calls + last.tool_calls
            turns[-1] = turns[-1].model_copy(update={"content": text, "tool_calls": calls})
    return turns


def _goes_on(before: Message, message: Message) -> bool:
    """Whether a message holds calls that belong to the assistant message before it."""
    both = before.role == message.role == "assistant" and not (before.parts or message.parts)
    return both and bool(message.tool_calls)


def _paired(messages: Sequence[Message]) -> tuple[Message, ...]:
    given = {call.id for message in messages for call in message.tool_calls}
    fresh = (name for name in (f"call_{number}" for number in count(1)) if name not in given)
    still_open: list[ToolCall] = []
    turns = []
    for message in messages:
        if message.tool_calls:
            calls = tuple(c if c.id else c.model_copy(update={"id": next(fresh)}) for c in message.tool_calls)
            still_open += calls
            turns.append(message.model_copy(update={"tool_calls": calls}))
        elif message.role in {"tool", "function"}:
            turns.append(_answering(message, still_open))
        else:
            turns.append(message)
    return tuple(turns)


def _answering(result: Message, still_open: list[ToolCall]) -> Message:
    """The result with the id of the call that it answers; that call is no longer open."""
    wanted = result.tool_call_id
    matches = [c for c in still_open if c.id == wanted] if wanted else _matching(result.name, still_open)
    if not matches:
        return result
    still_open.remove(matches[0])
    if wanted:
        return result
    return result.model_copy(update={"role": "tool", "tool_call_id": matches[0].id, "name": None})


def _matching(name: str | None, still_open: Sequence[ToolCall]) -> list[ToolCall]:
    return [c for c in still_open if c.name == name] if name else list(still_open)
