"""A strategy that compares in a way of its own gets numbers of the selection split, by place, and nothing else."""

from pathlib import Path

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search import Desk, MeteredChat, SearchRules, SearchWork
from sia_dagster_tests.worlds.search_world import (
    BETTER,
    WINDOW,
    Shop,
    answer_by_prompt,
    asked,
    evaluators,
    in_shop,
    sample,
    state,
    state_of,
)
from simulation.servers import Body, Reply, ScriptedServer, refusal

CONFIG = PolicyConfig(model="optimizer")


def desk_in(before: StateActions, chat: ChatModel) -> tuple[Desk, MeteredChat]:
    metered = MeteredChat(chat, CONFIG)
    work = SearchWork(before, metered, evaluators(metered), SearchRules(workers=1), CONFIG)
    return Desk(work, work.baseline, "mine"), metered


def requests(server: ScriptedServer) -> list[str]:
    return [str(body["messages"][-1]["content"]) for body in asked(server, "app")]


def scores(before: StateActions, folder: Path, shop: Shop, *places: int) -> tuple[tuple[float, ...], list[str]]:
    """The scores under BETTER, and the requests that were answered for them."""

    async def work(chat: ChatModel) -> tuple[float, ...]:
        desk, metered = desk_in(before, chat)
        found = await desk.selection_scores(BETTER, places)
        assert set(metered.usage.calls) == {"race"}
        assert await desk.selection_scores(BETTER, places) == found
        return found

    with ScriptedServer(shop) as server:
        return in_shop(server, folder, work), requests(server)


def parcel_four_fails(system: str, user: str) -> Body | Reply:
    return refusal(400, "no") if "parcel 4?" in user else answer_by_prompt(system, user)


def test_each_place_has_the_score_of_its_group_and_is_paid_for_once(tmp_path: Path) -> None:
    found, answered = scores(state(selection=8), tmp_path, Shop(answer=parcel_four_fails), *range(8))
    assert len(answered) == 8
    assert found == tuple(0.0 if "parcel 4?" in request else 1.0 for request in answered)


def test_conversations_of_one_group_count_as_one(tmp_path: Path) -> None:
    pair = [sample(n, "selection").model_copy(update={"conversation_id": "selection/one"}) for n in (4, 5)]
    before = state_of(sample(0, "train"), *pair)
    assert scores(before, tmp_path, Shop(answer=parcel_four_fails), 0)[0] == (0.5,)


def test_the_order_is_the_windows_own(tmp_path: Path) -> None:
    other = state(selection=8).model_copy(
        update={"window": TimeWindow(key="2026-10-05", start=WINDOW.end, end=WINDOW.end + (WINDOW.end - WINDOW.start))}
    )
    first, again = (scores(state(selection=8), tmp_path, Shop(), *range(8))[1] for _ in range(2))
    later = scores(other, tmp_path, Shop(), *range(8))[1]
    assert first == again
    assert first != later
    assert sorted(first) == sorted(later)


def test_a_split_too_small_to_choose_by_has_no_places(tmp_path: Path) -> None:
    async def sizes(chat: ChatModel) -> list[int]:
        return [desk_in(state(selection=size), chat)[0].selection_size for size in (0, 7, 8, 12)]

    with ScriptedServer(Shop()) as server:
        assert in_shop(server, tmp_path, sizes) == [0, 0, 8, 12]
