"""What every completion store promises: the same tests on SQLite and on a real Postgres server."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope, Paid, older_windows
from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.sample import ToolCall
from sia_dagster.core.records.spend import Spend
from sia_dagster_tests.worlds.either_store import Connect

WINDOW = LedgerScope(loop="desk", window="2026-11-02")
NEXT = LedgerScope(loop="desk", window="2026-11-09")
MAIL = LedgerScope(loop="mail", window="2026-11-02")
EVER = datetime(2100, 1, 1, tzinfo=UTC)
REPLY = ChatReply(
    text="größer — 大\x00\n'%s'",
    tool_calls=(ToolCall(id="1", name="look", arguments='{"a": 1}'),),
    finish_reason="tool_calls",
    prompt_tokens=7,
    completion_tokens=3,
    cost_usd=0.1 + 0.2,
    attempts=3,
    seconds=0.25,
)


def put(
    store: CompletionStore, key: str, reply: ChatReply, scope: LedgerScope = WINDOW, stage: str = "judge"
) -> ChatReply:
    return store.put(key, reply, scope=scope, stage=stage, model="m")


def paid(key: str, reply: ChatReply, stage: str = "judge") -> Paid:
    return Paid(key=key, reply=reply, scope=WINDOW, stage=stage, model="m")


def test_an_answer_comes_back_as_it_was_stored_and_says_that_it_was(store: CompletionStore) -> None:
    assert store.get("k") is None
    assert put(store, "k", REPLY) == REPLY
    assert store.get("k") == REPLY.model_copy(update={"cached": True})


def test_answers_outlive_the_object_that_stored_them(connect: Connect) -> None:
    with closing(connect()) as first:
        put(first, "k", ChatReply(text="kept", prompt_tokens=4, cost_usd=0.5))
    with closing(connect()) as second:
        kept = second.get("k")
        assert kept is not None
        assert kept.text == "kept"
        assert second.spent("desk", "2026-11-02") == (0.5, 4)


def test_the_first_answer_wins_and_both_are_booked(store: CompletionStore) -> None:
    put(store, "k", ChatReply(text="first", completion_tokens=1, cost_usd=1.0))
    second = put(store, "k", ChatReply(text="second", completion_tokens=2, cost_usd=2.0))
    assert (second.text, second.cached) == ("first", True)
    assert store.spent("desk", "2026-11-02") == (3.0, 3)


def test_a_stored_failed_generation_is_not_usable_and_the_next_answer_takes_its_place(store: CompletionStore) -> None:
    for key, reply in {"a": ChatReply(text="cut", finish_reason="error"), "b": ChatReply(), "c": REPLY}.items():
        put(store, key, reply)
    assert set(store.usable(["a", "b", "c", "d"])) == {"c"}
    assert put(store, "a", ChatReply(text="whole")) == ChatReply(text="whole")
    replies = store.put_many([paid("b", ChatReply(text="b")), paid("c", ChatReply(text="late")), paid("d", REPLY)])
    assert [(reply.text, reply.cached) for reply in replies] == [("b", False), (REPLY.text, True), (REPLY.text, False)]
    assert {key: reply.text for key, reply in store.usable(["a", "b"]).items()} == {"a": "whole", "b": "b"}
    put(store, "a", ChatReply(text="again", finish_reason="error"))
    assert store.usable(["a"])["a"].text == "whole"


def test_a_failed_generation_that_was_billed_is_booked_and_not_stored(store: CompletionStore) -> None:
    lost = paid("k", ChatReply(prompt_tokens=5, completion_tokens=2, cost_usd=0.5)).model_copy(
        update={"answered": False}
    )
    assert store.put_many([lost, lost]) == [lost.reply] * 2
    assert store.get("k") is None
    assert store.spent("desk", "2026-11-02") == (1.0, 14)
    assert store.put_many([lost, paid("k", REPLY)]) == [lost.reply, REPLY]


def test_many_are_as_one_after_the_other(store: CompletionStore) -> None:
    put(store, "b", ChatReply(text="theirs", cost_usd=1.0))
    replies = store.put_many(
        [
            paid("c", ChatReply(text="own c", cost_usd=1.0)),
            paid("b", ChatReply(text="own b", cost_usd=1.0), stage="replay"),
            paid("a", ChatReply(text="first a", cost_usd=None)),
            paid("a", ChatReply(text="second a", cost_usd=1.0)),
        ]
    )
    assert [(reply.text, reply.cached) for reply in replies] == [
        ("own c", False),
        ("theirs", True),
        ("first a", False),
        ("first a", True),
    ]
    assert store.put_many([]) == []
    assert set(store.get_many(["a", "b", "nowhere"])) == {"a", "b"}
    assert store.get_many([]) == {}
    assert {line: (spend.calls, spend.cost_usd) for line, spend in store.ledger("desk", "2026-11-02").items()} == {
        "judge m": (4, None),
        "replay m": (1, 1.0),
    }


def test_a_window_pays_for_its_own_calls_alone(store: CompletionStore) -> None:
    put(store, "a", ChatReply(prompt_tokens=5, completion_tokens=1, cost_usd=0.25))
    put(store, "b", ChatReply(prompt_tokens=5, completion_tokens=2, cost_usd=None))
    put(store, "c", ChatReply(prompt_tokens=100, cost_usd=9.0), NEXT)
    put(store, "d", ChatReply(prompt_tokens=100, cost_usd=9.0), MAIL)
    assert store.spent("desk", "2026-11-02") == (0.25, 13)
    assert store.spent("desk", "2026-11-16") == (0.0, 0)


def test_the_ledger_is_by_stage_and_model_in_order(store: CompletionStore) -> None:
    reply = ChatReply(prompt_tokens=5, completion_tokens=1, cost_usd=0.1)
    for number, stage in enumerate(["update", "Judge", "judge", "judge", "judge"]):
        put(store, str(number), reply, stage=stage)
    lines = store.ledger("desk", "2026-11-02")
    assert list(lines) == ["Judge m", "judge m", "update m"]
    assert lines["judge m"] == Spend(calls=3, prompt_tokens=15, completion_tokens=3, cost_usd=0.3)


def test_a_closed_store_says_so_instead_of_answering(store: CompletionStore) -> None:
    store.close()
    with pytest.raises(SiaError, match=r"the completion store .* cannot be read"):
        store.get("k")
    with pytest.raises(SiaError, match="cannot be written"):
        put(store, "k", ChatReply())


def test_threads_share_one_store(store: CompletionStore) -> None:
    def fill(thread: int) -> list[str]:
        reply = ChatReply(text=f"of {thread}", prompt_tokens=1, cost_usd=0.5)
        return [put(store, str(number), reply).text for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        by_thread = list(pool.map(fill, range(8)))
    assert all(answers == by_thread[0] for answers in by_thread)
    assert store.spent("desk", "2026-11-02") == (160.0, 320)


def test_users_that_make_and_fill_one_store_together_agree(connect: Connect) -> None:
    """Batches of the same keys in another order each; nobody waits for ever, nothing is booked twice or not at all."""

    def fill(user: int) -> list[str]:
        reply = ChatReply(text=f"of {user}", prompt_tokens=1)
        keys = sorted((str(n) for n in range(30)), reverse=bool(user % 2))
        with closing(connect()) as own:
            for _ in range(5):
                replies = own.put_many([paid(key, reply, stage=f"s{key}") for key in keys])
        return sorted(f"{key} {each.text}" for key, each in zip(keys, replies, strict=True))

    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(fill, range(6)))
    assert all(end == ends[0] for end in ends)
    with closing(connect()) as after:
        assert after.spent("desk", "2026-11-02") == (0.0, 6 * 5 * 30)


def fill_three_windows(store: CompletionStore) -> None:
    for number in range(3):
        put(store, f"a{number}", ChatReply(text="x" * 100, cost_usd=0.25))
    put(store, "b", ChatReply(text="ä", cost_usd=None), stage="replay")
    put(store, "c", ChatReply(cost_usd=1.0), NEXT)
    put(store, "d", ChatReply(cost_usd=1.0), MAIL)


def test_what_is_stored_is_shown_by_window_stage_and_model(store: CompletionStore) -> None:
    assert store.groups() == ()
    began = datetime.now(UTC) - timedelta(minutes=5)
    empty = store.size()
    fill_three_windows(store)
    groups = store.groups()
    assert [(g.loop, g.window, g.stage, g.model, g.answers, g.cost_usd, g.unpriced) for g in groups] == [
        ("desk", "2026-11-02", "judge", "m", 3, 0.75, 0),
        ("desk", "2026-11-02", "replay", "m", 1, 0.0, 1),
        ("desk", "2026-11-09", "judge", "m", 1, 1.0, 0),
        ("mail", "2026-11-02", "judge", "m", 1, 1.0, 0),
    ]
    assert 300 < groups[0].size < 2000
    assert all(began < group.oldest <= group.newest < EVER for group in groups)
    assert store.size() >= empty > 0


def test_answers_come_in_the_order_of_the_keys(store: CompletionStore) -> None:
    keys = [f"{number:04}" for number in range(2100)]
    store.put_many([paid(key, REPLY.model_copy(update={"attempts": int(key)})) for key in reversed(keys)])
    stored = list(store.answers())
    assert [each.key for each in stored] == keys
    assert [each.reply.attempts for each in stored] == list(range(2100))
    assert stored[0].paid_at.tzinfo is not None
    assert (stored[0].loop, stored[0].window, stored[0].stage, stored[0].model) == ("desk", "2026-11-02", "judge", "m")


def test_pruning_takes_the_windows_that_were_named_and_leaves_the_ledger(store: CompletionStore) -> None:
    fill_three_windows(store)
    ledger = store.ledger("desk", "2026-11-02")
    assert store.prune([WINDOW, MAIL], before=EVER) == 5
    assert [group.window for group in store.groups()] == ["2026-11-09"]
    assert store.get("a0") is None
    assert store.get("c") is not None
    assert store.ledger("desk", "2026-11-02") == ledger
    assert store.spent("mail", "2026-11-02") == (1.0, 0)
    assert store.prune([WINDOW], before=EVER) == 0


def test_what_was_paid_for_after_that_is_kept(store: CompletionStore) -> None:
    fill_three_windows(store)
    assert store.prune([WINDOW], before=datetime.now(UTC) - timedelta(days=1)) == 0
    assert store.get("a0") is not None


def test_nothing_is_pruned_while_a_stage_works_with_the_answers(connect: Connect) -> None:
    with closing(connect()) as stage, closing(connect()) as other, closing(connect()) as person:
        fill_three_windows(stage)
        stage.begin()
        other.begin()
        stage.end()
        with pytest.raises(SiaError, match=r"is in use: a stage .* Nothing was pruned"):
            person.prune([WINDOW], before=EVER)
        assert person.get("a0") is not None
        other.end()
        assert person.prune([WINDOW], before=EVER) == 4


def test_a_store_that_is_closed_is_no_stage_at_work(connect: Connect) -> None:
    with closing(connect()) as person:
        stage = connect()
        stage.begin()
        stage.close()
        connect.wait_until_released()
        assert person.prune([], before=EVER) == 0
        stage.end()


def test_a_stage_may_begin_again(connect: Connect) -> None:
    with closing(connect()) as stage, closing(connect()) as person:
        for _ in range(2):
            stage.begin()
            stage.begin()
            stage.end()
            with pytest.raises(SiaError, match="is in use"):
                person.prune([], before=EVER)
            stage.end()
        assert person.prune([], before=EVER) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(reply=st.builds(ChatReply, text=st.text(), cost_usd=st.none() | st.floats(0, 100), finish_reason=st.text()))
def test_whatever_an_answer_holds_is_kept(store: CompletionStore, reply: ChatReply) -> None:
    """Text as the wire's reader leaves it: without half surrogate pairs."""
    key = str(len(list(store.answers())))
    kept = put(store, key, reply)
    assert store.get(key) == kept.model_copy(update={"cached": True})
    assert kept == reply


def test_windows_are_old_when_their_newest_answer_is(store: CompletionStore) -> None:
    fill_three_windows(store)
    day = datetime(2026, 11, 20, tzinfo=UTC)
    ages = {"judge": 10, "replay": 1}
    groups = [
        group.model_copy(update={"oldest": day - timedelta(days=90), "newest": day - timedelta(days=ages[group.stage])})
        for group in store.groups()
    ]
    assert older_windows(groups, before=day) == [WINDOW, NEXT, MAIL]
    assert older_windows(groups, before=day - timedelta(days=5)) == [NEXT, MAIL]
    assert older_windows(groups, before=day - timedelta(days=5), loop="desk") == [NEXT]
    assert older_windows(groups, before=day - timedelta(days=10)) == []
