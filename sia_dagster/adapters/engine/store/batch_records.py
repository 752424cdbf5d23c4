"""What the completion store knows of batches: which were handed in, with which requests, and what became of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sia_dagster.adapters.engine.store.port import CompletionStore, Execute, LedgerScope
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.records.value import Value

# Both databases take these statements as they are.
BATCH_TABLES = """
CREATE TABLE IF NOT EXISTS sia_batches (
    token text PRIMARY KEY, batch text NOT NULL, state text NOT NULL,
    endpoint text NOT NULL, loop text NOT NULL, of_window text NOT NULL, stage text NOT NULL, model text NOT NULL,
    usd double precision NOT NULL, tokens double precision NOT NULL, handed_in double precision NOT NULL
);
CREATE TABLE IF NOT EXISTS sia_batch_requests (
    key text PRIMARY KEY, token text NOT NULL, tries integer NOT NULL,
    estimated_prompt integer NOT NULL, left_out text NOT NULL, failure text NOT NULL
);
CREATE INDEX IF NOT EXISTS sia_batch_requests_by_token ON sia_batch_requests (token);
"""


PROMISED = """
SELECT COALESCE(SUM(usd), 0.0), COALESCE(SUM(tokens), 0.0)
FROM sia_batches WHERE loop = ? AND of_window = ? AND state <> 'ended'
"""
"""USD and tokens that are reserved for a window's batches under way."""


_SOME = 500
"""Keys in one statement."""


_FIND = """
SELECT r.key, r.token, r.tries, r.estimated_prompt, r.left_out, r.failure, b.state <> 'ended'
FROM sia_batch_requests r JOIN sia_batches b ON b.token = r.token WHERE
"""


_CLAIM = """
INSERT INTO sia_batch_requests VALUES (?, ?, ?, ?, ?, '')
ON CONFLICT (key) DO UPDATE SET token = excluded.token, tries = excluded.tries,
    estimated_prompt = excluded.estimated_prompt, left_out = excluded.left_out, failure = ''
"""


class Handed(Value):
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


class Asked(Value):
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

    def __init__(self, store: "CompletionStore") -> None:
        self._store = store

    def find(self, keys: Iterable[str]) -> dict[str, Asked]:
        """Those of `keys` that were in a batch and are not answered by it."""
        found: dict[str, Asked] = {}
        wanted = list(keys)
        for start in range(0, len(wanted), _SOME):
            some = wanted[start : start + _SOME]
            marks = ", ".join("?" * len(some))
            found |= self._found(f"r.key IN ({marks})", some)
        return found

    def of_window(self, scope: "LedgerScope") -> dict[str, Asked]:
        """The requests of a window's batches that are not answered."""
        return self._found("b.loop = ? AND b.of_window = ?", (scope.loop, scope.window))

    def open_of(self, scope: "LedgerScope") -> list[str]:
        """The tokens of a window's batches that have not ended."""
        found = self._handed("state <> 'ended' AND loop = ? AND of_window = ?", scope.loop, scope.window)
        return [handed.token for handed in found]

    def batches(self, tokens: Iterable[str]) -> list[Handed]:
        """Those of the batches that have not ended, in order of their tokens."""
        wanted = set(tokens)
        return [handed for handed in self._handed("state <> 'ended'") if handed.token in wanted]

    def unfinished(self, endpoint: str) -> list[Handed]:
        """Batches of an endpoint of which nobody knows whether they were handed in."""
        return self._handed("state = 'sending' AND endpoint = ?", endpoint)

    def claim(self, handed: Handed, requests: Sequence[Asked]) -> None:
        """Note, before anything is sent, that these requests go into this batch."""
        values = (*(getattr(handed, name) for name in Handed.model_fields),)
        marks = ", ".join("?" * len(values))

        def work(execute: "Execute") -> None:
            execute(f"INSERT INTO sia_batches VALUES ({marks}) ON CONFLICT DO NOTHING", values)
            for each in requests:
                left_out = ",".join(each.left_out)
                execute(_CLAIM, (each.key, handed.token, each.tries, each.estimated_prompt, left_out))

        self._store.transact("written", work)

    def opened(self, token: str, batch: str) -> None:
        """The endpoint has it under the id `batch`."""
        self._change("UPDATE sia_batches SET batch = ?, state = 'open' WHERE token = ?", batch, token)

    def withdraw(self, token: str) -> None:
        """It was never handed in: its requests are as before."""

        def work(execute: "Execute") -> None:
            if not execute("SELECT 1 FROM sia_batches WHERE token = ? AND state <> 'ended'", (token,)):
                return  # Done already, on a connection that was lost after it.
            execute("DELETE FROM sia_batch_requests WHERE token = ? AND tries <= 1", (token,))
            execute("UPDATE sia_batch_requests SET tries = tries - 1 WHERE token = ?", (token,))
            execute("UPDATE sia_batches SET state = 'ended' WHERE token = ?", (token,))

        self._store.transact("written", work)

    def settle(self, answered: Iterable[str], failed: Mapping[str, Failure]) -> None:
        """Requests whose answers are stored, and those that would fail again."""

        def work(execute: "Execute") -> None:
            for key in answered:
                execute("DELETE FROM sia_batch_requests WHERE key = ?", (key,))
            for key, failure in failed.items():
                execute("UPDATE sia_batch_requests SET failure = ? WHERE key = ?", (failure.model_dump_json(), key))

        self._store.transact("written", work)

    def end(self, token: str) -> None:
        """All that it gave is stored: nothing is reserved for it any more."""
        self._change("UPDATE sia_batches SET state = 'ended' WHERE token = ?", token)

    def forget(self, keys: Iterable[str]) -> None:
        """Requests whose stage is over: the next run asks anew."""
        ended = "SELECT token FROM sia_batches WHERE state = 'ended'"

        def work(execute: "Execute") -> None:
            for key in keys:
                execute(f"DELETE FROM sia_batch_requests WHERE key = ? AND token IN ({ended})", (key,))

        self._store.transact("written", work)

    def _change(self, statement: str, *values: object) -> None:
        self._store.transact("written", lambda execute: execute(statement, values))

    def _handed(self, condition: str, *values: object) -> list[Handed]:
        names = (*Handed.model_fields,)
        query = f"SELECT {', '.join(names)} FROM sia_batches WHERE {condition} ORDER BY token"
        rows = self._store.transact("read", lambda execute: execute(query, values))
        return [Handed.model_validate(dict(zip(names, row, strict=True))) for row in rows]

    def _found(self, condition: str, values: Sequence[object]) -> dict[str, Asked]:
        rows = self._store.transact("read", lambda execute: execute(_FIND + condition, values))
        return {row[0]: _asked(row) for row in rows}


def _asked(row: tuple[Any, ...]) -> Asked:
    *facts, left_out, failure, under_way = row
    given = dict(zip(("key", "token", "tries", "estimated_prompt"), facts, strict=True))
    why = Failure.model_validate_json(failure) if failure else None
    names = tuple(name for name in left_out.split(",") if name)
    return Asked.model_validate({**given, "left_out": names, "failure": why, "under_way": bool(under_way)})
