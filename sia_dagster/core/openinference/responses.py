"""Reads answers: raw responses (`output.value`), recorded messages of several choices, and texts that are no answer."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.openinference.blocks import with_blocks
from sia_dagster.core.openinference.messages import answer_text, is_blank, parse_messages, text_of_parts
from sia_dagster.core.openinference.payloads import load_payload, load_request
from sia_dagster.core.openinference.python_text import is_printed_object
from sia_dagster.core.openinference.roles import ROLES, read_role, role_of_type
from sia_dagster.core.openinference.streams import joined, load_lines
from sia_dagster.core.records.sample import Message, ToolCall
from sia_dagster.core.records.value import JsonObject

_ERROR = re.compile(
    r"\s*(?:Traceback \(most recent call last\)|Error code: [45]\d\d\b|(?:\w+\.)+\w*(?:Error|Exception)\b\s*[:(]"
    r"|\w+(?:Error|Exception)\((?:['\"]|\)\s*$)"
    r"|(?:API|HTTP|Axios|Connect(?:ion)?|(?:Read|Connect)?Timeout|RateLimit|Throttling|ServiceUnavailable|BadRequest"
    r"|InternalServer|Authentication|PermissionDenied|Validation|ModelError|OpenAI|Anthropic)\w{0,40}(?:Error|Exception)"
    r"\s*(?::|$)|(?:Error:\s*|HTTP(?:/[\d.]+)?\s+)[45]\d\d\b|(?:Request timed out|Connection error)\.\s*$)"
)
_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\s+File \".*\n\s*[\w.]+(?:Error|Exception)\b[^\n]*\s*\Z", re.DOTALL
)
_WRAPPED = re.compile(
    r"\s*(?:[\[{(<]|(?:content|generations|id|text)=|data:|event:|(?:\w{1,40}\.){0,6}[A-Z]\w{0,80}\()"
)
_ERROR_KEYS = {"error", "type", "status", "status_code", "statusCode", "code", "message", "request_id", "requestId"}
_OBJECTS = ("chat.completion", "chat.completion.chunk", "text_completion", "response")
_CONTENT = frozenset(("content", "contents", "parts", "data", "tool_calls"))
_COUNTS = ("n", "candidate_count", "candidateCount", "num_generations", "num_return_sequences")
_TEXTS: Mapping[str, frozenset[str]] = {
    "text": frozenset(("generation_id", "chat_history", "finish_reason", "finishReason", "meta", "response_id")),
    "response": frozenset(("done", "created_at", "eval_count")),
    "content": frozenset(
        ("usage", "finish_reason", "finishReason", "stop_reason", "usage_metadata", "response_metadata")
    ),
    "completion": frozenset(("stop_reason", "stop", "model")),
    "generation": frozenset(("stop_reason", "generation_token_count", "prompt_token_count")),
    "outputText": frozenset(("outputText",)),
    "generated_text": frozenset(("generated_text",)),
}
"""Keys that hold the answer where one of the others stands beside them: Cohere, Vercel, Ollama, Bedrock's models."""
_WRAPPERS = ("response", "result", "output", "body", "data", "kwargs")
_RESPONSE_KEYS = frozenset(("promptFeedback", "prompt_feedback", "usageMetadata", "usage_metadata", "llm_output"))
_LISTS = ("results", "outputs", "completions")
"""Keys of Bedrock's models whose first item holds the answer."""
_HELD = ("outputText", "text", "generated_text")
_REPLIES = "replies"
"""Where Haystack lists its answers, which are texts or messages."""
_SPEAKER = re.compile(r"\s*assistant: ")
"""How LlamaIndex prints a response."""


class NoAnswer(ValueError):
    """The text that was recorded as the answer is none."""

    def __init__(self, message: str, *, reason: str) -> None:
        """Keep the kind, by which such spans are counted."""
        super().__init__(message)
        self.reason = reason


class Answer(NamedTuple):
    """What the model answered."""

    text: str
    """Empty for no answer."""
    several: bool = False
    """Whether there were more choices, of which this is the first."""


def read_answer(messages: Sequence[Message], output_value: Any, settings: Sequence[Any]) -> Answer:
    """The first choice among the recorded messages, else the answer in the raw response.

    Several messages are one turn of the assistant (texts and calls that the Responses API lists one by one), unless the
    raw response or one of the `settings` (parameters, request) tells of several choices, or nothing is known and all
    are plain texts. Raises NoAnswer for the text of an error or of an object, and ValueError and TypeError for a
    response that cannot be read.
    """
    own = _last_turn(messages)
    said = [message for message in own if message.tool_calls or not is_blank(message.content)]
    several = len(said) > 1 and _are_choices(said, load_request(output_value), settings)
    text = answer_text(said[:1] if several else said)
    if text:
        return Answer(settled(text), several)
    return Answer(response_text(output_value), several)


def response_text(value: Any) -> str:
    """The answer in a raw response, that of the first choice; text of an unknown form is the answer itself.

    Raises as `read_answer`.
    """
    response = (load_lines(value) if isinstance(value, str) else None) or load_payload(value)
    if isinstance(response, str) and response != value:
        return response_text(response)  # JSON text of JSON text
    if response is None or isinstance(response, str):
        return settled(_SPEAKER.sub("", response or "", count=1))
    messages = _messages(response)
    return settled(str(value) if messages is None else answer_text(messages))


def settled(text: str) -> str:
    """The answer in a text that surely holds one in a wrapping (a serialised message, a response); else the text.

    Raises NoAnswer for an error and for an object without plain content. Empty for white space.
    """
    while _WRAPPED.match(text):
        inner = _unwrapped(text)
        if inner is None or inner == text:
            break
        text = inner
    if _ERROR.match(text) or ("Traceback (most" in text and _TRACEBACK.search(text)):
        raise NoAnswer("the answer is the text of an error", reason="answer_is_error")
    return "" if is_blank(text) else text


def _unwrapped(text: str) -> str | None:
    """The answer in the wrapping; None for text without one. Raises NoAnswer for a class without content."""
    try:
        loaded = load_lines(text) or load_json(text)
    except (ValueError, RecursionError):
        loaded = None
    found = _messages(loaded) if _is_wrapping(loaded, text) else None
    if found is not None:
        return answer_text(found)
    if is_printed_object(text):
        message = "the answer is what Python prints for an object, without the answer's text; record the text"
        raise NoAnswer(message, reason="answer_is_object")
    return None


def _is_wrapping(loaded: Any, text: str) -> bool:
    """Whether a value is surely a message or a response, and not JSON that the model wrote as its answer."""
    if isinstance(loaded, list):
        return bool(joined(loaded) or text_of_parts(text)) or is_printed_object(text)
    if not isinstance(loaded, dict):
        return False
    if is_printed_object(text) or loaded.get("object") in _OBJECTS or "lc" in loaded:
        return True
    if is_error(loaded) and isinstance(loaded.get("error"), dict):
        return True
    role = read_role(loaded.get("role")) or role_of_type(loaded.get("type"))
    spoken = role == "assistant" and bool({"content", "data", "tool_calls"} & loaded.keys())
    return bool(spoken or text_of_parts(text) or _holds_parts(loaded.get("candidates")))


def _holds_parts(candidates: Any) -> bool:
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    content = first.get("content") if isinstance(first, dict) else None
    return isinstance(content, dict) and "parts" in content


def _messages(response: Any) -> tuple[Message, ...] | None:
    """The answer's messages, () for an empty answer; None for a value of no known API. Raises NoAnswer for an error."""
    if isinstance(response, list):
        return _of_list(response)
    if not isinstance(response, dict):
        return None
    if is_error(response):
        raise NoAnswer("the answer is an error object", reason="answer_is_error")
    found = next((found for read in _READERS if (found := read(response)) is not None), None)
    return () if found is None and _is_empty_response(response) else found


def _is_empty_response(response: JsonObject) -> bool:
    """Whether a value that holds no answer is surely a response: without choices, or blocked by the provider."""
    return response.get("object") in _OBJECTS or not _RESPONSE_KEYS.isdisjoint(response)


def is_error(response: JsonObject) -> bool:
    """Whether it is the body of a refused request."""
    kind = response.get("error")
    return bool(kind) and isinstance(kind, dict | str) and response.keys() <= _ERROR_KEYS


def _of_list(items: Sequence[Any]) -> tuple[Message, ...] | None:
    """The message that chunks make; the last turn of a chat; the texts of parts."""
    if items and all(isinstance(item, str) and item.startswith("{") for item in items):
        items = [load_json(item) for item in items]
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    if (whole := joined(items)) is not None:
        return _messages(whole) if "output" in whole else parse_messages([whole])
    if all(_is_message(item) for item in items):
        turn = _last_turn(parse_messages([part for item in items for part in with_blocks(item)]))
        return tuple(message for message in turn if message.role == "assistant")
    if all(item.get("type") in ("text", "output_text") and isinstance(item.get("text"), str) for item in items):
        return parse_messages([{"role": "assistant", "content": list(items)}])
    if any(item.get("type") in ("message", "function_call") for item in items):
        return _of_items(items)
    return _messages(items[0]) if "generated_text" in items[0] else None


def _is_message(item: JsonObject) -> bool:
    """Whether the object is a message of a chat: its role or its class is one, and it has a place for text."""
    inner = item.get("message")
    if "lc" in item or "message.role" in item:
        return True
    body = inner if isinstance(inner, dict) else item
    role = read_role(body.get("role")) or role_of_type(body.get("type"))
    return role in ROLES and not _CONTENT.isdisjoint(body)


def _last_turn(messages: Sequence[Message]) -> Sequence[Message]:
    """The last messages of the assistant that follow each other, where a whole chat was recorded.

    All messages where none is the assistant's: an answer may be recorded without its role.
    """
    end = next((place for place in range(len(messages), 0, -1) if messages[place - 1].role == "assistant"), 0)
    if not end:
        return messages
    before = (place for place in range(end - 1, -1, -1) if messages[place].role != "assistant")
    return messages[next(before, -1) + 1 : end]


def _are_choices(said: Sequence[Message], response: Any, settings: Sequence[Any]) -> bool:
    if (choices := _count_of(response)) is not None:
        return choices > 1
    known = [each.get(key) for each in settings if isinstance(each, dict) for key in _COUNTS]
    if wanted := [number for number in known if isinstance(number, int)]:
        return max(wanted) > 1
    return not any(message.tool_calls for message in said)


def _count_of(response: Any) -> int | None:
    """How many choices a raw response holds; None where it does not tell."""
    if not isinstance(response, dict):
        return None
    for key in ("choices", "candidates", "generations"):
        if isinstance(found := response.get(key), list) and found:
            return len(found[0]) if isinstance(found[0], list) else len(found)
    return 1 if isinstance(response.get("output") or response.get("content"), list) else None


def _of_choices(response: JsonObject) -> tuple[Message, ...] | None:
    choices = response.get("choices")
    if not choices:
        return None
    first = choices[0]
    if "delta" in first:
        whole = joined([response])
        return parse_messages([whole]) if whole else ()
    return parse_messages([first["message"]]) if "message" in first else _said(first.get("text"))


def _of_candidates(response: JsonObject) -> tuple[Message, ...] | None:
    if not _holds_parts(response.get("candidates")):
        return None
    return parse_messages(with_blocks({"role": "assistant"} | response["candidates"][0]["content"]))


def _of_message(response: JsonObject) -> tuple[Message, ...] | None:
    """A message itself, or what holds one: Ollama, Cohere, Bedrock's `output`, LangChain's `messages`."""
    if isinstance(response.get("messages"), list) and all(isinstance(item, dict) for item in response["messages"]):
        return _of_list(response["messages"])
    if response.get("kind") == "response" and isinstance(response.get("parts"), list):
        texts = [part for part in response["parts"] if isinstance(part, dict) and part.get("part_kind") == "text"]
        return parse_messages([{"role": "assistant", "content": part.get("content")} for part in texts])
    for held in (response, response.get("message"), response.get("output"), response.get("response")):
        if isinstance(held, dict) and _is_message(held):
            inner = held["message"] if isinstance(held.get("message"), dict) else held
            said = parse_messages(with_blocks(inner))
            return said if all(message.role == "assistant" for message in said) else None
    if isinstance(response.get("content"), list):
        return parse_messages(with_blocks({"role": "assistant", "content": response["content"]}))
    return None


def _of_output(response: JsonObject) -> tuple[Message, ...] | None:
    output = response.get("output")
    if "output" not in response or isinstance(output, dict):
        return None
    return _said(output) if isinstance(output, str) else _of_items(output)


def _of_items(items: Any) -> tuple[Message, ...]:
    """The messages and function calls among items of the Responses API; reasoning and the like are left out."""
    calls = tuple(
        ToolCall(id=str(i.get("call_id", "")), name=str(i.get("name", "")), arguments=str(i.get("arguments", "")))
        for i in items
        if i.get("type") == "function_call"
    )
    messages = parse_messages([i for i in items if i.get("type", "message") == "message"])
    return (*messages, Message(role="assistant", tool_calls=calls)) if calls else messages


def _of_generations(response: JsonObject) -> tuple[Message, ...] | None:
    generations = response.get("generations")
    if not generations:
        return None
    first = generations[0][0] if isinstance(generations[0], list) else generations[0]
    return parse_messages([first["message"]]) if isinstance(first.get("message"), dict) else _said(first.get("text"))


def _of_text(response: JsonObject) -> tuple[Message, ...] | None:
    for key, beside in _TEXTS.items():
        if isinstance(text := response.get(key), str) and beside & response.keys():
            return _said(text)
    if isinstance(replies := response.get(_REPLIES), list) and replies and response.keys() <= {_REPLIES, "meta"}:
        return _said(replies[0]) if isinstance(replies[0], str) else _of_list(replies[:1])
    for key in _LISTS:
        first = response[key][0] if isinstance(response.get(key), list) and response[key] else None
        held = first.get("data", first) if isinstance(first, dict) else None
        if isinstance(held, dict) and isinstance(text := _first_of(held, _HELD), str):
            return _said(text)
    return None


def _first_of(held: JsonObject, keys: Sequence[str]) -> Any:
    return next((held[key] for key in keys if key in held), None)


def _of_inner(response: JsonObject) -> tuple[Message, ...] | None:
    """What a hand-written span holds around a response."""
    held = (response[key] for key in _WRAPPERS if isinstance(response.get(key), dict))
    return next((found for inner in held if (found := _messages(inner)) is not None), None)


def _said(text: Any) -> tuple[Message, ...]:
    return (Message(role="assistant", content=str(text)),) if text else ()


_READERS: tuple[Callable[[JsonObject], tuple[Message, ...] | None], ...] = (
    _of_choices,
    _of_candidates,
    _of_generations,
    _of_output,
    _of_message,
    _of_text,
    _of_inner,
)
