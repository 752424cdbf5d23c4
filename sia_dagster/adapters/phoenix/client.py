"""A Phoenix server, asked patiently: retries, timeouts and errors that say which setting to look at."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from sia_dagster.adapters.attempts import Failure, course, delay_before_retry
from sia_dagster.adapters.phoenix.faults import failure_of, sentence
from sia_dagster.core.errors import ConfigError, SiaError
from sia_dagster.core.models import JsonObject, Value

if TYPE_CHECKING:
    import httpx
    from phoenix.client import Client

Answer = TypeVar("Answer")
Wait = Callable[[float], object]
"""Waits that many seconds."""


class PhoenixConnection(Value):
    """Which project of which server, with whose key, and how patiently."""

    base_url: str = "http://127.0.0.1:6006"
    project: str = "default"
    api_key: SecretStr | None = None
    """None: what PHOENIX_API_KEY and PHOENIX_CLIENT_HEADERS say, as Phoenix's own client reads them."""
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Of one request."""
    max_attempts: int = Field(default=4, ge=1)
    """Of one request."""


class PhoenixServer:
    """One session with a server; made by `open_server`."""

    def __init__(self, client: "Client", http: "httpx.Client", connection: PhoenixConnection) -> None:
        self.client, self._http, self._connection = client, http, connection
        self.error: type[SiaError] = SiaError
        """What a failed request is raised as."""
        self.wait: Wait = threading.Event().wait

    @property
    def timeout(self) -> int:
        """Seconds, for the calls of Phoenix's client that bring a shorter time of their own; at least one."""
        return max(1, round(self._connection.timeout_seconds))

    @property
    def project(self) -> str:
        """The configured project's name."""
        return self._connection.project

    def ask(self, question: "Callable[[Client], Answer]", *, repeatable: bool = True) -> Answer:
        """The answer to one request, asked again after failures that may pass.

        With `repeatable=False` a request whose reply was lost is not sent again: it may have been carried out.
        Raises `self.error`.
        """
        import httpx

        attempt = 1
        while True:
            try:
                return question(self.client)
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                failure = failure_of(error)
                lost = failure.status is None and not repeatable
                if lost or course(failure) != "retry" or attempt >= self._connection.max_attempts:
                    raise self._refused(failure, attempt) from error
            self.wait(delay_before_retry(failure, key=self._connection.base_url, attempt=attempt))
            attempt += 1

    def get(self, path: str, **params: Any) -> JsonObject:
        """The JSON object at GET `path`, for what Phoenix's client has no method. Raises `self.error`."""

        def question(_: "Client") -> JsonObject:
            reply = self._http.get(path, params=params)
            reply.raise_for_status()
            body: JsonObject = reply.json()
            return body

        return self.ask(question)

    def _refused(self, failure: Failure, attempts: int) -> SiaError:
        has_key = self._connection.api_key is not None
        return self.error(sentence(failure, shown(self._connection.base_url), attempts=attempts, has_key=has_key))

    def project_id(self) -> str:
        """The platform's id of the project: unlike its name it may stand in any path.

        Raises `self.error` where the server has no such project, with those that it has.
        """
        projects = self.ask(lambda client: client.projects.list())
        found = {str(project["name"]): str(project["id"]) for project in projects}
        if self.project not in found:
            raise self.error(
                f"Phoenix at {shown(self._connection.base_url)} has no project {self.project!r}; set traces.project to "
                f"one of {sorted(found)[:20]}, or send it a span: a project begins with its first"
            )
        return found[self.project]


@contextmanager
def open_server(
    connection: PhoenixConnection, *, error: type[SiaError], wait: Wait | None = None
) -> Iterator[PhoenixServer]:
    """A session in which failed requests are raised as `error`; nothing is contacted yet.

    Raises ConfigError where the client is not installed or the address is none.
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
    try:
        http = HttpClient(base_url=_address(connection), headers=headers, timeout=connection.timeout_seconds)
    except (InvalidURL, UnicodeEncodeError) as bad:
        raise ConfigError(f"neither may hold other than plain characters ({type(bad).__name__})", key=_KEYS) from bad
    with http:
        server = PhoenixServer(Client(http_client=http), http, connection)
        server.error = error
        if wait is not None:
            server.wait = wait
        yield server


_KEYS = "traces.base_url, traces.api_key"


def shown(url: str) -> str:
    """The address without a user, a password or a query, which may be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _address(connection: PhoenixConnection) -> str:
    """The server's address. Raises ConfigError for what is none."""
    try:
        parts = urlsplit(connection.base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            "this is no http:// or https:// address, such as http://127.0.0.1:6006", key="traces.base_url"
        )
    return connection.base_url
