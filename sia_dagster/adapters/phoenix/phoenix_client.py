"""Requests to a Phoenix server, with retries, timeouts and errors that name the setting to check."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import Field, SecretStr

from sia_dagster.adapters.config.condition_values import ConditionValues
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.adapters.engine.wire.retries import is_transient, retrying
from sia_dagster.adapters.phoenix.phoenix_faults import INVALID_QUERY, failure_of, sentence, unanswered
from sia_dagster.core.errors import ConfigError, SiaError
from sia_dagster.core.records.value import JsonObject, Value

if TYPE_CHECKING:
    import httpx
    from phoenix.client import Client


Answer = TypeVar("Answer")

Wait = Callable[[float], object]
"""Waits that many seconds."""


class PhoenixConnection(Value):
    """A project of a server, with its key, timeout and attempts."""

    base_url: str = "http://127.0.0.1:6006"
    project: str = "default"
    api_key: SecretStr | None = None
    """None: PHOENIX_API_KEY and PHOENIX_CLIENT_HEADERS, as Phoenix's own client reads them."""
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Of one request."""
    max_attempts: int = Field(default=4, ge=1)
    """Of one request."""


class PhoenixServer:
    """One session with a server; made by `open_server`."""

    def __init__(self, client: "Client", http: "httpx.Client", connection: PhoenixConnection) -> None:
        self.client, self._http, self._connection = client, http, connection
        self.error: type[SiaError] = SiaError
        """The error of a refused request."""
        self.unavailable: type[SiaError] = SiaError
        """The error where the server did not answer, or refused the key."""
        self.wait: Wait = threading.Event().wait
        self.secrets: tuple[str, ...] = ()
        """Values that no message may contain."""
        self.condition: ConditionValues | None = None
        """The values in the filter, which the server quotes in its refusals."""

    @property
    def timeout(self) -> int:
        """Seconds, for calls of Phoenix's client that have a shorter timeout of their own; at least one."""
        return max(1, round(self._connection.timeout_seconds))

    @property
    def project(self) -> str:
        """The configured project's name."""
        return self._connection.project

    def ask(self, question: "Callable[[Client], Answer]", *, repeatable: bool = True) -> Answer:
        """The answer to one request, repeated after transient failures.

        With `repeatable=False` a request whose reply was lost is not repeated: it may have been carried out.
        Raises `self.error`.
        """
        import httpx

        errors = list[Exception]()

        def once() -> Answer | Failure:
            try:
                return question(self.client)
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                errors.append(error)
                return failure_of(error)

        def again(outcome: Answer | Failure) -> bool:
            lost = isinstance(outcome, Failure) and outcome.status is None
            return is_transient(outcome) and (repeatable or not lost)

        outcome = retrying(self._connection.base_url, self._connection.max_attempts, self.wait, again)(once)
        if isinstance(outcome, Failure):
            hidden = self.condition is not None and self.condition.values
            raise self._refused(outcome, len(errors)) from (None if hidden else errors[-1])
        return outcome

    def page(self, path: str, **params: Any) -> tuple[list[JsonObject], str | None]:
        """The items at GET `path` and the cursor of the next page, where Phoenix's client has no method.

        Raises `self.error`.
        """

        def question(_: "Client") -> tuple[list[JsonObject], str | None]:
            reply = self._http.get(path, params=params)
            reply.raise_for_status()
            body = reply.json()
            return [dict(item) for item in body["data"]], body.get("next_cursor") or None

        return self.ask(question)

    def _refused(self, failure: Failure, attempts: int) -> SiaError:
        """The error, without our headers, which a server may repeat."""
        has_key = self._connection.api_key is not None
        if self.condition is not None and (kept := self.condition.shown(failure.message)) != failure.message:
            kept = f"{INVALID_QUERY}; {kept}" if failure.message.startswith(INVALID_QUERY) else kept
            failure = failure.model_copy(update={"message": kept})
        message = sentence(failure, shown(self._connection.base_url), attempts=attempts, has_key=has_key)
        for secret in self.secrets:
            message = message.replace(secret, "***")
        return (self.unavailable if unanswered(failure) else self.error)(message)

    def project_id(self) -> str:
        """The platform's id of the project: unlike its name it may stand in any path.

        Raises `self.error` where the server has no such project, with those that it has.
        """
        found = self.ask(lambda client: {str(p["name"]): str(p["id"]) for p in client.projects.list()})
        if self.project not in found:
            raise self.error(
                f"Phoenix at {shown(self._connection.base_url)} has no project {self.project!r}; set traces.project to "
                f"one of {sorted(found)[:20]}, or send it a span: a project begins with its first"
            )
        return found[self.project]


@contextmanager
def open_server(
    connection: PhoenixConnection,
    *,
    error: type[SiaError],
    unavailable: type[SiaError] | None = None,
    wait: Wait | None = None,
) -> Iterator[PhoenixServer]:
    """A session in which refused requests are raised as `error`, those without an answer as `unavailable` where given.

    Nothing is contacted yet. Raises ConfigError where the client is not installed or the address is invalid.
    """
    try:
        from httpx import Client as HttpClient
        from httpx import InvalidURL
        from phoenix.client import Client
        from phoenix.client.utils.config import get_env_client_headers
    except ImportError as missing:
        raise ConfigError(
            f"Phoenix needs a package that is not there ({missing}); pip install 'sia-dagster[phoenix]'",
            key="traces.source",
        ) from missing
    headers = get_env_client_headers()
    if connection.api_key is not None:
        headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        headers["Authorization"] = f"Bearer {connection.api_key.get_secret_value()}"
    _check_headers(value.removeprefix("Bearer ") for value in headers.values())
    address, login = _address(connection)
    try:
        http = HttpClient(base_url=address, auth=login, headers=headers, timeout=connection.timeout_seconds)
    except InvalidURL as bad:
        raise ConfigError(f"it may contain plain characters only ({type(bad).__name__})", key=_ADDRESS) from bad
    with http:
        server = PhoenixServer(Client(http_client=http), http, connection)
        server.error, server.unavailable = error, unavailable or error
        tokens = (value.removeprefix("Bearer ") for value in headers.values())
        server.secrets = tuple(value for value in tokens if len(value) >= _SHORTEST_SECRET)
        if wait is not None:
            server.wait = wait
        yield server


_ADDRESS = "traces.base_url"

_SHORTEST_SECRET = 8
"""Characters: shorter header values are words such as `eu`, which a message may need."""


def shown(url: str) -> str:
    """The address without a user, a password or a query, which may be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _check_headers(values: Iterable[str]) -> None:
    """Raise ConfigError, without the value, for what no header can hold: a client would quote it when it is sent."""
    for value in values:
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ConfigError(
                "the key, or what PHOENIX_CLIENT_HEADERS says, holds a line break, a blank at an end or a letter "
                "outside ASCII; set it again without",
                key="traces.api_key",
            )


def _address(connection: PhoenixConnection) -> tuple[str, tuple[str, str] | None]:
    """The server's address, and the user and password that stood in it: clients show addresses in their errors.

    Raises ConfigError for what is no address.
    """
    try:
        parts = urlsplit(connection.base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("this is no http:// or https:// address, such as http://127.0.0.1:6006", key=_ADDRESS)
    login = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), login
