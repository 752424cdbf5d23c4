"""The batches in the completion store: which were submitted, their requests, and the state of each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sia_dagster.adapters.engine.store.completion_store import CompletionStore, chunks
from sia_dagster.adapters.engine.store.stored_values import LedgerScope
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.records.value import Value

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Executable, Update


class SubmittedBatch(Value):
    """A batch, from the moment that its requests are claimed."""

    token: str
    """Our name of it, which the endpoint keeps as metadata."""
    batch: str = ""
    """The endpoint's id; empty until it is known."""
    state: Literal["sending", "open", "ended"] = "sending"
    endpoint: str
    """Who answers, as in the store's keys."""
    loop: str
    of_window: str
    stage: str
    model: str
    usd: float
    """Reserved for it."""
    tokens: float
    """The same in tokens."""
    handed_in: float
    """Seconds since the epoch."""


class BatchedRequest(Value):
    """One request of a batch."""

    key: str
    token: str
    """Of the last batch that it was in."""
    tries: int
    """Batches that it was in."""
    estimated_prompt: int
    left_out: tuple[str, ...] = ()
    """Parameters that were not sent, since the endpoint refuses them."""
    failure: Failure | None = None
    """Why there is no answer, where asking again would not give one."""
    under_way: bool = True
    """Whether its batch has not ended."""


class BatchRecords:
    """Reads and writes them. Whoever changes something holds the store's turn, but for `end` of what it collected.

    A request is here from its claim until it is answered, or until the stage that asked is over.
    """

    def __init__(self, store: CompletionStore) -> None:
        self._store = store
        self._batches, self._requests = store.sql.batches, store.sql.requests
        self._open = self._batches.c.state != "ended"

    def find(self, keys: Iterable[str]) -> dict[str, BatchedRequest]:
        """Those of `keys` that were in a batch and are not answered by it."""
        found: dict[str, BatchedRequest] = {}
        for some in chunks(keys):
            found |= self._found(self._requests.c.key.in_(some))
        return found

    def of_window(self, scope: LedgerScope) -> dict[str, BatchedRequest]:
        """The requests of a window's batches that are not answered."""
        return self._found(*self._of(scope))

    def open_of(self, scope: LedgerScope) -> list[str]:
        """The tokens of a window's batches that have not ended."""
        return [each.token for each in self._read_batches(self._open, *self._of(scope))]

    def batches(self, tokens: Iterable[str]) -> list[SubmittedBatch]:
        """Those of the batches that have not ended, in order of their tokens."""
        wanted = set(tokens)
        return [each for each in self._read_batches(self._open) if each.token in wanted]

    def unfinished(self, endpoint: str) -> list[SubmittedBatch]:
        """Batches of an endpoint of which nobody knows whether they were handed in."""
        return self._read_batches(self._batches.c.state == "sending", self._batches.c.endpoint == endpoint)

    def claim(self, submitted: SubmittedBatch, requests: Sequence[BatchedRequest]) -> None:
        """Note, before anything is sent, that these requests go into this batch."""
        insert = self._store.sql.insert
        batch = insert(self._batches).values(submitted.model_dump()).on_conflict_do_nothing()
        request = insert(self._requests)
        again = {column.name: column for column in request.excluded if column.name != "key"}
        claim = request.on_conflict_do_update(index_elements=["key"], set_=again)
        rows = [
            {"key": each.key, "token": submitted.token, "tries": each.tries}
            | {"estimated_prompt": each.estimated_prompt, "left_out": ",".join(each.left_out), "failure": ""}
            for each in requests
        ]

        def work(db: "Connection") -> None:
            db.execute(batch)
            if rows:
                db.execute(claim, rows)

        self._store.transact("written", work)

    def opened(self, token: str, batch: str) -> None:
        """The endpoint has it under the id `batch`."""
        self._write(self._batch(token).values(batch=batch, state="open"))

    def withdraw(self, token: str) -> None:
        """It was never handed in: its requests are as before."""
        mine, tries = self._requests.c.token == token, self._requests.c.tries

        def work(db: "Connection") -> None:
            if db.execute(self._batch(token).where(self._open).values(state="ended")).rowcount:
                db.execute(self._requests.delete().where(mine, tries <= 1))
                db.execute(self._requests.update().where(mine).values(tries=tries - 1))
            # Else it is done already, on a connection that was lost after it.

        self._store.transact("written", work)

    def settle(self, answered: Iterable[str], failed: Mapping[str, Failure]) -> None:
        """Requests whose answers are stored, and those that would fail again."""
        key, update = self._requests.c.key, self._requests.update()
        failures = (update.where(key == each).values(failure=why.model_dump_json()) for each, why in failed.items())
        self._write(*(self._requests.delete().where(key.in_(some)) for some in chunks(answered)), *failures)

    def end(self, token: str) -> None:
        """All that it gave is stored: nothing is reserved for it any more."""
        self._write(self._batch(token).values(state="ended"))

    def forget(self, keys: Iterable[str]) -> None:
        """Requests whose stage is over: the next run asks anew."""
        ended = self._batches.select().with_only_columns(self._batches.c.token).where(~self._open)
        over = self._requests.delete().where(self._requests.c.token.in_(ended))
        self._write(*(over.where(self._requests.c.key.in_(some)) for some in chunks(keys)))

    def _batch(self, token: str) -> "Update":
        return self._batches.update().where(self._batches.c.token == token)

    def _of(self, scope: LedgerScope) -> tuple["ColumnElement[bool]", ...]:
        return self._batches.c.loop == scope.loop, self._batches.c.of_window == scope.window

    def _write(self, *statements: "Executable") -> None:
        self._store.transact("written", lambda db: [db.execute(each) for each in statements])

    def _read_batches(self, *conditions: "ColumnElement[bool]") -> list[SubmittedBatch]:
        query = self._batches.select().where(*conditions).order_by(self._batches.c.token)
        rows = self._store.transact("read", lambda db: db.execute(query).all())
        return [SubmittedBatch.model_validate(row._asdict()) for row in rows]

    def _found(self, *conditions: "ColumnElement[bool]") -> dict[str, BatchedRequest]:
        both = self._requests.join(self._batches, self._requests.c.token == self._batches.c.token)
        query = both.select().with_only_columns(*self._requests.c, self._open.label("under_way")).where(*conditions)
        rows = self._store.transact("read", lambda db: db.execute(query).all())
        return {row.key: _batched_request(row._asdict()) for row in rows}


def _batched_request(row: dict[str, Any]) -> BatchedRequest:
    left_out = tuple(name for name in row["left_out"].split(",") if name)
    failure = Failure.model_validate_json(row["failure"]) if row["failure"] else None
    return BatchedRequest.model_validate(
        {**row, "left_out": left_out, "failure": failure, "under_way": bool(row["under_way"])}
    )
