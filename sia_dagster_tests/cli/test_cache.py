"""`sia cache`: what is stored, what goes and what is written, for a file and for a database."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sia_dagster.adapters.config.file import load_config
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.sample import ToolCall
from sia_dagster.wiring.endpoint import open_store
from sia_dagster.wiring.loop_session import completions_file
from sia_dagster_tests.worlds.cli_world import NOWHERE, Sia, configure, loop_entry

OLD, NEW = LedgerScope(loop="desk", window="2026-06-01"), LedgerScope(loop="desk", window="2026-11-02")
MAIL = LedgerScope(loop="mail", window="2026-06-01")
CALL = ToolCall(id="1", name="look", arguments='{"at": "größer"}')
Age = Callable[[LedgerScope, int], None]
"""Makes a window's answers so many days older."""


@pytest.fixture(params=["sqlite", "postgres"])
def age(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Age:
    """A configuration with either store, filled."""
    lines = ["max_concurrency: 4"]
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        database = server.new_database()
        monkeypatch.setenv("SIA_TEST_STORE", server.address(database))
        lines.append("completions: ${SIA_TEST_STORE}")
    configure(folder, NOWHERE, loops=[loop_entry(), loop_entry("mail")], llm=lines)
    fill()

    def older(window: LedgerScope, days: int) -> None:
        where = f"WHERE loop = '{window.loop}' AND \"window\" = '{window.window}'"
        if request.param == "postgres":
            shifted = f"paid_at - interval '{days} days'"
            server.execute(database, f"UPDATE sia_completions SET paid_at = {shifted} {where}")
            return
        with closing(sqlite3.connect(folder / ".sia" / "completions.sqlite")) as db, db:
            shifted = f"strftime('%Y-%m-%dT%H:%M:%SZ', paid_at, '-{days} days')"
            db.execute(f"UPDATE completions SET paid_at = {shifted} {where}")

    return older


def store() -> CompletionStore:
    file = load_config()
    return open_store(file.config.llm, completions_file(file.storage, file.folder))


def fill() -> None:
    with closing(store()) as opened:
        for number, (window, stage) in enumerate([(OLD, "judge"), (OLD, "replay"), (NEW, "judge"), (MAIL, "judge")]):
            reply = ChatReply(text=f"answer {number}", tool_calls=(CALL,), prompt_tokens=3, cost_usd=0.25)
            opened.put(f"key {number}", reply, scope=window, stage=stage, model="gpt[bold]")
        opened.put("key 4", ChatReply(cost_usd=None), scope=NEW, stage="judge", model="local")


def test_what_is_stored_is_shown_with_what_it_cost(sia: Sia, age: Age) -> None:
    age(OLD, 120)
    seen = sia("cache", "show")
    assert seen.code == 0
    rows = [line.split() for line in seen.out.splitlines()]
    assert any(row[:4] == ["desk", "2026-06-01", "replay", "gpt[bold]"] and row[-1] == "0.2500" for row in rows)
    assert any(row[:1] == ["total"] and "5" in row and row[-1] == "1.0000" for row in rows)
    assert "1 of them have no price and count as 0 USD." in seen.out
    document = json.loads(sia("cache", "show", "--json").out)
    assert (document["answers"], document["cost_usd"], document["unpriced"], len(document["groups"])) == (5, 1.0, 1, 5)
    assert document["size"] > 1000
    assert document["oldest"] < document["newest"]
    assert "p@ss" not in seen.out + json.dumps(document)


def test_the_table_is_readable_in_a_narrow_terminal(sia: Sia, age: Age, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = sia("cache", "show").out.splitlines()
    assert max(map(len, lines[1:])) <= 80
    assert any(line.split()[:2] == ["desk", "2026-06-01"] for line in lines)
    assert {"judge", "replay", "gpt[bold]"} <= set(" ".join(lines).split())


def test_one_loop_is_shown_alone(sia: Sia, age: Age) -> None:
    document = json.loads(sia("cache", "show", "--loop", "mail", "--json").out)
    assert (document["answers"], [group["loop"] for group in document["groups"]]) == (1, ["mail"])


def test_old_windows_are_dropped_whole_and_what_was_paid_stays_known(sia: Sia, age: Age) -> None:
    age(OLD, 120)
    age(MAIL, 120)
    seen = sia("cache", "prune", "--older-than", "90d", "--loop", "desk", "--yes")
    assert seen.code == 0
    assert seen.out.startswith("2 answers of 1 windows were dropped")
    with closing(store()) as opened:
        assert {(group.loop, group.window) for group in opened.groups()} == {
            ("desk", "2026-11-02"),
            ("mail", "2026-06-01"),
        }
        assert opened.spent("desk", "2026-06-01") == (0.5, 6)
    document = json.loads(sia("cache", "prune", "--older-than", "12w", "--yes", "--json").out)
    assert (document["dropped"], document["windows"]) == (1, 1)
    assert json.loads(sia("cache", "prune", "--older-than", "12h", "--json").out)["dropped"] == 0


def test_a_window_that_was_run_again_lately_keeps_everything(sia: Sia, age: Age) -> None:
    age(OLD, 120)
    with closing(store()) as opened:
        opened.put("of today", ChatReply(), scope=OLD, stage="update", model="m")
    assert json.loads(sia("cache", "prune", "--older-than", "90d", "--yes", "--json").out)["dropped"] == 0


def test_nothing_is_dropped_while_a_stage_is_at_work(sia: Sia, age: Age) -> None:
    age(OLD, 120)
    with closing(store()) as opened:
        opened.begin()
        seen = sia("cache", "prune", "--older-than", "90d", "--yes")
        opened.end()
    assert seen.code == 1
    assert "is in use: a stage of a window works with its answers" in seen.err


def test_a_person_is_asked_first(sia: Sia, age: Age, monkeypatch: pytest.MonkeyPatch) -> None:
    age(OLD, 120)
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    seen = sia("cache", "prune", "--older-than", "90d")
    assert seen.code == 130
    assert "Drop 2 answers of 1 windows, which cost 0.50 USD? [y/N]" in seen.err
    assert json.loads(sia("cache", "show", "--json").out)["answers"] == 5


@pytest.mark.parametrize("age_text", ["90", "d90", "1.5d", "-1d", "3 months", ""])
def test_an_age_is_a_number_with_its_unit(sia: Sia, age_text: str) -> None:
    seen = sia("cache", "prune", "--older-than", age_text)
    assert seen.code == 2
    assert "12h, 90d, 8w" in seen.err


def test_json_lines_hold_every_answer_and_nothing_that_was_asked(sia: Sia, age: Age) -> None:
    assert sia("cache", "export", "all.jsonl").out == "5 answers were written to all.jsonl\n"
    content = Path("all.jsonl").read_bytes()
    rows: list[dict[str, Any]] = [json.loads(line) for line in content.decode().splitlines()]
    assert [row["key"] for row in rows] == [f"key {n}" for n in range(5)]
    assert rows[1]["tool_calls"] == [CALL.model_dump()]
    assert (rows[1]["loop"], rows[1]["window"], rows[1]["stage"]) == ("desk", "2026-06-01", "replay")
    assert (rows[1]["text"], rows[1]["cost_usd"], rows[4]["cost_usd"]) == ("answer 1", 0.25, None)
    assert set(rows[0]) == {"key", "loop", "window", "stage", "model", "paid_at"} | set(ChatReply.model_fields) - {
        "cached"
    }
    assert json.loads(sia("cache", "export", "all.jsonl", "--json").out)["answers"] == 5
    assert Path("all.jsonl").read_bytes() == content


def test_parquet_holds_the_same(sia: Sia, age: Age) -> None:
    document = json.loads(sia("cache", "export", "all.parquet", "--loop", "desk", "--json").out)
    assert (document["file"], document["answers"]) == ("all.parquet", 4)
    content = Path("all.parquet").read_bytes()
    sia("cache", "export", "all.parquet", "--loop", "desk")
    assert Path("all.parquet").read_bytes() == content
    rows = pq.read_table("all.parquet").to_pylist()
    assert [row["text"] for row in rows] == ["answer 0", "answer 1", "answer 2", ""]
    assert json.loads(rows[0]["tool_calls"]) == [CALL.model_dump()]
    assert (rows[0]["prompt_tokens"], rows[0]["cost_usd"], rows[3]["cost_usd"]) == (3, 0.25, None)
    assert rows[0]["paid_at"].tzinfo is not None


def test_an_export_without_answers_has_its_columns(sia: Sia, age: Age) -> None:
    assert json.loads(sia("cache", "export", "none.parquet", "--loop", "nobody", "--json").out)["answers"] == 0
    assert "tool_calls" in pq.read_table("none.parquet").column_names


def test_a_file_of_another_kind_or_place_is_refused(sia: Sia, folder: Path) -> None:
    configure(folder, NOWHERE)
    fill()
    seen = sia("cache", "export", "all.csv")
    assert (seen.code, ".jsonl, .parquet" in seen.err) == (2, True)
    seen = sia("cache", "export", "nowhere/all.jsonl")
    assert (seen.code, seen.err) == (1, "Error: nowhere/all.jsonl cannot be written: No such file or directory\n")
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("command", [["show"], ["prune", "--older-than", "1d"], ["export", "all.jsonl"]])
def test_looking_makes_no_store(sia: Sia, folder: Path, command: list[str]) -> None:
    configure(folder, NOWHERE)
    seen = sia("cache", *command)
    assert seen.code == 1
    assert "there is no completion store yet" in seen.err
    assert not (folder / ".sia").exists()
