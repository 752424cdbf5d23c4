"""Calls of Arize's REST API with what its client lacks: a time limit, retries, and errors that name the setting."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sia_dagster.adapters.arize.arize_client import ArizeConnection
from sia_dagster.adapters.arize.flight_retries import Wait, within
from sia_dagster.adapters.engine.wire.failures import Failure, retry_after
from sia_dagster.adapters.engine.wire.retries import attempts_of, retrying
from sia_dagster.core.errors import PublishConflict, PublishError

if TYPE_CHECKING:
    from arize.spaces.client import SpacesClient

Result = TypeVar("Result")
LONGEST_CALL: Final = 60.0
"""Seconds; a REST answer is small, so its time limit is shorter than that of an export."""
PAGE: Final = 100
"""The most items in one page of a list."""
_LONGEST_MESSAGE: Final = 300
"""Characters of the platform's own words in an error."""


class RestCalls:
    """Makes one platform call at a time, with the attempts that the connection allows.

    The client's connection pool already waits as a 429 or 503 asks where the method may be repeated (GET, PUT); that
    time counts as the call's. A call that timed out continues in its thread until the other side ends it: its changes
    may still arrive, which is why `create` calls `find` before it repeats a call.
    """

    def __init__(self, connection: ArizeConnection, *, wait: Wait) -> None:
        """`wait` waits between attempts."""
        self._connection, self._wait = connection, wait
        self._seconds = min(connection.timeout_seconds, LONGEST_CALL)

    def repeat(self, what: str, call: Callable[[], Result]) -> Result:
        """The answer to a call that can be repeated without harm; `what` completes "Arize, ..." in errors.

        Raises PublishError.
        """
        return self.create(what, call, find=lambda: None)

    def create(self, what: str, call: Callable[[], Result], *, find: Callable[[], Result | None]) -> Result:
        """The answer to a call that creates an object.

        `find` is called before a repetition, and where the name is taken. What it finds is the answer: an attempt whose
        answer was lost has created it. Raises PublishConflict where the name is taken and `find` returns None,
        PublishError otherwise.
        """

        def once() -> Result | Failure:
            outcome = self._attempt(call)
            if not isinstance(outcome, Failure):
                return outcome
            may_be_made = attempts_of(loop) > 1 or _is_lost(outcome) or outcome.status == 409
            made = find() if may_be_made else None
            return outcome if made is None else made

        loop = retrying(what, self._connection.max_attempts, self._wait, _is_lost)
        outcome = loop(once)
        if isinstance(outcome, Failure):
            raise self._refused(what, outcome, attempts_of(loop))
        return outcome

    def pages(self, what: str, field: str, page: Callable[[str | None], Any]) -> Iterator[Any]:
        """All items of a list, page by page; `page` takes the cursor, `field` names the items in its answer."""
        cursor, seen = None, set[str]()
        while True:
            answer = self.repeat(what, lambda cursor=cursor: _complete(page(cursor), field))  # type: ignore[misc]
            yield from getattr(answer, field)
            cursor = answer.pagination.next_cursor
            if not cursor:
                return
            if cursor in seen:
                raise PublishError(f"Arize, {what}: the next page was already read; report this to Arize support")
            seen.add(cursor)

    def space(self, spaces: "SpacesClient") -> str:
        """The id of the connection's space; a name is matched exactly. Raises PublishError where there is none."""
        asked = self._connection.space_id
        return self.repeat(f"the space {asked!r}", lambda: id_of(spaces.get(space=asked)))

    def _attempt(self, call: Callable[[], Result]) -> Result | Failure:
        """One attempt in a thread of its own: the client's methods take no timeout."""
        from arize import AmbiguousNameError, ApiException, NotFoundError
        from arize.exceptions import MissingResponseFieldError
        from urllib3.exceptions import HTTPError

        try:
            return within(self._seconds, call, lambda: None)
        except ApiException as error:
            return self._answered(error)
        except (NotFoundError, AmbiguousNameError) as error:
            return Failure(message=self._words(str(error)), status=404)
        except TimeoutError:
            return Failure(message=f"no answer within {self._seconds:g} seconds")
        except (HTTPError, OSError) as error:
            return Failure(message=_no_connection(getattr(error, "reason", None) or error))
        except (ValueError, TypeError, MissingResponseFieldError) as error:
            return Failure(message=f"an answer that cannot be understood ({type(error).__name__})", status=200)

    def _answered(self, error: Any) -> Failure:
        """The status and the platform's words; without a status the client did not know the kind of content."""
        if not error.status:
            return Failure(message="an answer that cannot be understood", status=200)
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        return Failure(message=self._words(_detail(error.body)), status=error.status, retry_after=retry_after(headers))

    def _words(self, text: str) -> str:
        """The platform's words on one line, cut, without the key."""
        secret = self._connection.api_key.get_secret_value()
        return " ".join(text.replace(secret, "***").split())[:_LONGEST_MESSAGE]

    def _refused(self, what: str, failure: Failure, attempts: int) -> PublishError:
        advice = _ADVICE.get(failure.status or 0)
        kind = PublishConflict if failure.status == 409 else PublishError
        if advice is None or _is_lost(failure):
            tries = f"gave up after {attempts} attempt{'s' if attempts > 1 else ''}"
            status = f"status {failure.status}: " if failure.status else ""
            return kind(f"Arize, {what}: {tries}: {status}{failure.message}; {_AGAIN}")
        detail = f" ({failure.message})" if failure.message else ""
        return kind(f"Arize, {what}: {advice}{detail}")


_AGAIN = (
    "check the network and the ARIZE_* variables that name the host or region, then publish again: what exists is "
    "found and not created twice"
)
_ADVICE: Final[dict[int, str]] = {
    400: "the request was refused",
    401: "the key is not accepted; set the variable that `traces.api_key` names (ARIZE_API_KEY) to a valid key",
    403: "the key may not do this; give its user a role in the space that may, or use another key",
    404: "there is no such thing, or not any more; check `traces.space_id` (ARIZE_SPACE_ID) and "
    "that the key belongs to that space",
    409: "the name was taken meanwhile; look there and publish again, or choose another name",
    422: "the request was refused",
}
"""The advice for a final status."""


def _is_lost(outcome: object) -> bool:
    """Whether it is a failure after which the request may have been carried out, or may be if it is made again."""
    if not isinstance(outcome, Failure):
        return False
    status = outcome.status
    return status is None or status in (200, 408, 425, 429) or (status >= 500 and status != 501)


def _no_connection(reason: object) -> str:
    kind = type(reason).__name__
    trust = "; TLS is refused: see ARIZE_SSL_CA_CERT and ARIZE_REQUEST_VERIFY" if "SSL" in kind else ""
    return f"no connection ({kind}{trust})"


def id_of(answer: Any) -> str:
    """The id of an object that was found or created. Raises ValueError where the answer has none."""
    if answer is None or not answer.id:
        raise ValueError("id")
    return str(answer.id)


def _complete(answer: Any, field: str) -> Any:
    """The page, if it is one. Raises ValueError: every field of the client's models may be missing."""
    if getattr(answer, field, None) is None or answer.pagination is None:
        raise ValueError(field)
    return answer


def _detail(body: str | None) -> str:
    """The sentence of a problem document; nothing of any other body."""
    try:
        problem = json.loads(body or "")
        return str(problem.get("detail") or problem.get("title") or "")
    except (ValueError, AttributeError):
        return ""
