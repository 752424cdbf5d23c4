"""A session with a Postgres database that outlives its connections, and says nothing of the password."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from sia_dagster.core.errors import ConfigError, SiaError

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]


Result = TypeVar("Result")


MOST_TRIES = 6
"""Of one piece of work; 1, 2, 4, 8 and 16 seconds between them bridge the restart of a server."""


_LONGEST_DELAY = 16.0


_CONTENTION = ("40001", "40P01")
"""Two transactions were in each other's way: the one that the server stopped is done again."""


_OPTIONS = {
    "fallback_application_name": "sia_dagster",
    "connect_timeout": 10,
    # A server that is gone without a word is noticed within a minute, not within hours.
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""What goes before libpq's defaults; the address goes before both."""


_MALFORMED = (
    "is no Postgres URL: write postgresql://user:password@host:5432/database, with every character of user and "
    "password that is no letter or digit as %XX (@ is %40, / is %2F)"
)


def pause(seconds: float) -> None:
    """Wait in this thread."""
    threading.Event().wait(seconds)


class PostgresSession:
    """Runs work in transactions, one at a time, over a connection that is made again when it is lost.

    A transaction that writes happens once: where the connection is lost in the middle of the commit, the server is
    asked what became of it. After MOST_TRIES in vain, and at once where the server refuses, work raises SiaError.
    """

    def __init__(self, address: str, *, wait: Callable[[float], object] = pause) -> None:
        """Connects, once. `wait` takes seconds. Raises ConfigError without psycopg and for what is no address."""
        self._parameters = {**_OPTIONS, **_parsed(address)}
        self._wait = wait
        self._lock = threading.RLock()
        self._opened: Connection | None = None
        self._closed = False
        self._in_use = 0
        self.name = _shown(self._parameters)
        self.run("opened", lambda db: None, tries=1)

    def run(
        self,
        done: str,
        work: Callable[["Connection"], Result],
        *,
        after: "Callable[[Connection], Result] | None" = None,
        tries: int = MOST_TRIES,
    ) -> Result:
        """What `work` returns, in one transaction; `done` says in an error what could not be (`read`).

        With `after` the work writes: where it turns out that a commit whose end was not seen went through, `after`
        finds the result instead of a second run.
        """
        import psycopg

        with self._lock:
            transaction, attempt = "", 0
            while True:
                attempt += 1
                try:
                    db = self._connected()
                    if after and transaction and _committed(db, transaction):
                        return after(db)
                    with db.transaction():
                        transaction = _identity(db) if after else ""
                        return work(db)
                except psycopg.Error as error:
                    if attempt >= tries or not self._passes(error):
                        raise self._error(done, error) from None
                    self._wait(min(2.0 ** (attempt - 1), _LONGEST_DELAY))

    def begin(self) -> None:
        """Hold the lock of those who use the answers, over every connection from here on."""
        with self._lock:
            if not self._in_use:
                self.run("used", _share)
            self._in_use += 1

    def end(self) -> None:
        """Let go of it; a lost connection has done so already."""
        with self._lock:
            self._in_use -= 1
            db = self._opened
            if db is not None and not db.closed and not self._in_use:
                self.run("used", lambda same: same.execute(_UNSHARE, (_LOCK,)))

    def close(self) -> None:
        """Close the connection; work after this raises SiaError."""
        with self._lock:
            self._closed = True
            self._forget()

    def _connected(self) -> "Connection":
        import psycopg

        if self._closed:
            raise psycopg.InterfaceError("it is closed")
        if self._opened is None or self._opened.closed:
            # Poolers give each transaction another connection, on which a prepared statement is not known.
            self._opened = psycopg.connect(**self._parameters, autocommit=True, prepare_threshold=None)
            if self._in_use:
                _share(self._opened)
        return self._opened

    def _passes(self, error: "psycopg.Error") -> bool:
        """Whether it may go well the next time: the connection was lost, or another was in the way."""
        lost = self._opened is None or self._opened.closed
        if lost:
            self._forget()
        return not self._closed and (lost or error.sqlstate in _CONTENTION)

    def _forget(self) -> None:
        db, self._opened = self._opened, None
        if db is not None:
            db.close()

    def _error(self, done: str, error: "psycopg.Error") -> SiaError:
        said = " ".join(str(error).split())
        for secret in (value for name, value in self._parameters.items() if "password" in name and value):
            said = said.replace(str(secret), "***")
        return SiaError(
            f"the completion store {self.name} cannot be {done}: {said}. Check that the server is there, that the "
            "database in llm.completions exists and that its user may create tables in it."
        )


_LOCK = 7_351_946_208_113_004
"""The advisory lock of this package in its database."""


_UNSHARE = "SELECT pg_advisory_unlock_shared(%s)"


def _share(db: "Connection") -> None:
    db.execute("SELECT pg_advisory_lock_shared(%s)", (_LOCK,))


def alone(db: "Connection") -> bool:
    """Take the lock of those who use the answers for this transaction alone; False where somebody uses them."""
    row = db.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,)).fetchone()
    return bool(row and row[0])


def in_turn(db: "Connection") -> None:
    """Wait until no other transaction makes the tables."""
    db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK + 1,))


def turn(db: "Connection") -> bool:
    """Take the lock of those who hand in batches, for this connection; False where somebody has it."""
    row = db.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK + 2,)).fetchone()
    return bool(row and row[0])


def end_of_turn(db: "Connection") -> None:
    """Let go of it; a lost connection has done so already, and the server only warns."""
    db.execute("SELECT pg_advisory_unlock(%s)", (_LOCK + 2,))


def _identity(db: "Connection") -> str:
    row = db.execute("SELECT pg_current_xact_id()::text").fetchone()
    return str(row[0]) if row else ""


def _committed(db: "Connection", transaction: str) -> bool:
    """Whether a transaction whose end was not seen went through.

    Raises psycopg.Error, as for a lost connection, while the server has not noticed yet that its client is gone.
    """
    import psycopg

    row = db.execute("SELECT pg_xact_status(%s::xid8)", (transaction,)).fetchone()
    if row and row[0] == "in progress":
        db.close()
        raise psycopg.OperationalError("the connection was lost, and the server still works for it")
    return bool(row and row[0] == "committed")


def _parsed(address: str) -> Mapping[str, Any]:
    """The parameters of a URL. Raises ConfigError, which repeats nothing of it."""
    try:
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise ConfigError(
            "a Postgres database needs the extra: pip install 'sia-dagster[postgres]'", key="llm.completions"
        ) from error
    try:
        parameters = conninfo_to_dict(address)
    except Error:
        raise ConfigError(_MALFORMED, key="llm.completions") from None
    places = " ".join(str(parameters.get(name, "")) for name in ("host", "dbname"))
    ports = str(parameters.get("port", "")).replace(",", "")
    if not address.startswith(("postgresql://", "postgres://")) or "@" in places or not (ports or "0").isdigit():
        raise ConfigError(_MALFORMED, key="llm.completions")
    return parameters


def _shown(parameters: Mapping[str, Any]) -> str:
    host, port = parameters.get("host", ""), parameters.get("port", "")
    return f"postgresql://{host}{':' if port else ''}{port}/{parameters.get('dbname', '')}"
