"""What was used is counted once, and a window's cap holds whatever is in flight."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.money.ledger import SpendLedger
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.answers import Answers
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.errors import ConfigError, SpendCapReached
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.spend import Spend

WINDOW = LedgerScope(loop="desk", window="2026-11-02")

JUDGE = ChatRequest(model="m", messages=(), stage="judge")

DOLLAR_A_TOKEN = {"m": Price(input=1e6, output=1e6)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "c.sqlite")
    yield opened
    opened.close()


def ledger(store: SqliteStore, **config: Any) -> SpendLedger:
    return SpendLedger(
        LLMConfig.model_validate({"prices": DOLLAR_A_TOKEN} | config), answers=Answers(store), scope=WINDOW
    )


def answer(prompt: int, completion: int) -> ChatReply:
    return ChatReply(prompt_tokens=prompt, completion_tokens=completion, cost_usd=float(prompt + completion))


async def pay(
    spending: SpendLedger, store: SqliteStore, key: str, reply: ChatReply, request: ChatRequest = JUDGE
) -> None:
    """One call as the chat model makes it, which takes a few turns of the loop."""
    held = await spending.reserve(request, estimated_prompt=reply.prompt_tokens)
    for _ in range(3):
        await asyncio.sleep(0)
    store.put(key, reply, scope=WINDOW, stage=request.stage, model=request.model)
    spending.settle(held, reply)
    spending.use(request, key, reply)


def test_spend_is_by_stage_and_model_and_counts_an_answer_once(store: SqliteStore) -> None:
    spending = ledger(store)
    asyncio.run(pay(spending, store, "a", answer(10, 1)))
    spending.use(JUDGE, "a", answer(10, 1).model_copy(update={"cached": True}))
    asyncio.run(pay(spending, store, "b", answer(20, 2), JUDGE.model_copy(update={"stage": "replay"})))
    assert spending.spend == {
        "judge m": Spend(calls=2, paid_calls=1, prompt_tokens=10, completion_tokens=1, cost_usd=11.0),
        "replay m": Spend(calls=1, paid_calls=1, prompt_tokens=20, completion_tokens=2, cost_usd=22.0),
    }


def test_a_resumed_stage_reports_the_same_use_and_fewer_payments(store: SqliteStore) -> None:
    spending = ledger(store)
    spending.use(JUDGE, "a", answer(10, 1).model_copy(update={"cached": True}))
    assert spending.spend["judge m"] == Spend(
        calls=1, paid_calls=0, prompt_tokens=10, completion_tokens=1, cost_usd=11.0
    )


def test_one_unknown_price_makes_the_cost_unknown_and_leaves_the_tokens(store: SqliteStore) -> None:
    spending = ledger(store)
    spending.use(JUDGE, "a", ChatReply(prompt_tokens=5, cost_usd=None))
    spending.use(JUDGE, "b", ChatReply(prompt_tokens=6, cost_usd=1.0))
    assert spending.spend["judge m"] == Spend(calls=2, prompt_tokens=11, cost_usd=None)


@pytest.mark.parametrize(("cap", "unit"), [({"budget_usd": 35}, "USD"), ({"budget_tokens": 35}, "tokens")])
def test_the_cap_stops_before_the_call_that_would_pass_it(store: SqliteStore, cap: dict[str, Any], unit: str) -> None:
    spending = ledger(store, **cap)
    for number in range(3):
        asyncio.run(pay(spending, store, str(number), answer(9, 1)))
    with pytest.raises(SpendCapReached) as reached:
        asyncio.run(pay(spending, store, "4", answer(9, 1)))
    error = reached.value
    assert (error.spent, error.cap, error.unit) == (30, 35, unit)
    for fact in ("desk 2026-11-02", "30 of 35", "judge m", f"raise llm.{next(iter(cap))}", "without paying for"):
        assert fact in str(error)


def test_what_earlier_runs_paid_counts(store: SqliteStore) -> None:
    store.put("old", answer(30, 1), scope=WINDOW, stage="update", model="m")
    with pytest.raises(SpendCapReached) as reached:
        asyncio.run(pay(ledger(store, budget_usd=35), store, "a", answer(9, 1)))
    assert reached.value.spent == 31


def test_both_caps_hold_at_once(store: SqliteStore) -> None:
    spending = ledger(store, budget_usd=1000, budget_tokens=15)
    asyncio.run(pay(spending, store, "a", answer(9, 1)))
    with pytest.raises(SpendCapReached) as reached:
        asyncio.run(pay(spending, store, "b", answer(9, 1)))
    assert reached.value.unit == "tokens"


def test_a_usd_cap_that_cannot_count_is_refused_before_the_call(store: SqliteStore) -> None:
    spending = ledger(store, budget_usd=1)
    with pytest.raises(ConfigError, match=r"llm\.prices: .*'local-7b' is unknown") as refused:
        asyncio.run(spending.reserve(ChatRequest(model="local-7b", messages=()), estimated_prompt=1))
    assert refused.value.key == "llm.prices"


def test_without_a_usd_cap_an_unknown_price_is_no_hindrance(store: SqliteStore) -> None:
    spending = ledger(store, budget_tokens=100)
    local = ChatRequest(model="local-7b", messages=())
    asyncio.run(spending.reserve(local, estimated_prompt=1))
    assert spending.price(local) is None


def test_a_limit_on_the_answer_bounds_what_the_next_may_cost(store: SqliteStore) -> None:
    spending = ledger(store, budget_tokens=100)
    asyncio.run(pay(spending, store, "a", answer(10, 60)))
    with pytest.raises(SpendCapReached):
        asyncio.run(spending.reserve(JUDGE, estimated_prompt=10))
    short = JUDGE.model_copy(update={"parameters": {"max_tokens": 15, "max_completion_tokens": None}})
    asyncio.run(spending.reserve(short, estimated_prompt=10))


def test_a_limit_that_is_none_bounds_nothing(store: SqliteStore) -> None:
    """Local servers take -1 for as many tokens as fit."""
    spending = ledger(store, budget_tokens=100)
    asyncio.run(pay(spending, store, "a", answer(10, 60)))
    with pytest.raises(SpendCapReached):
        asyncio.run(spending.reserve(JUDGE.model_copy(update={"parameters": {"max_tokens": -1}}), estimated_prompt=10))


def test_the_error_tells_tokens_as_whole_numbers(store: SqliteStore) -> None:
    spending = ledger(store, budget_tokens=2_000_000)
    asyncio.run(pay(spending, store, "a", answer(1_500_000, 60)))
    with pytest.raises(SpendCapReached, match=r"1,500,060 of 2,000,000 tokens are spent.*may take 600,060\."):
        asyncio.run(spending.reserve(JUDGE, estimated_prompt=600_000))


class FarStore(SqliteStore):
    """Every question takes a trip, and is counted."""

    remote = True
    questions = 0

    def spent(self, loop: str, window: str) -> tuple[float, int]:
        """Counted."""
        self.questions += 1
        return super().spent(loop, window)


def test_calls_that_end_while_the_store_is_asked_make_nobody_ask_again(tmp_path: Path) -> None:
    """With many in flight one ends during every trip: whoever asked again each time would never get a turn."""
    store = FarStore(tmp_path / "far.sqlite")

    async def scene() -> int:
        async with Answers(store) as answers:
            config = LLMConfig.model_validate({"budget_tokens": 1000})
            spending = SpendLedger(config, answers=answers, scope=WINDOW)
            spending.settle(await spending.reserve(JUDGE, estimated_prompt=5), answer(5, 5))
            held = [await spending.reserve(JUDGE, estimated_prompt=5) for _ in range(5)]
            before = store.questions
            asking = asyncio.create_task(spending.reserve(JUDGE, estimated_prompt=5))
            await asyncio.sleep(0)
            for reservation in held:
                spending.settle(reservation, answer(5, 5))
            await asking
            return store.questions - before

    assert asyncio.run(scene()) == 1
    store.close()


def test_near_the_cap_a_call_that_ends_while_the_store_is_asked_makes_room(tmp_path: Path) -> None:
    store = FarStore(tmp_path / "far.sqlite")

    async def scene() -> None:
        async with Answers(store) as answers:
            spending = SpendLedger(LLMConfig.model_validate({"budget_tokens": 15}), answers=answers, scope=WINDOW)
            first = await spending.reserve(JUDGE, estimated_prompt=10)
            asking = asyncio.create_task(spending.reserve(JUDGE, estimated_prompt=10))
            await asyncio.sleep(0)
            spending.settle(first, None)
            await asyncio.wait_for(asking, 30)

    asyncio.run(scene())
    store.close()


def test_a_failed_call_gives_back_what_it_held(store: SqliteStore) -> None:
    spending = ledger(store, budget_tokens=100)

    async def twice() -> None:
        for _ in range(2):
            spending.settle(await spending.reserve(JUDGE, estimated_prompt=80), None)

    asyncio.run(twice())
    assert spending.spend["judge m"].paid_calls == 0


sizes = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=30)


@given(sizes=sizes, cap=st.integers(1, 400))
def test_calls_in_flight_never_pass_the_cap_by_more_than_they_surprise(sizes: list[tuple[int, int]], cap: int) -> None:
    """Each call may be dearer than the dearest before it; only that difference can pass the cap."""
    folder = TemporaryDirectory()
    store = SqliteStore(Path(folder.name) / "c.sqlite")
    spending = ledger(store, budget_tokens=cap)

    async def one(number: int, size: tuple[int, int]) -> bool:
        try:
            await pay(spending, store, str(number), answer(*size))
        except SpendCapReached:
            return False
        return True

    async def all_at_once() -> list[bool]:
        return await asyncio.wait_for(asyncio.gather(*(one(n, size) for n, size in enumerate(sizes))), 30)

    paid = asyncio.run(all_at_once())
    spent = store.spent("desk", "2026-11-02")[1]
    store.close()
    folder.cleanup()
    assert spent == sum(sum(size) for size, done in zip(sizes, paid, strict=True) if done)
    if len(set(sizes)) == 1:
        first = sum(sizes[0])
        assert spent <= max(cap, first)
        assert all(paid) or spent + first > cap or sizes[0][0] > cap
    else:
        assert spent <= cap + sum(completion for _, completion in sizes)
