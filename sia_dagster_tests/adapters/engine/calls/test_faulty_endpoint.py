"""Endpoints that fail in every way of real ones: each row gets its answer or its error, and nothing is paid twice."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.worlds.chats import Desk, ask
from simulation.fault_server import ANSWERS, FAULTS, Faulty
from simulation.servers import ScriptedServer

ROWS = 60

PASSING = [name for name in FAULTS if name not in ANSWERS]


def run(faulty: Faulty, folder: Path, **config: object) -> list[ChatReply | Exception]:
    with ScriptedServer(faulty) as server:
        # Only where replies hang must the time limit end the wait: on a busy machine others may take a second, too.
        limit = 1.0 if {"hang", "slow_body"} & faulty.shares.keys() else 30.0
        settings = {"max_concurrency": 16, "timeout_seconds": limit, "max_attempts": 8, **config}
        desk = Desk(server.base_url, folder, **settings)
        return desk.ask(*(ask(f"{number} {'poison' * (number % 30 == 0)}") for number in range(ROWS)))


@pytest.mark.parametrize("fault", PASSING)
def test_a_failure_that_passes_costs_no_row_and_no_second_payment(fault: str, tmp_path: Path) -> None:
    faulty = Faulty({fault: 0.15})
    rows = run(faulty, tmp_path)
    assert faulty.faults[fault] > 0
    assert [row for row in rows if not isinstance(row, ChatReply)] == []
    assert faulty.seen()["paid_twice"] == 0
    assert sum(faulty.finished.values()) == ROWS


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_says_no_is_an_answer(answer: str, tmp_path: Path) -> None:
    faulty = Faulty({answer: 0.3})
    rows = run(faulty, tmp_path)
    assert {type(row) for row in rows} == {ChatReply}
    assert set(faulty.asked.values()) == {1}


def test_all_of_them_at_once_cost_no_row(tmp_path: Path) -> None:
    faulty = Faulty(dict.fromkeys(PASSING, 0.02))
    rows = run(faulty, tmp_path)
    assert [row for row in rows if not isinstance(row, ChatReply)] == []
    assert faulty.seen()["paid_twice"] == 0


def test_poison_rows_are_errors_that_say_why_with_one_budget_of_attempts_each(tmp_path: Path) -> None:
    faulty = Faulty(poison="poison")
    rows = run(faulty, tmp_path, max_attempts=3)
    errors = [row for row in rows if isinstance(row, CallFailed)]
    assert (len(errors), sum(isinstance(row, ChatReply) for row in rows)) == (2, ROWS - 2)
    assert faulty.seen()["attempts_of_poison"] == [3, 3]
    for error in errors:
        assert "no answer after 3 attempts (status 500): The model crashed on this input." in str(error)


def test_which_request_fails_is_the_same_in_every_run(tmp_path: Path) -> None:
    seen = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        faulty = Faulty({"500": 0.2, "429": 0.1})
        run(faulty, folder)
        seen.append((faulty.faults, Counter(faulty.asked)))
    assert seen[0] == seen[1]


def test_in_a_process_of_its_own_it_tells_what_it_saw(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulation.fault_server", json.dumps({"shares": {"500": 0.2}})]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        Desk(server.stdout.readline().strip(), tmp_path).ask(*(ask(str(number)) for number in range(20)))
        server.stdin.write("\n")
        server.stdin.flush()
        told = json.loads(server.stdout.readline())
        server.stdin.close()
    assert told["finished"] == 20
    assert told["requests"] == 20 + told["faults"]["500"]
