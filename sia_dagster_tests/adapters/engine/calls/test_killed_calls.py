"""A process that is killed, or shares its store with another, pays for nothing twice."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from sia_dagster.adapters.engine.store import request_key
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster_tests.places import ROOT
from sia_dagster_tests.worlds.chats import Desk, ask
from simulation.servers import Body, Reply, ScriptedServer, completion

CALLS = 200

_RUN = """
import sys
from pathlib import Path
from sia_dagster_tests.worlds.chats import Desk, ask
desk = Desk(sys.argv[1], Path(sys.argv[2]), max_concurrency=8)
answers = desk.ask(*(ask(f"question {n}") for n in range(int(sys.argv[3]))), workers=8)
sys.stdout.write("\\n".join(a.text for a in answers))
"""


def start(server: ScriptedServer, folder: Path, calls: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, server.base_url, str(folder), str(calls)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(child: "subprocess.Popen[str]") -> list[str]:
    told, error = child.communicate()
    assert (child.returncode, error) == (0, "")
    return told.split("\n")


def question(body: Body) -> str:
    return str(body["messages"][0]["content"])


def answering(then: Callable[[int], None] = lambda _: None) -> Callable[[Body, int], Reply]:
    def answer(body: Body, n: int) -> Reply:
        then(n)
        return Reply(body=completion(f"answer to {question(body)}"), delay=0.005)

    return answer


def stored(folder: Path) -> list[str]:
    store = SqliteStore(folder / "completions.sqlite")
    kept = [q for q in (f"question {n}" for n in range(CALLS)) if store.get(request_key("server", ask(q))) is not None]
    store.close()
    return kept


def test_a_process_killed_half_way_pays_for_no_completed_call_again(tmp_path: Path) -> None:
    children: list[subprocess.Popen[str]] = []

    def kill(n: int) -> None:
        if n == CALLS // 2:
            os.kill(children[0].pid, signal.SIGKILL)

    with ScriptedServer(answering(kill)) as server:
        children.append(start(server, tmp_path, CALLS))
        children[0].communicate()
        assert children[0].returncode == -signal.SIGKILL
        completed = stored(tmp_path)
        assert len(completed) >= CALLS // 2 - 8
        answers = finished(start(server, tmp_path, CALLS))
    asked = Counter(question(body) for body in server.requests)
    assert answers == [f"answer to question {n}" for n in range(CALLS)]
    assert [q for q in completed if asked[q] > 1] == []
    assert asked.total() <= CALLS + 8
    assert Desk(server.base_url, tmp_path).spent()[1] == CALLS * 15


def test_two_processes_on_one_store_end_with_the_same_answers(tmp_path: Path) -> None:
    """Only what both have in flight at the same moment is paid for twice; the first stored answer is both's."""
    with ScriptedServer(lambda body, n: Reply(body=completion(f"draw {n}"), delay=0.005)) as server:
        both = [start(server, tmp_path, 100), start(server, tmp_path, 100)]
        first, second = finished(both[0]), finished(both[1])
        paid = len(server.requests)
        assert finished(start(server, tmp_path, 100)) == first == second
    assert len(server.requests) == paid
    assert Desk(server.base_url, tmp_path).spent()[1] == paid * 15
