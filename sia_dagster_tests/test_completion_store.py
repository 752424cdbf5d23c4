"""What is put into the completion store stays, once, for every thread and process."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope, request_key
from sia_dagster.core.errors import SiaError
from sia_dagster.core.models import ToolCall
from sia_dagster.core.ports import ChatReply, ChatRequest

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
def store(tmp_path: Path) -> Iterator[CompletionStore]:
    opened = CompletionStore(tmp_path / "deep" / "completions.sqlite")
    yield opened
    opened.close()


def put(store: CompletionStore, key: str, reply: ChatReply, scope: LedgerScope = WINDOW) -> ChatReply:
    return store.put(key, reply, scope=scope, stage="judge", model="m")


def test_an_answer_comes_back_as_it_was_stored_and_says_that_it_was(store: CompletionStore) -> None:
    reply = ChatReply(
        text="größer — 大\x00\n",
        tool_calls=(ToolCall(id="1", name="look", arguments='{"a": 1}'),),
        finish_reason="tool_calls",
        prompt_tokens=7,
        completion_tokens=3,
        cost_usd=0.1 + 0.2,
        attempts=3,
        seconds=0.25,
    )
    assert store.get("k") is None
    assert put(store, "k", reply) == reply
    assert store.get("k") == reply.model_copy(update={"cached": True})


def test_answers_outlive_the_object_that_stored_them(tmp_path: Path) -> None:
    first = CompletionStore(tmp_path / "c.sqlite")
    put(first, "k", ChatReply(text="kept", prompt_tokens=4, cost_usd=0.5))
    first.close()
    second = CompletionStore(str(tmp_path / "c.sqlite"))
    kept = second.get("k")
    assert kept is not None
    assert kept.text == "kept"
    assert second.spent("desk", "2026-11-02") == (0.5, 4)
    second.close()


def test_the_first_answer_wins_and_both_are_booked(store: CompletionStore) -> None:
    put(store, "k", ChatReply(text="first", completion_tokens=1, cost_usd=1.0))
    second = put(store, "k", ChatReply(text="second", completion_tokens=2, cost_usd=2.0))
    assert (second.text, second.cached) == ("first", True)
    assert store.spent("desk", "2026-11-02") == (3.0, 3)


def test_a_window_pays_for_its_own_calls_alone(store: CompletionStore) -> None:
    put(store, "a", ChatReply(prompt_tokens=5, completion_tokens=1, cost_usd=0.25))
    put(store, "b", ChatReply(prompt_tokens=5, completion_tokens=2, cost_usd=None))
    put(store, "c", ChatReply(prompt_tokens=100, cost_usd=9.0), LedgerScope(loop="desk", window="2026-11-09"))
    put(store, "d", ChatReply(prompt_tokens=100, cost_usd=9.0), LedgerScope(loop="mail", window="2026-11-02"))
    assert store.spent("desk", "2026-11-02") == (0.25, 13)
    assert store.spent("desk", "2026-11-16") == (0.0, 0)


@pytest.mark.parametrize("undone", ["ABORT", "ROLLBACK"])
def test_an_answer_that_cannot_be_kept_is_an_error_and_is_not_booked(store: CompletionStore, undone: str) -> None:
    """SQLite undoes the statement or the whole transaction, by the kind of failure."""
    other = sqlite3.connect(store.path)
    other.execute(f"CREATE TRIGGER full BEFORE INSERT ON completions BEGIN SELECT RAISE({undone}, 'disk is full'); END")
    other.close()
    with pytest.raises(SiaError, match=r"completions\.sqlite cannot be written: disk is full"):
        put(store, "k", ChatReply(text="lost", cost_usd=1.0))
    assert store.spent("desk", "2026-11-02") == (0.0, 0)
    assert store.get("k") is None


def test_a_closed_store_says_so_instead_of_answering(store: CompletionStore) -> None:
    store.close()
    with pytest.raises(SiaError, match="cannot be read"):
        store.get("k")
    with pytest.raises(SiaError, match="cannot be written"):
        put(store, "k", ChatReply())


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(
        "these are not completions, and they are long enough to be no SQLite file " * 20
    )
    with pytest.raises(SiaError, match=r"notes\.txt cannot be opened"):
        CompletionStore(tmp_path / "notes.txt")
    with pytest.raises(SiaError, match=r"c\.sqlite cannot be opened"):
        CompletionStore(tmp_path / "notes.txt" / "c.sqlite")


def test_a_store_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "c.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SiaError, match=r"newer version of this package \(format 99\)"):
        CompletionStore(tmp_path / "c.sqlite")


def test_threads_share_one_store(store: CompletionStore) -> None:
    def fill(thread: int) -> list[str]:
        reply = ChatReply(text=f"of {thread}", prompt_tokens=1, cost_usd=0.5)
        return [put(store, str(number), reply).text for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(fill, range(8)))
    assert all(answers == told[0] for answers in told)
    assert store.spent("desk", "2026-11-02") == (160.0, 320)


_FILL = """
import sys
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope
from sia_dagster.core.ports import ChatReply
scope = LedgerScope(loop="desk", window="2026-11-02")
reply = ChatReply(text=sys.argv[2], prompt_tokens=1)
sys.stdin.readline()
for number in range(20):
    store = CompletionStore(f"{sys.argv[1]}/{number}.sqlite")
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
        for number in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    ends = [child.communicate() for child in children]
    assert [error for _, error in ends] == [""] * 4
    assert len({told for told, _ in ends}) == 1
    for number in range(20):
        store = CompletionStore(tmp_path / f"{number}.sqlite")
        assert store.spent("desk", "2026-11-02") == (0.0, 40)
        store.close()


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
