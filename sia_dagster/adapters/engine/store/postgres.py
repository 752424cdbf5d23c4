"""The completion store in a Postgres database, for many machines: survives lost connections, shows no password."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sia_dagster.adapters.engine.store.completion_store import Action, CompletionStore, Result, Work
from sia_dagster.adapters.engine.store.store_sql import StoreSql
from sia_dagster.adapters.engine.store.stored_values import LedgerScope
from sia_dagster.core.errors import ConfigError, SiaError

if TYPE_CHECKING:
    import psycopg

FORMAT = 1

MOST_TRIES = 6
"""Of one piece of work; 1, 2, 4, 8 and 16 seconds between them bridge the restart of a server."""

_LONGEST_DELAY = 16.0

_CONTENTION = ("40001", "40P01")
"""Two transactions blocked each other: the one that the server stopped is run again."""

_IN_USE = 7_351_946_208_113_004
"""The advisory lock of the stages that use the answers."""

_CREATION = _IN_USE + 1
"""The advisory lock for creating the tables."""

_TURN = _IN_USE + 2
"""The advisory lock for handing in and collecting batches."""

_FORMAT_TABLE = sa.Table("sia_completions_format", sa.MetaData(), sa.Column("format", sa.INTEGER, nullable=False))

_OPTIONS = {
    "fallback_application_name": "sia_dagster",
    "connect_timeout": 10,
    # A server that is gone without a word is noticed within a minute, not within hours.
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""They replace libpq's defaults; the address may replace both."""

_MALFORMED = (
    "is not a Postgres URL: write postgresql://user:password@host:5432/database, and every character of user and "
    "password that is not a letter or digit as %XX (@ is %40, / is %2F)"
)


def pause(seconds: float) -> None:
    """Wait in this thread."""
    threading.Event().wait(seconds)


class PostgresStore(CompletionStore):
    """The store for every machine that reaches the database (Postgres 13 or newer).

    Transactions run one at a time, over one connection, which is made again when it is lost. An answer is committed
    before it is returned, as durably as the server's `synchronous_commit` says, and booked once: where the connection
    is lost during a commit, the server is asked whether it went through. A method raises SiaError after MOST_TRIES
    failures, and at once where the server refuses. The tables `sia_*` are created where there are none.
    """

    remote = True
    hint = (
        "Check that the server runs, that the database in llm.completions exists and that its user may create tables "
        "in it."
    )

    def __init__(self, address: str, *, limits: Path, wait: Callable[[float], object] = pause) -> None:
        """Connect to a `postgresql://` URL. `limits` is a local file; `wait` takes the seconds between two tries.

        Raises ConfigError without psycopg and for what is no address, SiaError where the database cannot be used.
        """
        self.sql = StoreSql("postgresql")
        self.limits = limits
        self._parameters = {**_OPTIONS, **_parsed(address)}
        self.name = _shown(self._parameters)
        self._wait = wait
        self._lock = threading.RLock()
        self._users = 0
        engine = sa.create_engine(
            "postgresql+psycopg://", creator=self._connected, poolclass=sa.NullPool, hide_parameters=True
        )
        try:
            self._db = engine.connect()
        except sa.exc.DBAPIError as error:
            raise self._failed("opened", error) from None
        try:
            if not self.transact("opened", self._format):
                self.transact("opened", self._create)
        except BaseException:
            self.close()
            raise

    def transact(self, action: Action, work: Work[Result], *, after: Work[Result] | None = None) -> Result:
        """See `CompletionStore.transact`. SQLAlchemy makes a connection that was lost again when it is used."""
        with self._lock:
            transaction, attempt = "", 0
            while True:
                attempt += 1
                try:
                    with self._db.begin():
                        if after and transaction and self._committed(transaction):
                            return after(self._db)
                        transaction = self._db.scalar(sa.text("SELECT pg_current_xact_id()::text")) if after else ""
                        return work(self._db)
                except sa.exc.SQLAlchemyError as error:
                    contention = getattr(getattr(error, "orig", None), "sqlstate", None) in _CONTENTION
                    if attempt == MOST_TRIES or not (contention or self._db.invalidated):
                        raise self._failed(action, error) from None
                    self._wait(min(2.0 ** (attempt - 1), _LONGEST_DELAY))

    def take_turn(self) -> bool:
        """See `CompletionStore.take_turn`; it ends with the connection."""
        return bool(self.transact("used", lambda db: db.scalar(sa.func.pg_try_advisory_lock(_TURN))))

    def end_turn(self) -> None:
        """See `CompletionStore.end_turn`; after a lost connection, which released the lock, the server only warns."""
        self.transact("used", lambda db: db.scalar(sa.func.pg_advisory_unlock(_TURN)))

    def begin(self) -> None:
        """See `CompletionStore.begin`, over every connection from here on; waits while answers are pruned."""
        with self._lock:
            if not self._users:
                self.transact("used", lambda db: db.scalar(sa.func.pg_advisory_lock_shared(_IN_USE)))
            self._users += 1

    def end(self) -> None:
        """See `CompletionStore.end`."""
        with self._lock:
            self._users -= 1
            if not self._users and not (self._db.closed or self._db.invalidated):
                self.transact("used", lambda db: db.scalar(sa.func.pg_advisory_unlock_shared(_IN_USE)))

    def close(self) -> None:
        """Close the connection. What was put is committed."""
        with self._lock:
            self._db.close()

    def size(self) -> int:
        """Bytes of the tables with their indexes."""
        names = self.sql.completions.name, self.sql.ledger.name
        return sum(self._rows(sa.select(*(sa.func.pg_total_relation_size(name) for name in names)))[0])

    def prune(self, windows: Sequence[LedgerScope], *, before: datetime) -> int:
        """See `CompletionStore.prune`; the server gives the room back in its own time."""

        def work(db: sa.Connection) -> int:
            if not db.scalar(sa.func.pg_try_advisory_xact_lock(_IN_USE)):
                raise self._in_use()
            return self._drop(db, windows, before)

        return self.transact("pruned", work)

    def _format(self, db: sa.Connection) -> int:
        """The format of the tables; 0 where there are none. Raises SiaError for a newer one."""
        # Not to_regclass: it may go by what this connection knew before another made the tables.
        if not sa.inspect(db).has_table(_FORMAT_TABLE.name):
            return 0
        found = db.scalar(sa.select(_FORMAT_TABLE.c.format)) or 0
        self._check_format(found, FORMAT)
        return found

    def _create(self, db: sa.Connection) -> None:
        db.scalar(sa.func.pg_advisory_xact_lock(_CREATION))
        if not self._format(db):
            self.sql.metadata.create_all(db, checkfirst=False)
            _FORMAT_TABLE.create(db)
            db.execute(_FORMAT_TABLE.insert(), {"format": FORMAT})

    def _connected(self) -> "psycopg.Connection":
        """A new connection, which holds the lock of a stage at work."""
        import psycopg

        # Poolers give each transaction another connection, on which a prepared statement is not known.
        db = psycopg.connect(**self._parameters, prepare_threshold=None)
        if self._users:
            db.execute("SELECT pg_advisory_lock_shared(%s)", (_IN_USE,))
            db.commit()
        return db

    def _committed(self, transaction: str) -> bool:
        """Whether a transaction whose end was not seen went through.

        This connection is given up, too, where the server has not noticed yet that the first one's client is gone.
        """
        query = sa.text("SELECT pg_xact_status(CAST(:transaction AS xid8))")
        status = self._db.scalar(query, {"transaction": transaction})
        if status == "in progress":
            self._db.invalidate()
            raise sa.exc.InvalidRequestError("the connection was lost, and the server has not yet ended its work")
        return bool(status == "committed")

    def _failed(self, action: Action, error: Exception) -> SiaError:
        message = str(super()._failed(action, error))
        for secret in (value for name, value in self._parameters.items() if "password" in name and value):
            message = message.replace(str(secret), "***")
        return SiaError(message)


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
