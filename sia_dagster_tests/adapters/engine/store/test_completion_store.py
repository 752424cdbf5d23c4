"""The SQLite file of the completion store, and the key under which every store keeps an answer."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from traceback import format_exception
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.store import LedgerScope, request_key
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply, ChatRequest

WINDOW = LedgerScope(loop="desk", window="2026-11-02")
ASKED = ChatRequest(
    model="judge",
    messages=({"role": "user", "content": "Is it so?"},),
    parameters={"temperature": 0, "seed": 1},
    tools=({"type": "function", "function": {"name": "look"}},),
    response_format={"type": "json_object"},
    draw="holdout/0",
    stage="judge",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "deep" / "completions.sqlite")
    yield opened
    opened.close()


def put(store: SqliteStore, key: str, reply: ChatReply, scope: LedgerScope = WINDOW) -> ChatReply:
    return store.put(key, reply, scope=scope, stage="judge", model="m")


@pytest.mark.parametrize("undone", ["ABORT", "ROLLBACK"])
def test_an_answer_that_cannot_be_kept_is_an_error_and_is_not_booked(store: SqliteStore, undone: str) -> None:
    """SQLite undoes the statement or the whole transaction, by the kind of failure."""
    other = sqlite3.connect(store.path)
    other.execute(f"CREATE TRIGGER full BEFORE INSERT ON completions BEGIN SELECT RAISE({undone}, 'disk is full'); END")
    other.close()
    with pytest.raises(SiaError, match=r"completions\.sqlite cannot be written: disk is full") as caught:
        put(store, "k", ChatReply(text="private" * 2, cost_usd=1.0))
    assert "privateprivate" not in "".join(format_exception(caught.value)), "an answer is not shown in a log"
    assert store.spent("desk", "2026-11-02") == (0.0, 0)
    assert store.get("k") is None


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(
        "these are not completions, and they are long enough to be no SQLite file " * 20
    )
    with pytest.raises(SiaError, match=r"notes\.txt cannot be opened"):
        SqliteStore(tmp_path / "notes.txt")
    with pytest.raises(SiaError, match=r"c\.sqlite cannot be opened"):
        SqliteStore(tmp_path / "notes.txt" / "c.sqlite")


def test_a_store_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "c.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SiaError, match=r"newer version of this package \(format 99\)"):
        SqliteStore(tmp_path / "c.sqlite")


_FILL = """
import sys
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.core.ports.model import ChatReply
scope = LedgerScope(loop="desk", window="2026-11-02")
reply = ChatReply(text=sys.argv[2], prompt_tokens=1)
sys.stdin.readline()
for number in range(20):
    store = SqliteStore(f"{sys.argv[1]}/{number}.sqlite")
    sys.stdout.write(" ".join(store.put(str(n), reply, scope=scope, stage="s", model="m").text for n in range(10)))
    store.close()
"""


def test_processes_that_create_and_fill_one_store_together_agree(tmp_path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _FILL, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    ends = [child.communicate() for child in children]
    assert [error for _, error in ends] == [""] * 3
    assert len({output for output, _ in ends}) == 1
    for number in range(20):
        store = SqliteStore(tmp_path / f"{number}.sqlite")
        assert store.spent("desk", "2026-11-02") == (0.0, 30)
        store.close()


def test_a_disk_without_room_for_the_lock_is_no_stage_at_work(store: SqliteStore) -> None:
    Path(f"{store.path}.use").mkdir()
    with pytest.raises(SiaError, match="cannot be pruned: unable to open"):
        store.prune([WINDOW], before=datetime(2100, 1, 1, tzinfo=UTC))
    with pytest.raises(SiaError, match="cannot be used: unable to open"):
        store.begin()


def test_a_half_made_file_is_made_whole(tmp_path: Path) -> None:
    """The process that makes the file dies between any two of its steps."""
    db = sqlite3.connect(tmp_path / "c.sqlite")
    db.execute("CREATE TABLE other (a)")
    db.execute("CREATE INDEX ledger ON other (a)")
    db.close()
    with pytest.raises(SiaError, match="cannot be opened"):
        SqliteStore(tmp_path / "c.sqlite")
    db = sqlite3.connect(tmp_path / "c.sqlite")
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("other",), ("ledger",)]
    db.execute("DROP INDEX ledger")
    db.close()
    store = SqliteStore(tmp_path / "c.sqlite")
    assert store.groups() == ()
    store.close()


def test_pruning_makes_the_file_smaller(store: SqliteStore) -> None:
    for number in range(200):
        put(store, str(number), ChatReply(text="x" * 5000))
    before = store.size()
    assert before > 1_000_000
    assert store.prune([WINDOW], before=datetime(2100, 1, 1, tzinfo=UTC)) == 200
    assert store.size() < before / 10


_STAGE = """
import sys
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
store.begin()
sys.stdout.write("working\\n")
sys.stdout.flush()
sys.stdin.readline()
"""


def test_a_stage_that_was_killed_is_no_hindrance(store: SqliteStore) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _STAGE, str(store.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "working\n"
        with pytest.raises(SiaError, match="is in use"):
            store.prune([], before=datetime(2100, 1, 1, tzinfo=UTC))
        child.kill()
    assert store.prune([], before=datetime(2100, 1, 1, tzinfo=UTC)) == 0


_FIRST_FORMAT = """
CREATE TABLE completions (
    key TEXT PRIMARY KEY,
    loop TEXT NOT NULL, window TEXT NOT NULL, stage TEXT NOT NULL, model TEXT NOT NULL,
    reply TEXT NOT NULL,
    paid_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);
CREATE TABLE ledger (
    loop TEXT NOT NULL, window TEXT NOT NULL, stage TEXT NOT NULL, model TEXT NOT NULL,
    calls INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL, unpriced INTEGER NOT NULL,
    PRIMARY KEY (loop, window, stage, model)
);
INSERT INTO completions (key, loop, window, stage, model, reply) VALUES (
    '561c30970f30fff32fdb06579224a25bd6f5ad32d5a6fab141cac47ab58e0cdd', 'desk', '2026-11-02', 'judge', 'gpt-4o-mini',
    '{"text":"yes","tool_calls":[],"finish_reason":"stop","prompt_tokens":10,"completion_tokens":5,'
    || '"cost_usd":0.25,"attempts":2,"seconds":1.5}'
);
INSERT INTO ledger VALUES ('desk', '2026-11-02', 'judge', 'gpt-4o-mini', 1, 10, 5, 0.25, 0);
PRAGMA user_version = 1;
"""
"""A file as the first version of this package wrote it."""


def test_what_was_paid_for_in_the_first_format_answers_the_same_request(tmp_path: Path) -> None:
    """Its key is a hash that no later version may change."""
    path = tmp_path / "completions.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(_FIRST_FORMAT)
    request = ChatRequest(
        model="gpt-4o-mini",
        messages=({"role": "user", "content": "Is 大 it so?"},),
        parameters={"temperature": 0.5, "seed": 1},
        tools=({"type": "function", "function": {"name": "look"}},),
        response_format={"type": "json_object"},
        draw="holdout/1",
    )
    with closing(SqliteStore(path)) as store:
        found = store.get(request_key("https://api.example.com/v1", request))
        assert found is not None
        assert (found.text, found.cost_usd, found.attempts, found.cached) == ("yes", 0.25, 2, True)
        assert store.spent("desk", "2026-11-02") == (0.25, 15)
        assert store.ledger("desk", "2026-11-02")["judge gpt-4o-mini"].calls == 1
        assert [group.answers for group in store.groups()] == [1]
        put(store, "new", ChatReply(text="no"))
        assert [each.reply.text for each in store.answers()] == ["yes", "no"]


_BATCHES = """
CREATE TABLE sia_batches (
    token text PRIMARY KEY, batch text NOT NULL, state text NOT NULL,
    endpoint text NOT NULL, loop text NOT NULL, of_window text NOT NULL, stage text NOT NULL, model text NOT NULL,
    usd double precision NOT NULL, tokens double precision NOT NULL, handed_in double precision NOT NULL
);
CREATE TABLE sia_batch_requests (
    key text PRIMARY KEY, token text NOT NULL, tries integer NOT NULL,
    estimated_prompt integer NOT NULL, left_out text NOT NULL, failure text NOT NULL
);
CREATE INDEX sia_batch_requests_by_token ON sia_batch_requests (token);
PRAGMA user_version = 2;
"""
"""What the second format added."""


def test_a_new_file_has_the_tables_of_the_second_format(tmp_path: Path) -> None:
    def shape(path: Path) -> dict[str, list[tuple[object, ...]]]:
        with closing(sqlite3.connect(path)) as db:
            names = [row[0] for row in db.execute("SELECT name FROM sqlite_master")]
            columns = 'SELECT name, upper(type), "notnull", dflt_value, pk FROM pragma_table_info(?)'
            found = {name: db.execute(columns, (name,)).fetchall() for name in names}
            return found | {"format": db.execute("PRAGMA user_version").fetchall()}

    SqliteStore(tmp_path / "new.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "second.sqlite")) as db:
        db.executescript(_FIRST_FORMAT + _BATCHES)
    assert shape(tmp_path / "new.sqlite") == shape(tmp_path / "second.sqlite")


def test_a_store_of_today_answers_tomorrow() -> None:
    """A key is a promise to every store there is: with another one all of them would be paid for again."""
    asked = ChatRequest(
        model="gpt-4o-mini",
        messages=({"role": "user", "content": "Is it \u00fc?"},),
        parameters={"temperature": 0, "max_tokens": 50},
        tools=({"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": 2}}},),
        response_format={"type": "json_object"},
        draw="holdout/1",
        stage="judge",
    )
    key = "8daf0c23bce24574dbfab66dee6604dc032f4dc53a8a9783cacf9117e8499e3f"
    assert request_key("http://e/v1", asked) == key


def test_who_pays_is_no_part_of_the_question() -> None:
    assert request_key("e", ASKED) == request_key("e", ASKED.model_copy(update={"stage": "replay"}))


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"messages": ({"role": "user", "content": "Is it not so?"},)},
        {"parameters": {"temperature": 0, "seed": 2}},
        {"tools": ()},
        {"response_format": None},
        {"draw": "holdout/1"},
    ],
)
def test_everything_else_is(change: dict[str, Any]) -> None:
    assert request_key("e", ASKED) != request_key("e", ASKED.model_copy(update=change))
    assert request_key("e", ASKED) != request_key("other endpoint", ASKED)


def test_order_counts_where_it_shapes_the_answer() -> None:
    """Parameters are a set of names; the properties of a schema are the order in which a model writes."""

    def asked(names: str) -> ChatRequest:
        return ASKED.model_copy(
            update={"parameters": dict.fromkeys(names, 0), "response_format": {"type": "json_object"}}
        )

    def schema(names: str) -> ChatRequest:
        return ASKED.model_copy(update={"response_format": {"properties": {name: {} for name in names}}})

    assert request_key("e", asked("ab")) == request_key("e", asked("ba"))
    assert request_key("e", schema("ab")) != request_key("e", schema("ba"))


def test_a_lone_surrogate_has_a_key() -> None:
    broken = ASKED.model_copy(update={"messages": ({"role": "user", "content": "\ud83d"},)})
    assert request_key("e", broken) != request_key("e", ASKED)


@given(st.text(), st.text(), st.text(), st.text())
def test_text_cannot_move_from_one_field_into_another(one: str, two: str, three: str, four: str) -> None:
    def key(model: str, draw: str) -> str:
        return request_key("e", ASKED.model_copy(update={"model": model, "draw": draw}))

    assert (key(one, two) == key(three, four)) == ((one, two) == (three, four))
