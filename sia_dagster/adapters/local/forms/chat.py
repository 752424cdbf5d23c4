"""What a model was asked and what it answered, in the ways that tracing SDKs and LangChain write messages.

Requests and answers of a provider's API stay as they are (`input.value`, `output.value`): the mapping to samples reads
them. What is converted here is what the tools themselves write: lists of messages, LangChain's classes, plain answers.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sia_dagster.adapters.local.forms.fields import first, loaded
from sia_dagster.adapters.local.forms.span import FormError
from sia_dagster.core.records.value import JsonObject

_CLASSES = {
    "human": "user", "HumanMessage": "user", "ai": "assistant", "AIMessage": "assistant", "system": "system",
    "SystemMessage": "system", "tool": "tool", "ToolMessage": "tool", "function": "function",
    "FunctionMessage": "function", "developer": "developer",
}  # fmt: skip
"""LangChain's types and classes of messages, by role. `chat` and `ChatMessage` name the role themselves."""
_RESPONSES_ITEMS = {"message", "function_call", "reasoning", "web_search_call", "file_search_call", "computer_call"}
_NO_SETTINGS: Final = {
    *("messages", "input", "prompt", "prompts", "contents", "system", "instructions", "system_instruction"),
    *("systemInstruction", "tools", "functions", "toolConfig", "model_kwargs", "metadata", "extra_headers"),
}
"""Parts of a raw request that are no settings."""
_NESTED_SETTINGS = ("generationConfig", "generation_config", "inferenceConfig", "config", "options")
"""Where Gemini, Bedrock and Ollama have their settings."""
_GEMINI_SETTINGS = {
    "maxOutputTokens": "max_output_tokens",
    "topK": "top_k",
    "responseMimeType": "response_mime_type",
    "responseSchema": "response_schema",
    "responseJsonSchema": "response_json_schema",
}


def request_attributes(value: Any) -> JsonObject:
    """The attributes of a request: a text, a list of messages, or the raw request of an API. {} if there is none.

    Raises FormError for LangChain's chats that are joined to one text: where one message ends is not recorded.
    """
    found = loaded(value)
    if found in (None, "", [], {}):
        return {}
    if isinstance(found, list):
        chat = chat_messages(found)
        return {"input.value": {"messages": chat} if chat else found}
    if not isinstance(found, dict):
        return {"input.value": found}
    listed = found.get("messages")
    chat = chat_messages(listed) if isinstance(listed, list) else None
    if chat:
        found = found | {"messages": chat}
    elif isinstance(texts := found.get("prompts"), list) and texts:
        found = {"prompt": texts[0]} | {key: item for key, item in found.items() if key != "prompts"}
    settings = request_settings(found)
    return {"input.value": found} | ({"llm.invocation_parameters": settings} if settings else {})


def request_settings(request: Mapping[str, Any]) -> JsonObject:
    """The settings in a raw request, flat, under the names that OpenInference's instrumentors record."""
    found = {name: value for name, value in request.items() if name not in _NO_SETTINGS and value is not None}
    for name in _NESTED_SETTINGS:
        if isinstance(nested := found.pop(name, None), dict):
            found |= {_GEMINI_SETTINGS.get(str(key), str(key)): value for key, value in nested.items()}
    return found


def answer_attributes(value: Any) -> JsonObject:
    """The attributes of an answer: a text, a message, a list of messages, or an API's raw response. {} if none."""
    found: Any = _unwrapped(loaded(value))
    if found in (None, "", [], {}):
        return {}
    if isinstance(found, str):
        return {"llm.output_messages": [{"role": "assistant", "content": found}]}
    if response := _listed_response(found):
        return {"output.value": response}
    chat = chat_messages(found if isinstance(found, list) else [found])
    if not chat:
        return {"output.value": value if isinstance(value, str) else found}
    turn = _last_turn(chat)
    return {"output.value": turn[0]} if len(turn) == 1 and _has_blocks(turn[0]) else {"llm.output_messages": turn}


def chat_messages(items: Iterable[Any]) -> list[JsonObject] | None:
    """The messages of a list, or of the only list in a list; None if one of them is no message."""
    listed = list(items)
    if len(listed) == 1 and isinstance(listed[0], list):
        listed = listed[0]
    chat = [message(item) for item in listed]
    read = [turn for item in chat if item is not None for turn in _of_parts(item)]
    return read if chat and None not in chat else None


def message(item: Any) -> JsonObject | None:
    """A message with `role` and `content`: as it is if it has a role, else of LangChain's forms; None if it is none."""
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], str):
        short = _CLASSES.get(item[0], item[0])
        return {"role": short, "content": item[1]} if short in _CLASSES.values() else None
    if not isinstance(item, dict):
        return None
    if item.get("role") and not ("lc" in item and "kwargs" in item):
        return _with_calls(item, item["role"])
    kind, body = _langchain(item)
    role: Any = body.get("role") if kind in ("chat", "ChatMessage") else _CLASSES.get(kind.removesuffix("Chunk"))
    return _with_calls(body, role) if role and ("content" in body or "tool_calls" in body) else None


def _of_parts(item: JsonObject) -> list[JsonObject]:
    """The message; one with OpenTelemetry's typed `parts` as its text and calls, after a message for each result."""
    parts = item.get("parts")
    if (
        item.get("content")
        or not isinstance(parts, list)
        or not all(isinstance(p, dict) and "type" in p for p in parts)
    ):
        return [item]
    results = [
        {"role": "tool", "tool_call_id": part.get("id"), "content": first(part, "response", "result")}
        for part in parts
        if part["type"] == "tool_call_response"
    ]
    calls = [
        _call({"id": part.get("id"), "name": part.get("name"), "args": part.get("arguments") or {}})
        for part in parts
        if part["type"] == "tool_call"
    ]
    rest = [part | {"text": part.get("content")} if part["type"] == "text" else part for part in parts]
    rest = [part for part in rest if part["type"] not in ("tool_call", "tool_call_response", "reasoning")]
    own = {key: value for key, value in item.items() if key != "parts"} | ({"content": rest} if rest else {})
    return [*results, own | ({"tool_calls": calls} if calls else {})] if rest or calls or not results else results


def _langchain(item: JsonObject) -> tuple[str, JsonObject]:
    """Type and fields of a LangChain message: a constructor, `messages_to_dict`, or the message's own fields."""
    inner = item.get("__lc_escaped__", item)
    names, kwargs, data = inner.get("id"), inner.get("kwargs"), inner.get("data")
    if isinstance(kwargs, dict) and isinstance(names, list) and names:
        return str(names[-1]), kwargs
    return str(inner.get("type")), data if isinstance(data, dict) else inner


def _with_calls(body: JsonObject, role: Any) -> JsonObject:
    """The message in the form of chat completions, with LangChain's tool calls (`name`, `args`) as functions."""
    more = body.get("additional_kwargs")
    more = more if isinstance(more, dict) else {}
    listed = [*_list(body.get("tool_calls")), *_list(body.get("invalid_tool_calls"))] or _list(more.get("tool_calls"))
    found = {key: value for key, value in body.items() if key not in _LANGCHAIN_KEYS and value is not None}
    found["role"] = role
    if listed:
        found["tool_calls"] = [_call(call) for call in listed]
    elif "function_call" not in found and isinstance(more.get("function_call"), dict):
        found["function_call"] = more["function_call"]
    return found


_LANGCHAIN_KEYS = {
    *("type", "tool_calls", "invalid_tool_calls", "additional_kwargs", "response_metadata", "usage_metadata"),
    *("example", "status", "artifact"),
}
"""Fields of LangChain's messages that are no part of the chat, or are written anew."""


def _call(call: Any) -> Any:
    if not isinstance(call, dict) or "args" not in call:
        return call
    arguments = call["args"] if isinstance(call["args"], str) else json.dumps(call["args"], ensure_ascii=False)
    function = {"name": call.get("name") or "", "arguments": arguments}
    return {"id": call.get("id") or "", "type": "function", "function": function}


def _unwrapped(found: Any) -> Any:
    """Bedrock's message, the message of LangChain's first generation, else that one's text; all else as it is."""
    output = found.get("output") if isinstance(found, dict) else None
    if isinstance(output, dict) and isinstance(output.get("message"), dict):
        return output["message"]
    generations = found.get("generations") if isinstance(found, dict) else None
    while isinstance(generations, list) and generations:
        generations = generations[0]
    if not isinstance(generations, dict):
        return found
    inner = generations.get("message")
    return inner if isinstance(inner, dict) else generations.get("text", found)


def _listed_response(found: Any) -> JsonObject:
    """The response whose list of items or choices, or whose only item, was recorded alone; {} for all else."""
    items = found if isinstance(found, list) else [found]
    if all(map(_is_responses_item, items)):
        return {"output": items}
    return {"choices": items} if all(map(_is_choice, items)) else {}


def _is_responses_item(item: Any) -> bool:
    """Whether OpenAI's Responses API lists such items; an answer of Anthropic is a `message` with a `stop_reason`."""
    kind = item.get("type") if isinstance(item, dict) else None
    return kind in _RESPONSES_ITEMS and "stop_reason" not in item and (kind != "message" or "content" in item)


def _is_choice(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("message"), dict) and "finish_reason" in item


def _has_blocks(item: JsonObject) -> bool:
    """Whether the content is a list with blocks that the mapping of raw responses splits up."""
    content = item.get("content")
    return "parts" in item or (isinstance(content, list) and "tool_calls" not in item and not _are_texts(content))


def _are_texts(content: list[Any]) -> bool:
    return all(isinstance(part, dict) and part.get("type") == "text" for part in content)


def _last_turn(chat: list[JsonObject]) -> list[JsonObject]:
    """The messages after the last one that is not the model's: some tools record the whole chat as its outcome."""
    after = max((at + 1 for at, item in enumerate(chat) if item["role"] not in ("assistant", "model")), default=0)
    if after == len(chat):
        raise FormError("its output ends with a message that is not the model's")
    return chat[after:]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
