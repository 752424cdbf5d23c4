"""The wire form of a chat completion: the body of a request, and the checked answer of a reply."""

import json
from typing import Any

from sia_dagster.adapters.engine.wire.error_bodies import error_of, read_error
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.adapters.engine.wire.finish_reasons import FinishReason, finish_reason_of
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.prompting import estimate_tokens
from sia_dagster.core.records.sample import ToolCall
from sia_dagster.core.records.value import JsonObject

# Recorded calls may contain these; here one answer is requested, and read as a whole.
_NOT_PASSED_ON = {"model", "messages", "stream", "stream_options", "n"}

_MOST_TOKENS = 10**9
"""More than any call takes: a larger number in a reply is ignored."""


_SHOWN = 60


class BadReply(ValueError):
    """A reply of status 200 that is no answer; `failure` says why, under the status of the error inside."""

    def __init__(self, failure: Failure, *, readable: bool = True) -> None:
        """Without being `readable` its usage is not trusted either."""
        super().__init__(failure.message)
        self.failure, self.readable = failure, readable


def called(request: ChatRequest, config: LLMConfig) -> ChatRequest:
    """The request under the name that the endpoint has for its model: by that it is stored, priced and counted."""
    name = config.called(request.model)
    return request if name == request.model else request.model_copy(update={"model": name})


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
    texts = [plain_text(message.get("content")) for message in request.messages]
    schemas = [json.dumps(schema) for schema in (*request.tools, request.response_format) if schema]
    return estimate_tokens("\n".join(texts + schemas))


def answer_limit(request: ChatRequest) -> int | None:
    """The most tokens of the answer; None where the request sets no limit, as with the -1 of local servers."""
    asked = [request.parameters.get(name) for name in ("max_tokens", "max_completion_tokens")]
    return min((limit for limit in asked if type(limit) is int and limit > 0), default=None)


def parse_completion(text: str, *, estimated_prompt: int) -> ChatReply:
    """The answer in a reply of status 200: what is an answer is decided here, for direct calls and batches.

    Raises BadReply for a failed generation: an error in the body, the choice or the message, a reason for its end that
    is not one of `finish_reason_of`, no choice, or one that holds nothing. An empty answer is one where its tokens were
    used up or a filter withheld it: asking again costs the same and gives the same. A refusal in the field that the API
    has for it counts as withheld, with its text. Without usage, tokens are estimates.
    """
    payload = _json(text)
    usage = payload.get("usage")
    used: JsonObject = usage if isinstance(usage, dict) else {}
    try:
        reply = _answer(payload)
    except BadReply as error:
        tokens = {name: _count(used.get(name), 0) for name in ("prompt_tokens", "completion_tokens")}
        raise BadReply(error.failure.model_copy(update=tokens if error.readable else {})) from None
    prompt = _count(used.get("prompt_tokens"), estimated_prompt)
    completion = _count(used.get("completion_tokens"), estimate_tokens(reply.text or reply.reasoning))
    return reply.model_copy(
        update={
            "prompt_tokens": prompt,
            "cached_tokens": min(prompt, _detail(used, "prompt", "cached_tokens")),
            "completion_tokens": completion,
            "reasoning_tokens": min(completion, _detail(used, "completion", "reasoning_tokens")),
        }
    )


def as_answer(stored: ChatReply) -> ChatReply | None:
    """A stored reply by the rules of today: None where it was a failed generation, which earlier versions kept."""
    reason = finish_reason_of(stored.finish_reason)
    if reason is None or _is_empty(stored, reason):
        return None
    return stored if reason == stored.finish_reason else stored.model_copy(update={"finish_reason": reason})


def _answer(payload: JsonObject) -> ChatReply:
    """The answer without its tokens. Raises BadReply."""
    choice = _first_choice(payload)
    message = choice["message"]
    called = message.get("tool_calls") or message.get("function_call") or []
    content = _content(message.get("content"))
    written = content or plain_text(message.get("refusal"))
    thoughts = (
        "" if written.strip() else plain_text(message.get("reasoning_content")) or plain_text(message.get("reasoning"))
    )
    reply = ChatReply(text=written, tool_calls=_tool_calls(called), reasoning=thoughts)
    # Some local servers give no reason: what is there is then the whole answer.
    reason = _reason(choice.get("finish_reason"), otherwise="tool_calls" if reply.tool_calls else "stop")
    if _is_empty(reply, reason):
        raise _no_answer(f"the reply holds no answer: it is empty and ended with {reason!r}")
    declined = reason == "stop" and not content and written
    return reply.model_copy(update={"finish_reason": "content_filter" if declined else reason})


def _reason(given: object, *, otherwise: FinishReason) -> FinishReason:
    """Why the generation ended; `otherwise` where nothing is given. Raises BadReply for a failed one."""
    if given is None or given in ("", "null"):
        return otherwise
    # Some servers give an object, with what failed beside the word.
    word = given.get("type") if isinstance(given, dict) else given
    reason = finish_reason_of(word) if isinstance(word, str) else None
    if reason is not None:
        return reason
    if isinstance(given, dict):
        raise BadReply(_failure_in(given, "the generation failed"))
    raise _no_answer(f"the generation failed: it ended with {str(given)[:_SHOWN]!r}")


def _content(content: object) -> str:
    """The text of a message; some servers send the object of JSON mode as it is."""
    return json.dumps(content, ensure_ascii=False) if content and isinstance(content, dict) else plain_text(content)


def _no_answer(message: str, *, readable: bool = True) -> BadReply:
    """Of a reply that says nothing of why: the sentence is ours, so that no word of it is taken for the endpoint's."""
    return BadReply(Failure(message=message, status=200, recognised="no_answer"), readable=readable)


def _is_empty(reply: ChatReply, reason: FinishReason) -> bool:
    holds = reply.text.strip() or reply.tool_calls or reply.reasoning.strip()
    return not holds and reason in ("stop", "tool_calls")


def _json(text: str) -> JsonObject:
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_answer(f"the reply is no valid JSON{_seen(text)}") from error
    if not isinstance(payload, dict):
        found = read_error(payload)
        message = f"the reply is no JSON object{f': {found.message}' if found.message else ''}"
        raise BadReply(Failure(message=message, status=found.status or 200, code=found.code))
    return payload


def _seen(text: str) -> str:
    """What came in place of JSON: a web page, a stream of events, or its first characters."""
    start = text.lstrip()[:_SHOWN]
    if start.startswith("<"):
        return " but a web page: check that llm.base_url is the address of the API"
    if start.startswith(("data:", "event:", ":")):
        return " but a stream of events, which was not asked for"
    return f" ({len(text)} characters: {start!r})" if start else ", it is empty"


def _first_choice(payload: JsonObject) -> JsonObject:
    """The first choice with its message. Raises BadReply for an error in the body, the choice or the message."""
    choices = payload.get("choices")
    choice: JsonObject = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    for part in (payload, choice, message):
        if isinstance(part, dict) and (failed := error_of(part)) is not None:
            raise BadReply(_failure_in(failed, "the generation failed"))
    if isinstance(message, dict):
        return choice
    raise BadReply(_failure_in(payload, "the reply has no message" if choice else "the reply has no choices"))


def _failure_in(body: object, what: str) -> Failure:
    """The failure that a body of status 200 reports, under the status that its code stands for."""
    found = read_error(body)
    message = f"{what}: {found.message}" if found.message else what
    return Failure(message=message, status=found.status or 200, code=found.code, param=found.param)


def _tool_calls(calls: object) -> tuple[ToolCall, ...]:
    return tuple(_tool_call(call) for call in (calls if isinstance(calls, list) else [calls]))


def _tool_call(call: Any) -> ToolCall:
    """A call of a function or of a custom tool, whose input is text; also the older API's, which has no `function`."""
    body = call if isinstance(call, dict) else {}
    called = next((body[kind] for kind in ("function", "custom") if isinstance(body.get(kind), dict)), body)
    if not isinstance(called.get("name"), str):
        raise _no_answer("the reply has a tool call without a function", readable=False)
    given = next((called[name] for name in ("arguments", "input") if called.get(name)), "")
    # Some local servers send the arguments as an object.
    as_text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return ToolCall(id=plain_text(body.get("id")), name=plain_text(called["name"]), arguments=plain_text(as_text))


def plain_text(content: object) -> str:
    """A string as it can be stored: text parts joined, half surrogate pairs replaced, anything else empty."""
    if isinstance(content, list):
        return "".join(plain_text(part.get("text")) for part in content if isinstance(part, dict))
    return content.encode("utf-8", "replace").decode() if isinstance(content, str) else ""


def _detail(usage: JsonObject, kind: str, name: str) -> int:
    """A part of the prompt's or the completion's tokens; 0 where the endpoint does not report it."""
    details = usage.get(f"{kind}_tokens_details")
    return _count(details.get(name), 0) if isinstance(details, dict) else 0


def _count(value: object, otherwise: int) -> int:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else otherwise
