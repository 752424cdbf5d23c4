"""A provider of canned answers in the wire forms that SDKs speak, for recording spans: standard library only.

It runs where the instrumentors are installed and this project is not, so it shares no code with the tests' own servers.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

Body = dict[str, Any]


PORT = 8431
"""Fixed, since some instrumentors record the address: the same recording gives the same bytes."""


SAID = "It is sunny in Ulm."


ARGUMENTS: Body = {"city": "Ulm"}


_SHOWN = json.dumps(ARGUMENTS)


_USAGE = {"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28}


class CannedProvider:
    """Answers on 127.0.0.1:PORT: offered tools are called, a tool's result, an image or a question gets `SAID`."""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", PORT), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body: Body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, reply = _reply(unquote(self.path), body)
        streamed = isinstance(reply, list)
        data = _events(reply) if isinstance(reply, list) else json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """A fixed date, since some instrumentors record the reply's headers."""
        return "Mon, 09 Nov 2026 08:00:00 GMT"

    def version_string(self) -> str:
        """Nothing of this machine."""
        return "canned"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on the console."""


def _reply(path: str, body: Body) -> tuple[int, Body | list[Body]]:
    """Status and answer; a list is a stream of events."""
    if str(body.get("model", "")).endswith("missing"):
        return 404, {"error": {"message": "The model does not exist", "type": "invalid_request_error", "code": None}}
    calls, streamed = _wants_tool(body), bool(body.get("stream"))
    answers: dict[str, Callable[[], Body | list[Body]]] = {
        "/chat/completions": lambda: _chat_stream(calls) if streamed else _chat(body, calls),
        "/responses": lambda: _responses(body, calls),
        "/completions": lambda: _completion(body),
        "/messages": lambda: _anthropic_stream() if streamed else _anthropic(calls),
        "/converse": lambda: _converse(calls),
        "/invoke": lambda: _anthropic(calls),
        ":generateContent": lambda: _gemini(calls),
    }
    return 200, next(answer() for end, answer in answers.items() if path.endswith(end))


def _wants_tool(body: Body) -> bool:
    """Whether tools are offered and none has answered yet."""
    offered = any(body.get(key) for key in ("tools", "functions", "toolConfig"))
    return offered and not any(mark in json.dumps(body) for mark in _ANSWERED)


_ANSWERED = ('"role": "tool"', '"tool_result"', '"toolResult"', '"functionResponse"', '"function_call_output"',
             '"role": "function"', '"web_search', '"function_response"')  # fmt: skip


def _chat(body: Body, calls: bool) -> Body:
    message: Body = {"role": "assistant", "content": SAID}
    if body.get("response_format"):
        message["content"] = json.dumps({"weather": "sunny"})
    elif calls and body.get("functions"):
        message |= {"content": None, "function_call": {"name": "weather", "arguments": _SHOWN}}
    elif calls:
        function = {"name": "weather", "arguments": _SHOWN}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    reason = "tool_calls" if calls else "stop"
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": _USAGE}  # fmt: skip


def _completion(body: Body) -> Body:
    choice = {"index": 0, "text": SAID, "finish_reason": "stop", "logprobs": None}
    frame = {"id": "cmpl-1", "object": "text_completion", "created": 0, "model": body["model"]}
    return frame | {"choices": [choice], "usage": _USAGE}


def _chat_stream(calls: bool) -> list[Body]:
    """Chunks without usage, as endpoints send them unless they are asked."""
    deltas: list[Body] = [{"role": "assistant", "content": ""}]
    if calls:
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
        deltas.append({"tool_calls": [call]})
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": half}}]} for half in (_SHOWN[:5], _SHOWN[5:])]
    else:
        deltas += [{"content": word} for word in ("It is ", "sunny ", "in Ulm.")]
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "gpt-4o-mini"}
    last = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    return [{"data": frame | {"choices": [choice]}} for choice in (*choices, last)] + [{"data": "[DONE]"}]


def _responses(body: Body, calls: bool) -> Body:
    text = {"type": "output_text", "text": SAID, "annotations": []}
    output: list[Body] = [{"type": "reasoning", "id": "rs_1", "summary": []}]
    if any(tool.get("type") == "web_search" for tool in body.get("tools") or ()):
        action = {"type": "search", "query": "weather Ulm"}
        output.append({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": action})
    if calls:
        call = {"id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": _SHOWN, "status": "completed"}
        output.append(call | {"type": "function_call"})
    else:
        said = {"id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
        output.append(said | {"type": "message"})
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    kept = {k: body[k] for k in ("instructions", "tools", "temperature", "tool_choice") if body.get(k) is not None}
    return {"id": "resp_1", "object": "response", "created_at": 0, "status": "completed", "model": body["model"],
            "output": output, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None,
            "usage": {"input_tokens": 21, "output_tokens": 7, "total_tokens": 28} | details} | kept  # fmt: skip


def _anthropic(calls: bool) -> Body:
    content: list[Body] = [{"type": "text", "text": SAID}]
    if calls:
        content = [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": ARGUMENTS}]
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": content,
            "stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 21, "output_tokens": 7}}  # fmt: skip


def _anthropic_stream() -> list[Body]:
    usage = {"input_tokens": 21, "output_tokens": 1}
    start = _anthropic(False) | {"content": [], "stop_reason": None, "usage": usage}
    deltas = [{"type": "text_delta", "text": word} for word in ("It is ", "sunny ", "in Ulm.")]
    events: list[Body] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    return [{"event": event["type"], "data": event} for event in events]


def _converse(calls: bool) -> Body:
    used = {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": ARGUMENTS}}
    return {"output": {"message": {"role": "assistant", "content": [used if calls else {"text": SAID}]}},
            "stopReason": "tool_use" if calls else "end_turn", "metrics": {"latencyMs": 5},
            "usage": {"inputTokens": 21, "outputTokens": 7, "totalTokens": 28}}  # fmt: skip


def _gemini(calls: bool) -> Body:
    part = {"functionCall": {"name": "weather", "args": ARGUMENTS}} if calls else {"text": SAID}
    counted = {"promptTokenCount": 21, "candidatesTokenCount": 7, "totalTokenCount": 28}
    content = {"role": "model", "parts": [part]}
    return {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": counted,
            "modelVersion": "gemini-2.5-flash"}  # fmt: skip


def _events(events: list[Body]) -> bytes:
    def text(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    return "".join(
        "".join(f"{name}: {text(value)}\n" for name, value in event.items()) + "\n" for event in events
    ).encode()
