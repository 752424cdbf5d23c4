"""Chat completions on the wire: what is read from a request, and what an answer looks like."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from sia_dagster.core.prompting import estimate_tokens
from sia_dagster.core.records.value import JsonObject, Value

FINGERPRINT = "simulated"
CREATED = 1_790_553_600
"""The `created` of every answer: the same request gives the same bytes."""


class Reply(Value):
    """What a simulated model answers: text, or one call of the tool it was made to call."""

    text: str = ""
    tool: str | None = None
    """The function's name; `text` is then its arguments."""


def text_of(content: Any) -> str:
    """The text of a message's `content`: itself, or the joined text of its parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def texts(messages: Iterable[JsonObject], *roles: str) -> list[str]:
    """The texts of the messages with one of `roles` (all, without any), in order."""
    return [text_of(m.get("content")) for m in messages if not roles or m.get("role") in roles]


def completion(model: str, messages: Sequence[JsonObject], reply: Reply) -> JsonObject:
    """The body of a chat completion; token counts are estimates, and `system_fingerprint` says *simulated*."""
    prompt = sum(estimate_tokens(text) + 4 for text in texts(messages))
    answer = estimate_tokens(reply.text)
    return {
        "id": f"chatcmpl-simulated-{_digest(model, messages)}",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "system_fingerprint": FINGERPRINT,
        "choices": [_choice(reply)],
        "usage": {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer},
    }


def _digest(model: str, messages: Sequence[JsonObject]) -> str:
    return hashlib.sha256(json.dumps([model, messages]).encode()).hexdigest()[:20]


def _choice(reply: Reply) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.tool:
        call = {"name": reply.tool, "arguments": reply.text}
        message |= {"content": None, "tool_calls": [{"id": "call_simulated", "type": "function", "function": call}]}
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if reply.tool else "stop"}
