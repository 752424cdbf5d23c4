"""The error in a reply's body, in the forms that endpoints use."""

import json
from typing import Any

from sia_dagster.core.records.value import JsonObject, Value

_MESSAGES = ("error", "errors", "message", "detail", "msg", "status_msg", "base_resp", "title")
"""Where the message stands, or the object that holds it; the first that has one counts."""

_CODES = ("code", "type", "error_type", "status", "status_code")

_NO_ERROR = {"", "0", "200", "ok", "success", "succeeded", "successful", "none", "null", "no error", "no_error", "成功"}
"""Words and codes for the absence of an error."""

_DEEPEST = 8

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


def read_error(payload: object) -> ErrorBody:
    """The error in a JSON body; a text is the message itself."""
    objects = _objects(payload)
    codes = [str(found) for each in objects for name in _CODES if _is_code(found := each.get(name))]
    words = [code for code in codes if not code.isdigit()]
    params = (each["param"] for each in objects if isinstance(each.get("param"), str))
    return ErrorBody(
        message=error_message(payload),
        code=next(iter([*words, *codes]), ""),
        param=next(params, ""),
        status=next((status for code in codes if (status := _status(code))), None),
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
    """The message of an error body; "" where there is none. A router's own message is followed by the provider's."""
    if depth > _DEEPEST:
        return ""
    if isinstance(payload, dict):
        found = next((text for name in _MESSAGES if (text := error_message(payload.get(name), depth + 1))), "")
        behind = _behind(payload.get("metadata"))
        return f"{found}: {behind}" if found and behind and behind not in found else found or behind
    if isinstance(payload, list):
        return error_message(payload[0], depth + 1) if payload else ""
    return payload if isinstance(payload, str) else ""


def _behind(metadata: object) -> str:
    """What a router's `metadata` adds: the provider's own error, or why a request was flagged."""
    if not isinstance(metadata, dict):
        return ""
    raw, reasons = metadata.get("raw"), metadata.get("reasons")
    if isinstance(raw, str):
        try:
            return error_message(json.loads(raw)) or raw
        except (ValueError, RecursionError):
            return raw
    return ", ".join(str(reason) for reason in reasons) if isinstance(reasons, list) else error_message(raw)


def _objects(payload: object, depth: int = 0) -> list[JsonObject]:
    """The objects that may hold the code, the innermost first: `error` in the body, a list's first item."""
    if isinstance(payload, list):
        return _objects(payload[0], depth + 1) if payload and depth < _DEEPEST else []
    if not isinstance(payload, dict) or depth >= _DEEPEST:
        return []
    inner = (payload.get(name) for name in ("error", "errors", "detail", "base_resp"))
    return [*(each for part in inner for each in _objects(part, depth + 1)), payload]


def _is_code(value: object) -> bool:
    return (isinstance(value, str) and bool(value.strip()) and value != "error") or type(value) is int


def _status(code: str) -> int | None:
    number = int(code) if code.isdecimal() and len(code) == 3 else _STATUSES.get(code.casefold(), 0)
    return number if 400 <= number < 600 else None
