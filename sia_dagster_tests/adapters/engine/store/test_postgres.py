"""Postgres as the completion store: lost connections, many users at once, and no password anywhere."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope, Paid
from sia_dagster.adapters.engine.store.answers import MOST_IN_ONE_TRIP, Answers
from sia_dagster.adapters.engine.store.postgres import MOST_TRIES, PostgresStore, pause
from sia_dagster.core.errors import ConfigError, SiaError, SpendCapReached
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.fakes.postgres import PASSWORD, USER, CuttingProxy, PostgresServer
from sia_dagster_tests.places import ROOT
from sia_dagster_tests.worlds.chats import WINDOW, Desk, ask
from simulation.servers import Body, Reply, ScriptedServer, completion

EVER = datetime(2100, 1, 1, tzinfo=UTC)


class Waits(list[float]):
    """Plays `wait`: notes the seconds, does what is due at that wait, and lets the server breathe."""

    def __init__(self, *due: Callable[[], object]) -> None:
        super().__init__()
        self._due = list(due)

    def __call__(self, seconds: float) -> None:
        self.append(seconds)
        if self._due:
            self._due.pop(0)()
        pause(0.02)


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return postgres.new_database()


def opened(postgres: PostgresServer, database: str, wait: Callable[[float], object] = pause) -> PostgresStore:
    return PostgresStore(postgres.address(database), limits=Path("limits"), wait=wait)


def put(store: PostgresStore, key: str, **reply: Any) -> ChatReply:
    return store.put(key, ChatReply(**reply), scope=WINDOW, stage="judge", model="m")


def cut_off(postgres: PostgresServer, database: str) -> int:
    """End every connection of the database; how many there were."""
    ended = f"SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    pids = [row[0] for row in postgres.execute("postgres", ended)]
    postgres.wait_until_none(f"SELECT 1 FROM pg_stat_activity WHERE pid = ANY(ARRAY{pids}::int[])", pause)
    return len(pids)


def test_a_connection_that_is_lost_is_made_again(postgres: PostgresServer, database: str) -> None:
    waits = Waits()
    with closing(opened(postgres, database, waits)) as store:
        put(store, "a", text="kept", cost_usd=1.0)
        for look in (lambda: store.get("a"), lambda: put(store, "b", cost_usd=1.0), store.size, store.groups):
            assert cut_off(postgres, database) == 1
            assert look()
        assert store.spent(WINDOW.loop, WINDOW.window) == (2.0, 0)
    assert waits == [1.0] * 4


def test_a_restart_of_the_server_is_waited_for(postgres: PostgresServer, database: str) -> None:
    waits = Waits(lambda: None, postgres.start)
    with closing(opened(postgres, database, waits)) as store:
        put(store, "a", text="kept")
        postgres.stop()
        assert store.get("a") == ChatReply(text="kept", cached=True)
    assert waits[:2] == [1.0, 2.0]


def test_a_server_that_stays_away_is_an_error_that_says_so(postgres: PostgresServer, database: str) -> None:
    waits = Waits()
    with closing(opened(postgres, database, waits)) as store:
        postgres.stop()
        try:
            with pytest.raises(SiaError, match=r"127\.0\.0\.1:\d+/sia_\d+ cannot be read: .*refused") as caught:
                store.get("a")
        finally:
            postgres.start()
        assert PASSWORD not in str(caught.value)
        assert store.get("a") is None
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert len(waits) == MOST_TRIES - 1


@pytest.mark.parametrize("at", [b"COMMIT", b"INSERT INTO sia_completions", b"INSERT INTO sia_ledger"])
def test_an_answer_is_booked_once_whenever_the_connection_is_lost(
    postgres: PostgresServer, database: str, at: bytes
) -> None:
    """Also where the commit went through and the word of it was lost."""
    with CuttingProxy(postgres.port) as proxy:
        address = postgres.address(database, proxy.port)
        with closing(PostgresStore(address, limits=Path("limits"), wait=Waits())) as store:
            put(store, "theirs", text="theirs", cost_usd=1.0)
            paid = [
                Paid(key=key, reply=ChatReply(text="own", cost_usd=1.0), scope=WINDOW, stage="judge", model="m")
                for key in ("own", "theirs")
            ]
            proxy.arm(at)
            replies = store.put_many(paid)
            assert proxy.cuts == 1
            assert [(reply.text, reply.cached) for reply in replies] == [("own", False), ("theirs", True)]
            assert store.spent(WINDOW.loop, WINDOW.window) == (3.0, 0)


def test_a_commit_that_the_server_has_not_finished_is_waited_for(postgres: PostgresServer, database: str) -> None:
    """The client is cut off while the server holds its transaction up: what became of it is known only later."""
    import psycopg

    with closing(opened(postgres, database)) as first:
        put(first, "a", cost_usd=1.0)
    blocker = psycopg.connect(postgres.address(database))
    blocker.execute("LOCK TABLE sia_ledger IN EXCLUSIVE MODE")
    with CuttingProxy(postgres.port) as proxy:
        address = postgres.address(database, proxy.port)
        waits = Waits(lambda: None, blocker.rollback)
        with closing(PostgresStore(address, limits=Path("limits"), wait=waits)) as store:
            proxy.arm(b"INSERT INTO sia_ledger")
            put(store, "b", cost_usd=1.0)
            assert store.spent(WINDOW.loop, WINDOW.window) == (2.0, 0)
    blocker.close()
    assert len(waits) >= 2


def test_two_that_are_in_each_others_way_both_get_through(postgres: PostgresServer, database: str) -> None:
    waits = Waits()
    with closing(opened(postgres, database, waits)) as store:
        put(store, "a")
        deadlock = "CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('tries') = 1 THEN "
        raised = "RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$"
        postgres.execute(database, "CREATE SEQUENCE tries")
        postgres.execute(database, deadlock + raised)
        postgres.execute(
            database, "CREATE TRIGGER c BEFORE INSERT ON sia_completions FOR EACH ROW EXECUTE FUNCTION clash()"
        )
        assert put(store, "b", text="through", cost_usd=1.0).text == "through"
        assert store.spent(WINDOW.loop, WINDOW.window) == (1.0, 0)
    assert waits == [1.0]


def test_an_answer_that_cannot_be_kept_is_an_error_and_is_not_booked(postgres: PostgresServer, database: str) -> None:
    with closing(opened(postgres, database, Waits())) as store:
        postgres.execute(database, "ALTER TABLE sia_completions ADD CHECK (reply NOT LIKE '%refused%')")
        with pytest.raises(SiaError, match=r"cannot be written: .*violates check constraint"):
            put(store, "k", text="refused", cost_usd=1.0)
        assert store.get("k") is None
        assert store.spent(WINDOW.loop, WINDOW.window) == (0.0, 0)


def test_a_stage_is_at_work_over_lost_connections(postgres: PostgresServer, database: str) -> None:
    with closing(opened(postgres, database, Waits())) as stage, closing(opened(postgres, database, Waits())) as person:
        stage.begin()
        cut_off(postgres, database)
        assert stage.get("a") is None
        with pytest.raises(SiaError, match="is in use"):
            person.prune([], before=EVER)
        cut_off(postgres, database)
        stage.end()
        assert stage.get("a") is None
        assert person.prune([], before=EVER) == 0


def test_a_store_of_a_newer_format_is_left_alone(postgres: PostgresServer, database: str) -> None:
    opened(postgres, database).close()
    postgres.execute(database, "UPDATE sia_completions_format SET format = 99")
    with pytest.raises(SiaError, match=r"newer version of this package \(format 99\)"):
        opened(postgres, database)
    postgres.execute(database, "DELETE FROM sia_completions_format")
    with pytest.raises(SiaError, match="already exists"):
        opened(postgres, database)


@pytest.mark.parametrize(
    ("password", "database_name", "message"),
    [
        ("wrong-secret", "postgres", "password authentication failed"),
        (PASSWORD, "nowhere", 'database "nowhere" does not exist'),
    ],
)
def test_a_database_that_cannot_be_used_fails_at_once(
    postgres: PostgresServer, password: str, database_name: str, message: str
) -> None:
    waits = Waits()
    host = f"127.0.0.1:{postgres.port}"
    address = f"postgresql://{USER}:{quote(password, safe='')}@{host}/{quote(database_name, safe='')}"
    with pytest.raises(SiaError, match=message) as caught:
        PostgresStore(address, limits=Path("limits"), wait=waits)
    error: BaseException | None = caught.value
    while error:
        assert password not in str(error)
        error = error.__cause__
    assert waits == []


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://sia:{quote('sec@ret', safe='')}@127.0.0.1/{quote('sec@ret', safe='')}",
        "postgresql://sia:se/cret@127.0.0.1/db",
        "postgresql://sia:sec@ret@127.0.0.1/db",
        "postgresql://sia:sec%ret@127.0.0.1/db",
        "postgresql://sia:secret@127.0.0.1/db?secret=1",
        "postgresql://sia@127.0.0.1:secret/db",
        "host=127.0.0.1 password=secret",
        "secret",
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError, match=r"llm\.completions: is not a Postgres URL") as caught:
        PostgresStore(address, limits=Path("limits"))
    assert "ret" not in str(caught.value).replace("every", "")
    assert caught.value.__cause__ is None


def test_an_empty_password_leaves_the_message_readable() -> None:
    with pytest.raises(SiaError, match="cannot be opened") as caught:
        PostgresStore("postgresql://sia@127.0.0.1:1/db?password=", limits=Path("limits"))
    assert "***" not in str(caught.value)


def test_without_the_driver_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pathlib import Path\n"
        "from sia_dagster.adapters.engine.store.postgres import PostgresStore\n"
        "PostgresStore('postgresql://127.0.0.1/db', limits=Path('limits'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigError: llm.completions: " in done.stderr
    assert "pip install 'sia-dagster[postgres]'" in done.stderr


@pytest.fixture
def desk(postgres: PostgresServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "MakeDesk":
    monkeypatch.setenv("DESK_STORE", postgres.address(database))
    return lambda server, **config: Desk(server.base_url, tmp_path, completions="DESK_STORE", **config)


MakeDesk = Callable[..., Desk]


def question(body: Body) -> str:
    return str(body["messages"][0]["content"])


def test_calls_are_paid_for_once_over_a_database(desk: MakeDesk) -> None:
    asked = [ask(f"question {n % 200}") for n in range(400)]
    with ScriptedServer(lambda body, n: Reply(body=completion(question(body)), delay=0.005)) as server:
        answers = desk(server).ask(*asked)
        again = desk(server).ask(*asked)
    texts = [f"question {n % 200}" for n in range(400)]
    assert [getattr(answer, "text", answer) for answer in answers] == texts
    assert [getattr(answer, "text", answer) for answer in again] == texts
    assert all(isinstance(answer, ChatReply) and answer.cached for answer in again)
    assert len(server.requests) == 200
    assert desk(server).spent()[1] == 200 * 15


def test_the_budget_holds_over_a_database(desk: MakeDesk) -> None:
    with ScriptedServer(lambda body, n: Reply(body=completion("a"), delay=0.002)) as server:
        answers = desk(server, budget_tokens=200, max_concurrency=8).ask(*(ask(f"{n}") for n in range(60)))
        assert desk(server).spent()[1] == len(server.requests) * 15 <= 200
    assert len(server.requests) >= 12
    assert sum(isinstance(answer, SpendCapReached) for answer in answers) == 60 - len(server.requests)


def test_an_answer_that_nobody_waits_for_any_more_is_stored(desk: MakeDesk) -> None:
    with ScriptedServer(lambda body, n: Reply(body=completion("paid"), delay=0.05)) as server:

        async def scene(chat: OpenAIChat) -> None:
            waiting = asyncio.create_task(chat.complete(ask("a")))
            while not server.requests:
                await asyncio.sleep(0.005)
            waiting.cancel()

        desk(server).run(scene)
        assert desk(server).one(ask("a")).cached
    assert len(server.requests) == 1


def test_a_store_that_is_gone_before_the_first_call_stops_the_stage(
    desk: MakeDesk, postgres: PostgresServer, database: str
) -> None:
    async def scene(store: PostgresStore) -> None:
        async with Answers(store):
            raise AssertionError("nobody gets here")

    with closing(opened(postgres, database, Waits())) as store:
        store.close()
        with pytest.raises(SiaError, match=r"cannot be used: .* is closed"):
            asyncio.run(scene(store))


def test_a_block_over_a_database_can_be_left_twice_and_entered_again(desk: MakeDesk) -> None:
    with ScriptedServer(lambda body, n: completion("paid")) as server:

        async def scene(chat: OpenAIChat) -> list[bool]:
            first = await chat.complete(ask("1"))
            await chat.__aexit__(None, None, None)
            await chat.__aexit__(None, None, None)
            async with chat:
                return [first.cached, (await chat.complete(ask("1"))).cached]

        assert desk(server).run(scene) == [False, True]


def test_a_store_that_fails_stops_those_who_ask(desk: MakeDesk, postgres: PostgresServer, database: str) -> None:
    with ScriptedServer(lambda body, n: completion("paid")) as server:
        assert desk(server).one(ask("a")).text == "paid"
        postgres.execute(database, "DROP TABLE sia_completions")
        answers = desk(server).ask(*(ask(f"{n}") for n in range(5)))
    assert [type(answer) for answer in answers] == [SiaError] * 5
    assert "cannot be read" in str(answers[0])


class Slow(PostgresStore):
    """Counts the trips."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.trips: list[int] = []

    def put_many(self, paid: Any) -> list[ChatReply]:
        self.trips.append(len(paid))
        return super().put_many(paid)


def test_what_comes_while_a_trip_is_under_way_goes_with_the_next(postgres: PostgresServer, database: str) -> None:
    scope = LedgerScope(loop="l", window="w")

    async def scene(store: Slow) -> list[ChatReply]:
        async with Answers(store) as answers:
            paid = [
                Paid(key=f"{n}", reply=ChatReply(text=f"{n}", prompt_tokens=1), scope=scope, stage="s", model="m")
                for n in range(MOST_IN_ONE_TRIP + 200)
            ]
            replies = await asyncio.gather(*(answers.put(each) for each in paid))
            assert await answers.spent(scope) == (0.0, len(paid))
            lost = asyncio.create_task(answers.put(paid[0].model_copy(update={"key": "left alone"})))
            await asyncio.sleep(0)
            lost.cancel()
        return replies

    with closing(Slow(postgres.address(database), limits=Path("limits"))) as store:
        replies = asyncio.run(scene(store))
        assert [reply.text for reply in replies] == [f"{n}" for n in range(MOST_IN_ONE_TRIP + 200)]
        assert store.trips == [MOST_IN_ONE_TRIP, 200, 1]
        assert store.get("left alone") is not None


_RUN = """
import sys
from pathlib import Path
from sia_dagster_tests.worlds.chats import Desk, ask
desk = Desk(sys.argv[1], Path(sys.argv[2]), max_concurrency=8, completions="DESK_STORE")
answers = desk.ask(*(ask(f"question {n}") for n in range(100)), workers=8)
sys.stdout.write("\\n".join(a.text for a in answers))
"""


def test_two_machines_on_one_database_end_with_the_same_answers(desk: MakeDesk, tmp_path: Path) -> None:
    with ScriptedServer(lambda body, n: Reply(body=completion(f"draw {n}"), delay=0.005)) as server:
        machines = [
            subprocess.Popen(
                [sys.executable, "-c", _RUN, server.base_url, str(tmp_path / name)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in ("one", "two")
        ]
        outputs = [machine.communicate() for machine in machines]
        paid = len(server.requests)
        again = desk(server).ask(*(ask(f"question {n}") for n in range(100)))
    assert [error for _, error in outputs] == ["", ""]
    assert outputs[0] == outputs[1] == ("\n".join(getattr(answer, "text", "") for answer in again), "")
    assert len(server.requests) == paid
    assert desk(server).spent()[1] == paid * 15
