"""The wire form of a chat completion: the body of a request, and the checked answer of a reply."""

import json
from typing import Any

from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.prompting import estimate_tokens
from sia_dagster.core.records.sample import ToolCall
from sia_dagster.core.records.value import JsonObject

# Recorded calls may contain these; here one answer is requested, and read as a whole.
_NOT_PASSED_ON = {"model", "messages", "stream", "stream_options", "n"}

_MOST_TOKENS = 10**9
"""More than any call takes: a larger number in a reply is ignored."""


class BadReply(ValueError):
    """A reply of status 200 that is no chat completion, with what is wrong with it."""


def body_of(request: ChatRequest) -> JsonObject:
    """The JSON body of `request`; its own fields override parameters of the same name."""
    body: JsonObject = {name: value for name, value in request.parameters.items() if name not in _NOT_PASSED_ON}
    body |= {"model": request.model, "messages": list(request.messages)}
    if request.tools:
        body["tools"] = list(request.tools)
    if request.response_format is not None:
        body["response_format"] = request.response_format
    return body


def estimate_prompt(request: ChatRequest) -> int:
    """The estimated tokens of the prompt: texts of messages, and schemas; images count nothing."""
    texts = [_text(message.get("content")) for message in request.messages]
    schemas = [json.dumps(schema) for schema in (*request.tools, request.response_format) if schema]
    return estimate_tokens("\n".join(texts + schemas))


def answer_limit(request: ChatRequest) -> int | None:
    """The most tokens of the answer; None where the request sets no limit, as with the -1 of local servers."""
    asked = [request.parameters.get(name) for name in ("max_tokens", "max_completion_tokens")]
    return min((limit for limit in asked if type(limit) is int and limit > 0), default=None)


def parse_completion(text: str, *, estimated_prompt: int) -> ChatReply:
    """The answer in a reply's body. Raises BadReply for anything that is no chat completion.

    An empty answer is an answer: `finish_reason` gives the reason. Without usage in the reply, tokens are estimates.
    """
    payload = _json(text)
    choice = _first_choice(payload)
    message = choice["message"]
    written = _text(message.get("content")) or _text(message.get("refusal"))
    usage = payload.get("usage")
    used: JsonObject = usage if isinstance(usage, dict) else {}
    prompt = _count(used.get("prompt_tokens"), estimated_prompt)
    completion = _count(used.get("completion_tokens"), estimate_tokens(written))
    return ChatReply(
        text=written,
        tool_calls=_tool_calls(message.get("tool_calls") or []),
        finish_reason=_text(choice.get("finish_reason")),
        prompt_tokens=prompt,
        cached_tokens=min(prompt, _detail(used, "prompt", "cached_tokens")),
        completion_tokens=completion,
        reasoning_tokens=min(completion, _detail(used, "completion", "reasoning_tokens")),
    )


def _json(text: str) -> JsonObject:
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"the reply is no valid JSON ({len(text)} characters)") from error
    if not isinstance(payload, dict):
        raise BadReply("the reply is no JSON object")
    return payload


def _first_choice(payload: JsonObject) -> JsonObject:
    choices = payload.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choice: JsonObject = choices[0]
        if isinstance(choice.get("message"), dict):
            return choice
    # Some routers report an upstream failure in a reply of status 200.
    message = error_message(payload)
    raise BadReply(f"the reply has no choices: {message}" if message else "the reply has no choices")


def error_message(payload: object) -> str:
    """The message of an error body, in the forms that endpoints use; "" where there is none."""
    if isinstance(payload, dict):
        for name in ("error", "message", "detail", "msg"):
            if message := error_message(payload.get(name)):
                return message
        return ""
    if isinstance(payload, list):
        return error_message(payload[0]) if payload else ""
    return payload if isinstance(payload, str) else ""


def _tool_calls(calls: object) -> tuple[ToolCall, ...]:
    return tuple(_tool_call(call) for call in (calls if isinstance(calls, list) else [calls]))


def _tool_call(call: Any) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadReply("the reply has a tool call without a function")
    arguments = function.get("arguments") or ""
    # Some local servers send the arguments as an object.
    as_text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(id=_text(call.get("id")), name=_text(function["name"]), arguments=_text(as_text))


def _text(content: object) -> str:
    """A string as it can be stored: text parts joined, half surrogate pairs replaced, anything else empty."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content.encode("utf-8", "replace").decode() if isinstance(content, str) else ""


def _detail(usage: JsonObject, kind: str, name: str) -> int:
    """A part of the prompt's or the completion's tokens; 0 where the endpoint does not report it."""
    details = usage.get(f"{kind}_tokens_details")
    return _count(details.get(name), 0) if isinstance(details, dict) else 0


def _count(value: object, otherwise: int) -> int:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else otherwise
