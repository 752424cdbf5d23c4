"""What both completion stores promise about batches: SQLite, and a real Postgres server."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sia_dagster.adapters.engine.batches.batch_chat import BatchChat
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope
from sia_dagster.adapters.engine.store.batch_records import BatchedRequest, BatchRecords, SubmittedBatch
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.worlds.chats import ask
from sia_dagster_tests.worlds.either_store import Connect
from simulation.batch_server import BatchServer
from simulation.servers import completion

WINDOW = LedgerScope(loop="desk", window="2026-11-02")


def submitted(token: str = "t", **fields: Any) -> SubmittedBatch:
    given = {"token": token, "endpoint": "server", "loop": WINDOW.loop, "of_window": WINDOW.window, "stage": "judge"}
    return SubmittedBatch.model_validate({**given, "model": "m", "usd": 0.5, "tokens": 100, "handed_in": 1.5, **fields})


def batched(key: str, token: str = "t", tries: int = 1, **fields: Any) -> BatchedRequest:
    given = {"key": key, "token": token, "tries": tries, "estimated_prompt": 7}
    return BatchedRequest.model_validate(given | fields)


def test_a_claim_is_what_every_other_process_finds(connect: Connect, store: CompletionStore) -> None:
    requests = [batched("a", left_out=("seed", "top_p")), batched("b%?", tries=2)]
    BatchRecords(store).claim(submitted(), requests)
    with closing(connect()) as other:
        records = BatchRecords(other)
        assert records.find(["a", "b%?", "c"]) == {each.key: each for each in requests}
        assert records.of_window(WINDOW) == {each.key: each for each in requests}
        assert records.of_window(WINDOW.model_copy(update={"window": "2026-11-09"})) == {}
        assert records.unfinished("server") == [submitted()]
        assert records.unfinished("another") == []
        records.opened("t", "batch_1")
    assert BatchRecords(store).unfinished("server") == []
    assert BatchRecords(store).batches(["t", "u"]) == [submitted(batch="batch_1", state="open")]
    assert BatchRecords(store).open_of(WINDOW) == ["t"]


def test_what_is_promised_counts_as_spent_until_the_batch_ends(store: CompletionStore) -> None:
    records = BatchRecords(store)
    records.claim(submitted("t"), [])
    records.claim(submitted("u", usd=0.25, tokens=11.6), [])
    records.claim(submitted("v", loop="mail"), [])
    assert store.spent("desk", "2026-11-02") == (0.75, 112)
    records.opened("t", "batch_1")
    assert store.spent("desk", "2026-11-02") == (0.75, 112)
    records.end("t")
    records.withdraw("u")
    assert store.spent("desk", "2026-11-02") == (0.0, 0)


def test_a_batch_that_was_never_handed_in_leaves_its_requests_as_they_were(store: CompletionStore) -> None:
    records = BatchRecords(store)
    records.claim(submitted("t"), [batched("new"), batched("old", tries=3)])
    records.withdraw("t")
    assert records.find(["new", "old"]) == {"old": batched("old", tries=2, under_way=False)}


def test_what_failed_for_good_is_known_until_its_stage_is_over(store: CompletionStore) -> None:
    records, refused = BatchRecords(store), Failure(message="too long — 大", status=400, code="c")
    records.claim(submitted(), [batched("good"), batched("bad"), batched("again")])
    records.settle(["good"], {"bad": refused})
    records.end("t")
    known = {"bad": batched("bad", failure=refused, under_way=False), "again": batched("again", under_way=False)}
    assert records.find(["good", "bad", "again"]) == known
    records.claim(submitted("u"), [batched("again", "u", tries=2)])
    records.forget(["bad", "again"])
    assert records.find(["bad", "again"]) == {"again": batched("again", "u", tries=2)}


def test_work_that_is_done_again_changes_nothing(store: CompletionStore) -> None:
    """A lost connection may repeat a transaction that went through."""
    records = BatchRecords(store)
    for _ in range(2):
        records.claim(submitted(), [batched("a")])
    records.opened("t", "batch_1")
    records.claim(submitted(), [batched("a")])
    assert records.batches(["t"]) == [submitted(batch="batch_1", state="open")]


def test_what_was_taken_back_is_not_taken_back_again(store: CompletionStore) -> None:
    """Each time would give its requests one more batch than they may have."""
    records = BatchRecords(store)
    records.claim(submitted(), [batched("old", tries=3)])
    for _ in range(2):
        records.withdraw("t")
    assert records.find(["old"]) == {"old": batched("old", tries=2, under_way=False)}


def test_more_keys_than_a_statement_takes(store: CompletionStore) -> None:
    records = BatchRecords(store)
    records.claim(submitted(), [batched(f"{n}") for n in range(1201)])
    assert len(records.find(f"{n}" for n in range(1300))) == 1201


def test_one_process_at_a_time_has_its_turn(connect: Connect, store: CompletionStore) -> None:
    assert store.take_turn()
    with closing(connect()) as other:
        assert not other.take_turn()
        store.end_turn()
        assert other.take_turn()
        assert not store.take_turn()
    connect.wait_until_released()
    assert store.take_turn(), "a store that is closed has released its turn"
    store.end_turn()


def test_a_stage_is_run_over_either_store(store: CompletionStore) -> None:
    async def answers(base_url: str) -> list[str]:
        config = LLMConfig(base_url=base_url, mode="batch")
        async with BatchChat(config, api_key=None, store=store, scope=WINDOW) as chat:
            while True:
                asked_ = (chat.complete(ask(f"question {n}")) for n in range(20))
                found = await asyncio.gather(*asked_, return_exceptions=True)
                if await chat.settled(wait=lambda _: asyncio.sleep(0)):
                    return [reply.text for reply in found if isinstance(reply, ChatReply)]

    with BatchServer(lambda body, n: completion("yes")) as server:
        assert asyncio.run(answers(server.base_url)) == ["yes"] * 20
    assert len(server.batches) == 1
    assert store.spent(WINDOW.loop, WINDOW.window)[1] == 300


def test_a_file_of_the_first_format_gets_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "completions.sqlite"
    with closing(SqliteStore(path)):
        pass
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE sia_batches")
        db.execute("DROP TABLE sia_batch_requests")
        db.execute("PRAGMA user_version = 1")
    with closing(SqliteStore(path)) as found:
        assert found.spent("desk", "2026-11-02") == (0.0, 0)
