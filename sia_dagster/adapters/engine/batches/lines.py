"""The files of the Batch API: one JSON object a line, requests in one file, their outcomes in another."""

import json

from sia_dagster.adapters.engine.wire.completions import BadReply, parse_completion
from sia_dagster.adapters.engine.wire.error_bodies import error_of, read_error
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.text import as_number

MOST_REQUESTS = 50_000
"""In one file."""

MOST_BYTES = 200_000_000
"""The same."""


class Line(Value):
    """A request as a line of a file."""

    text: bytes
    left_out: tuple[str, ...] = ()
    """Parameters that are not sent, since the endpoint refuses them."""


def written_line(key: str, body: JsonObject, *, path: str) -> bytes:
    """The line that requests `body` at `path` under the name `key`.

    Raises UnicodeEncodeError for half a surrogate pair, another ValueError for a number that JSON does not have.
    """
    asked = {"custom_id": key, "method": "POST", "url": path, "body": body}
    return json.dumps(asked, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read_line(line: bytes) -> tuple[str, JsonObject] | None:
    """The key of a line of answers and the line as an object; None for a line that cannot be read."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    key = entry.get("custom_id") if isinstance(entry, dict) else None
    return (key, entry) if isinstance(key, str) else None


def outcome_of(entry: JsonObject, *, estimated_prompt: int) -> ChatReply | Failure:
    """The outcome of a request, from its line of answers; a failure keeps the endpoint's message."""
    response = entry.get("response")
    if not isinstance(response, dict):
        return _failure(entry, None)
    status, body = _status(response.get("status_code")), response.get("body")
    if status is not None and status >= 400:
        return _failure(body, status)
    if error_of({"error": entry.get("error")}) is not None:
        return _failure(entry, None)
    try:
        return parse_completion(json.dumps(body), estimated_prompt=estimated_prompt)
    except BadReply as error:
        return error.failure


def _status(given: object) -> int | None:
    """The status of a response, which some endpoints write as a text."""
    number = as_number(given) if isinstance(given, str) else given
    return int(number) if isinstance(number, int | float) and 0 <= number < 1000 else None


def _failure(payload: object, status: int | None) -> Failure:
    found = read_error(payload)
    message = found.message or "no reason is given"
    return Failure(message=message, status=status, code=found.code, param=found.param)
