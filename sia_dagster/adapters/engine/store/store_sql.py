"""Tables and statements of the completion store: one definition for SQLite and Postgres, and where they differ."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

_PLACE = ("loop", "window", "stage", "model")
_COUNT = sa.BIGINT().with_variant(sa.INTEGER(), "sqlite")
_USD: sa.types.TypeEngine[float] = sa.DOUBLE_PRECISION().with_variant(sa.REAL(), "sqlite")


class StoreSql:
    """The tables in one dialect, and what the store does with those of answers and ledger.

    These two are called `sia_...` in Postgres alone. The columns are those of every version of this package.
    """

    def __init__(self, dialect: Literal["sqlite", "postgresql"]) -> None:
        self._sqlite = dialect == "sqlite"
        self.metadata = sa.MetaData()
        self.completions = self._completions()
        self.ledger = self._table(
            "ledger",
            *(sa.Column(name, sa.TEXT, primary_key=True) for name in _PLACE),
            *_columns(_COUNT, "calls", "prompt_tokens", "completion_tokens"),
            *_columns(_USD, "cost_usd"),
            *_columns(_COUNT, "unpriced"),
        )
        self.batches = sa.Table(
            "sia_batches",
            self.metadata,
            _key("token"),
            *_columns(sa.TEXT, "batch", "state", "endpoint", "loop", "of_window", "stage", "model"),
            *_columns(sa.DOUBLE_PRECISION, "usd", "tokens", "handed_in"),
        )
        self.requests = sa.Table(
            "sia_batch_requests",
            self.metadata,
            _key("key"),
            *_columns(sa.TEXT, "token"),
            *_columns(sa.INTEGER, "tries", "estimated_prompt"),
            *_columns(sa.TEXT, "left_out", "failure"),
        )
        sa.Index("sia_batch_requests_by_token", self.requests.c.token)
        self._keep = self.insert(self.completions).on_conflict_do_nothing(index_elements=["key"])
        self.find, self.book, self.spent = self._find(), self._book(), self._spent()

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An insert that can say what becomes of a row whose key is there: `on_conflict_do_nothing`, `_do_update`."""
        return sqlite.insert(table) if self._sqlite else postgresql.insert(table)

    def keep(self, db: sa.Connection, facts: Iterable[Mapping[str, Any]]) -> set[str]:
        """Store the answers whose key is new; these keys. Facts without a column are left out."""
        rows = [{name: value for name, value in each.items() if name in self.completions.c} for each in facts]
        if not rows:
            return set()
        if self._sqlite:  # RETURNING came with SQLite 3.35, which not every system with Python 3.11 has.
            return {row["key"] for row in rows if db.execute(self._keep, row).rowcount}
        return set(db.execute(self._keep.returning(self.completions.c.key), rows).scalars())

    def discard(self, db: sa.Connection, key: str, reply: str) -> bool:
        """Delete an answer, unless somebody else replaced it; whether it was deleted."""
        columns = self.completions.c
        return bool(db.execute(self.completions.delete().where(columns.key == key, columns.reply == reply)).rowcount)

    def lines(self, loop: str, window: str) -> sa.Select[Any]:
        """The ledger of a window."""
        return self.ledger.select().where(self.ledger.c.loop == loop, self.ledger.c.window == window)

    def groups(self) -> sa.Select[Any]:
        """See `StoredGroup`."""
        columns = self.completions.c
        size = sa.func.length(sa.cast(columns.reply, sa.BLOB)) if self._sqlite else sa.func.octet_length(columns.reply)
        cost = sa.func.json_extract(columns.reply, "$.cost_usd") if self._sqlite else columns.cost_usd
        place = [columns[name] for name in _PLACE]
        return sa.select(
            *place,
            sa.func.count().label("answers"),
            sa.func.sum(size).label("size"),
            _total(cost).label("cost_usd"),
            (sa.func.count() - sa.func.count(cost)).label("unpriced"),
            sa.func.min(columns.paid_at).label("oldest"),
            sa.func.max(columns.paid_at).label("newest"),
        ).group_by(*place)

    def page(self, after: str) -> sa.Select[Any]:
        """The next answers in the order of the keys, by code points."""
        key = sa.collate(self.completions.c.key, "BINARY" if self._sqlite else "C")
        return self.completions.select().where(key > after).order_by(key).limit(1000)

    def drop(self, loop: str, window: str, before: object) -> sa.Delete:
        """Drop a window's answers; `before` as the database keeps `paid_at`."""
        columns = self.completions.c
        return self.completions.delete().where(columns.loop == loop, columns.window == window, columns.paid_at < before)

    def _find(self) -> sa.Select[Any]:
        columns = self.completions.c
        return sa.select(columns.key, columns.reply).where(columns.key.in_(sa.bindparam("keys", expanding=True)))

    def _book(self) -> sa.Insert:
        """Adds to a line of the ledger, or begins it."""
        book = self.insert(self.ledger)
        sums = {column.name: column + book.excluded[column.name] for column in self.ledger.c if not column.primary_key}
        return book.on_conflict_do_update(index_elements=[*self.ledger.primary_key], set_=sums)

    def _spent(self) -> sa.Select[Any]:
        """USD paid and reserved, tokens paid, and tokens reserved of one window, in one statement.

        Between two statements another process may turn what is reserved for a batch into what is paid.
        """
        ledger, batches = self.ledger.c, self.batches.c
        loop, window = (sa.bindparam(name, type_=sa.TEXT) for name in ("loop", "window"))
        tokens = _total(ledger.prompt_tokens + ledger.completion_tokens)
        paid = sa.select(_total(ledger.cost_usd).label("usd"), tokens.label("tokens"))
        line = paid.where(ledger.loop == loop, ledger.window == window).subquery()
        reserved = sa.select(_total(batches.usd).label("usd"), _total(batches.tokens).label("tokens"))
        of_window = batches.loop == loop, batches.of_window == window, batches.state != "ended"
        under_way = reserved.where(*of_window).subquery()
        both = line.join(under_way, sa.true())
        return sa.select(line.c.usd + under_way.c.usd, line.c.tokens, under_way.c.tokens).select_from(both)

    def _completions(self) -> sa.Table:
        now = "(strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))" if self._sqlite else "date_trunc('second', now())"
        second = sa.TIMESTAMP(timezone=True).with_variant(sa.TEXT(), "sqlite")
        return self._table(
            "completions",
            _key("key"),
            *_columns(sa.TEXT, *_PLACE, "reply"),
            *([] if self._sqlite else [sa.Column("cost_usd", sa.DOUBLE_PRECISION)]),
            sa.Column("paid_at", second, nullable=False, server_default=sa.text(now)),
        )

    def _table(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        return sa.Table(name if self._sqlite else f"sia_{name}", self.metadata, *columns)


def _key(name: str) -> sa.Column[str]:
    """Nullable for SQLite, as it always was on disk; a primary key of Postgres never is."""
    return sa.Column(name, sa.TEXT, primary_key=True, nullable=True)


def _columns(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def _total(values: Any) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(sa.func.sum(values), 0)
