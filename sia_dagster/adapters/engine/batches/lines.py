"""The files of the Batch API: one JSON object a line, a request in one, what became of it in the other."""

import json

from sia_dagster.adapters.engine.wire.completions import BadReply, error_message, parse_completion
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.value import JsonObject, Value

MOST_REQUESTS = 50_000
"""In one file."""


MOST_BYTES = 200_000_000
"""The same."""


class Line(Value):
    """A request as it stands in a file."""

    text: bytes
    left_out: tuple[str, ...] = ()
    """Parameters that are not sent, since the endpoint refuses them."""


def written_line(key: str, body: JsonObject, *, path: str) -> bytes:
    """The line that asks for `body` at `path` under the name `key`.

    Raises UnicodeEncodeError for what is no text, another ValueError for a number that JSON does not have.
    """
    asked = {"custom_id": key, "method": "POST", "url": path, "body": body}
    return json.dumps(asked, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read_line(line: bytes) -> tuple[str, JsonObject] | None:
    """The key that a line of answers is about, and the line as an object; None where it is none."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    key = entry.get("custom_id") if isinstance(entry, dict) else None
    return (key, entry) if isinstance(key, str) else None


def outcome_of(entry: JsonObject, *, estimated_prompt: int) -> ChatReply | Failure:
    """What a line of answers says of its request; a failure's message as the endpoint wrote it."""
    response = entry.get("response")
    if not isinstance(response, dict):
        return _failure(entry, None)
    status, body = response.get("status_code"), response.get("body")
    if isinstance(status, int) and status >= 400:
        return _failure(body, status)
    try:
        return parse_completion(json.dumps(body), estimated_prompt=estimated_prompt)
    except BadReply as error:
        return Failure(message=str(error), status=200)


def _failure(told: object, status: int | None) -> Failure:
    error = told.get("error") if isinstance(told, dict) else None
    facts = error if isinstance(error, dict) else {}
    texts = {name: value for name in ("code", "type", "param") if isinstance(value := facts.get(name), str)}
    return Failure(
        message=error_message(told) or "no reason is given",
        status=status,
        code=texts.get("code") or texts.get("type") or "",
        param=texts.get("param", ""),
    )
