"""The error in a reply's body, in the forms that endpoints use."""

import ast
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

from sia_dagster.adapters.engine.wire.own_words import only_names_an_error
from sia_dagster.core.records.value import JsonObject, Value

_MESSAGES = ("error", "errors", "message", "detail", "msg", "status_msg", "base_resp", "title")
"""Where the message stands, or the object that holds it; the first that has one counts."""

_CODES = ("code", "type", "error_type", "status", "status_code")

_NO_ERROR = {"", "0", "200", "ok", "success", "succeeded", "successful", "none", "null", "no error", "no_error", "成功"}
"""Words and codes for the absence of an error."""

_DEEPEST = 8

_LONGEST_EMBEDDED = 20_000
"""Characters of an error body inside a message that are parsed."""

_STATUS_OF_CODE = {
    400: "invalid_request_error invalid_argument failed_precondition context_length_exceeded bad_request",
    401: "authentication_error unauthenticated invalid_api_key unauthorized",
    402: "insufficient_credits insufficient_balance payment_required",
    403: "permission_error permission_denied permission_denied_error forbidden",
    404: "not_found not_found_error model_not_found",
    413: "request_too_large",
    429: "rate_limit_exceeded rate_limit_error resource_exhausted too_many_requests insufficient_quota",
    500: "server_error internal internal_error internal_server_error api_error",
    503: "unavailable service_unavailable overloaded",
    504: "deadline_exceeded timeout timeout_error gateway_timeout",
    529: "overloaded_error",
}
"""The HTTP status of an error that came with status 200, by its code in words."""

_STATUSES = {word: status for status, words in _STATUS_OF_CODE.items() for word in words.split()}


class ErrorBody(Value):
    """What an error body says; empty where it says nothing."""

    message: str = ""
    code: str = ""
    """In words where there are any (`insufficient_quota`), else the number."""
    param: str = ""
    status: int | None = None
    """The HTTP status that the body names or its code stands for."""
    retry_after: float | None = None
    """Seconds that the body asks to wait."""


def read_error(payload: object) -> ErrorBody:
    """The error in a JSON body; a text is the message itself."""
    objects = _objects(payload)
    details = [detail for each in objects for detail in _details(each)]
    codes = [str(found) for each in objects for name in _CODES if _is_code(found := each.get(name))]
    words = [code for code in codes if not code.isdigit()]
    reasons = [reason for detail in details if isinstance(reason := detail.get("reason"), str)]
    params = (each["param"] for each in objects if isinstance(each.get("param"), str))
    places = (place for each in objects if (place := _place(each)))
    return ErrorBody(
        message=error_message(payload),
        code=next(iter([*reasons, *words, *codes]), ""),
        param=next(params, "") or next(places, ""),
        status=next((status for code in codes if (status := _status(code))), None),
        retry_after=next((wait for detail in details if (wait := _wait(detail)) is not None), None),
    )


def error_of(payload: JsonObject) -> object:
    """The error that a body of status 200 holds beside or in place of its answer; None where there is none.

    Some gateways put an error without any content into every reply.
    """
    if any(_says_something(payload.get(name)) for name in ("error", "errors")):
        return payload
    base: Any = payload.get("base_resp")
    return payload if isinstance(base, dict) and _says_something(base.get("status_code")) else None


def _says_something(error: object, depth: int = 0) -> bool:
    """Whether there is an error at all: `{"code": 0, "message": "success"}` says that there was none."""
    if isinstance(error, dict) and depth < _DEEPEST:
        said = [error[name] for name in (*_MESSAGES, *_CODES) if name in error]
        return any(_says_something(each, depth + 1) for each in said or error.values())
    return error.strip(" .!").casefold() not in _NO_ERROR if isinstance(error, str) else error not in (None, 0, 200, [])


def error_message(payload: object, depth: int = 0) -> str:
    """The message of an error body; "" where there is none.

    A router's own message is followed by the provider's, Google's by the names of the quotas, and that of a server that
    checks a request's fields comes after the field.
    """
    if depth > _DEEPEST:
        return ""
    if isinstance(payload, dict):
        found = next((text for name in _MESSAGES if (text := error_message(payload.get(name), depth + 1))), "")
        place, behind = _place(payload), _behind(payload)
        found = f"{place}: {found}" if found and place else found
        return f"{found}: {behind}" if found and behind and behind not in found else found or behind
    if isinstance(payload, list):
        return error_message(payload[0], depth + 1) if payload else ""
    return _message_in(payload, depth) if isinstance(payload, str) else ""


def _message_in(text: str, depth: int) -> str:
    """The message of a text, which may end with another error body."""
    before, body = _embedded(text)
    inner = error_message(body, depth + 1) if body is not None else ""
    return before + inner if inner else text


def _behind(payload: JsonObject) -> str:
    """What stands beside a message: the provider's own error, why a request was flagged, or the quotas at fault."""
    found: Any = payload.get("metadata")
    metadata: JsonObject = found if isinstance(found, dict) else {}
    raw, reasons = metadata.get("raw"), metadata.get("reasons")
    if isinstance(reasons, list) or "flagged_input" in metadata:
        return f"the input was flagged ({', '.join(map(str, reasons if isinstance(reasons, list) else ()))})"
    if metadata:
        return error_message(raw)
    listed = (detail.get("violations") for detail in _details(payload))
    violations = (each for some in listed if isinstance(some, list) for each in some if isinstance(each, dict))
    return ", ".join(str(each["quotaId"]) for each in violations if each.get("quotaId"))


def _embedded(text: str) -> tuple[str, object]:
    """An error body at the end of a text, as JSON or as Python writes it, and what stands before; None without one.

    Behind words that say more than "error" it must be a list of faults: the model's or the user's own JSON may stand
    there.
    """
    starts = [at for bracket in "{[" if (at := text.find(bracket)) >= 0]
    start, end = min(starts, default=0), max(text.rfind("}"), text.rfind("]")) + 1
    body = _parsed(text[start:end]) if starts and end - start <= _LONGEST_EMBEDDED else None
    before = text[:start]
    inner = body[0] if isinstance(body, list) and body else body
    is_error = isinstance(inner, dict) and (only_names_an_error(before) or {"loc", "msg"} <= inner.keys())
    return (before, body) if is_error else ("", None)


def _parsed(text: str) -> object:
    """None where the text is neither JSON nor a literal of Python."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of escapes that Python does not know.
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _objects(payload: object, depth: int = 0) -> list[JsonObject]:
    """The objects that may hold the code, the innermost first: `error` in the body, a list's first item."""
    if isinstance(payload, str):
        payload = _embedded(payload)[1]
    if isinstance(payload, list):
        return _objects(payload[0], depth + 1) if payload and depth < _DEEPEST else []
    if not isinstance(payload, dict) or depth >= _DEEPEST:
        return []
    inner = (payload.get(name) for name in ("error", "errors", "message", "detail", "base_resp"))
    return [*(each for part in inner for each in _objects(part, depth + 1)), payload]


def _details(payload: JsonObject) -> Iterator[JsonObject]:
    """Google's typed details of an error."""
    found: Any = payload.get("details")
    return (each for each in (found if isinstance(found, list) else ()) if isinstance(each, dict))


def _wait(detail: JsonObject) -> float | None:
    """The seconds of Google's `retryDelay` (`25.3s`)."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", str(detail.get("retryDelay")))
    return float(found[1]) if found else None


def _place(payload: JsonObject) -> str:
    """The request's field that pydantic reports: `["body", "seed"]` is `seed`."""
    found: Any = payload.get("loc")
    return ".".join(str(part) for part in found if part != "body") if isinstance(found, list | tuple) else ""


def _is_code(value: object) -> bool:
    return (isinstance(value, str) and bool(value.strip()) and value != "error") or type(value) is int


def _status(code: str) -> int | None:
    number = int(code) if code.isdecimal() and len(code) == 3 else _STATUSES.get(code.casefold(), 0)
    return number if 400 <= number < 600 else None
