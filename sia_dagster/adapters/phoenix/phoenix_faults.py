"""Explains failed requests to Phoenix: what went wrong, and which setting to change."""

import json
from typing import TYPE_CHECKING

from sia_dagster.adapters.engine.wire.failures import Failure, action_after, retry_after

if TYPE_CHECKING:
    import httpx

INVALID_QUERY = "Invalid query"
"""How Phoenix begins what it says of a filter that it cannot read."""
_LONGEST = 300
"""Characters of a server's text that a message quotes."""


class BrokenReply(ValueError):
    """A reply arrived, but it is not what was asked for."""


def failure_of(error: Exception) -> Failure:
    """The failure behind an exception of Phoenix's client."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        reply = error.response
        return Failure(message=_detail(reply), status=reply.status_code, retry_after=retry_after(reply.headers))
    if isinstance(error, httpx.HTTPError):
        return Failure(message=f"{type(error).__name__}: {error}"[:_LONGEST])
    if isinstance(error, BrokenReply):
        return Failure(message=str(error))
    # Status 501 is never retried: a web page stays a web page.
    return Failure(message=f"its reply has an unknown form ({type(error).__name__})", status=501, code=_NOT_PHOENIX)


_NOT_PHOENIX = "not_phoenix"


def unanswered(failure: Failure) -> bool:
    """Whether the request was not answered: no reply, a server error, a refused key, or another kind of server."""
    return action_after(failure) == "retry" or failure.status in (401, 403) or failure.code == _NOT_PHOENIX


def sentence(failure: Failure, address: str, *, attempts: int, has_key: bool) -> str:
    """What happened and what to do, as a sentence for people."""
    if failure.status is None:
        return (
            f"Phoenix at {address} gave no answer in {attempts} attempts ({failure.message}); check traces.base_url, "
            "traces.timeout_seconds, and that the server runs and can be reached from here"
        )
    if failure.code == _NOT_PHOENIX:
        return f"the server at {address} is not Phoenix: {failure.message}; check traces.base_url"
    if failure.status in (401, 403):
        given = "does not accept the key" if has_key else "asks for a key"
        return (
            f"Phoenix at {address} {given} (status {failure.status}): create one in its settings, put it into "
            "PHOENIX_API_KEY and write `api_key: ${PHOENIX_API_KEY}` under traces"
        )
    if failure.status == 422 and failure.message.startswith(INVALID_QUERY):
        return (
            f"traces.where cannot be used ({failure.message}): Phoenix at {address} reads it as a Python expression "
            "over a span, such as name == 'ChatCompletion'"
        )
    tried = f" after {attempts} attempts" if attempts > 1 else ""
    return f"Phoenix at {address} refused a request (status {failure.status}{tried}): {failure.message}"


def _detail(reply: "httpx.Response") -> str:
    """The server's explanation on one line: FastAPI's `detail`, else the text."""
    text = reply.text
    try:
        detail = json.loads(text)["detail"]
        text = detail if isinstance(detail, str) else "; ".join(str(item["msg"]) for item in detail)
    except (ValueError, KeyError, TypeError):
        pass
    return " ".join(text.split())[:_LONGEST]
