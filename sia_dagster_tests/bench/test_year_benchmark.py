"""The years of the benchmark: the world is what its knobs say, and the real job runs over it."""

import json
from typing import Any

import pytest

from bench.year import any_order, fails_next_week, promotions, told
from bench.year_loop import loop_of
from bench.year_world import HELPS, World, weeks
from sia_dagster.core.prompting.quoting import quote
from sia_dagster.core.records.value import JsonObject
from sia_dagster.demo.simulation_rules import APPLICATION, JUDGE, OPTIMIZER, SIGNATURE

ASKED = 400


def asking(prompt: str, number: int) -> JsonObject:
    request = f"Hi, my order {10_000 + number}: the teapot is late."
    messages = [{"role": "system", "content": prompt}, {"role": "user", "content": request}]
    return {"model": APPLICATION, "messages": messages}


def said(world: World, body: JsonObject) -> str:
    return str(world.answer(body)["choices"][0]["message"]["content"])


def good_share(world: World, prompt: str) -> float:
    return sum("working days" in said(world, asking(prompt, number)) for number in range(ASKED)) / ASKED


def judging(output: str, number: int) -> JsonObject:
    quotes = f"{quote(f'order {10_000 + number}', 'input')}\n{quote(output, 'output')}"
    form = {"type": "json_object"}
    return {"model": JUDGE, "messages": [{"role": "user", "content": quotes}], "response_format": form}


def test_the_sentence_gains_what_the_knob_says_and_others_nothing() -> None:
    world = World(helps=lambda week: 0.3 if week else -0.3)
    assert good_share(world, "Be kind.") == pytest.approx(0.6, abs=0.08)
    assert good_share(world, HELPS) == pytest.approx(0.3, abs=0.08)
    world.week = 1
    assert good_share(world, HELPS) == pytest.approx(0.9, abs=0.08)
    assert world.total(1) == ASKED


def test_answers_vary_with_the_prompt_and_from_time_to_time() -> None:
    world = World()
    first, again = ([said(world, asking("Be kind.", n)) for n in range(60)] for _ in range(2))
    assert first != again
    steady = World(varies=False)
    first, again = ([said(steady, asking("Be kind.", n)) for n in range(60)] for _ in range(2))
    assert first == again
    assert first != [said(steady, asking("Be warm.", n)) for n in range(60)]


@pytest.mark.parametrize(("week", "least", "most"), [(4, 0.0, 0.12), (5, 0.35, 0.65)])
def test_the_judge_is_lenient_from_its_week_on(week: int, least: float, most: float) -> None:
    world = World(lenient_from=5, week=week)
    labels = [json.loads(said(world, judging("Soon.", number)))["label"] for number in range(200)]
    assert least <= labels.count("correct") / 200 <= most


def test_a_judge_flips_good_answers_too() -> None:
    good = f"Order 10000 comes within 2 working days.\n{SIGNATURE}"
    labels = [json.loads(said(World(judge_flips=1.0), judging(good, 0)))["label"] for _ in range(3)]
    assert set(labels) == {"incorrect"}


@pytest.mark.parametrize("tools", [(), ({"function": {"name": "propose"}},)])
def test_the_optimizer_proposes_what_helps_in_its_weeks_only(tools: tuple[JsonObject, ...]) -> None:
    body: dict[str, Any] = {"model": OPTIMIZER, "messages": [{"role": "user", "content": "Improve."}], "tools": tools}
    world = World(proposed=lambda week: week == 2)
    message = world.answer(body)["choices"][0]["message"]
    text = message["tool_calls"][0]["function"]["arguments"] if tools else message["content"]
    (edit,) = json.loads(text)["edits"]
    assert (edit["operation"], HELPS in edit["text"]) == ("add", False)
    world.week = 2
    assert HELPS in json.dumps(world.answer(body))


def test_weeks_follow_each_other() -> None:
    first, second = weeks(2)
    assert first.end == second.start
    assert first.start.weekday() == 0


def test_nothing_is_promoted_where_nothing_is_better() -> None:
    with loop_of(World(), 2) as loop:
        found = told(loop.year(conversations=60))
    assert promotions(found) == []
    assert all(week.asked >= sum(week.calls.values()) > 0 for week in found), "the rest judged the window's own answers"


def test_what_fails_a_week_later_is_to_be_rolled_back() -> None:
    found = fails_next_week(at=0)
    assert (found["promotions"], found["falls_short"], found["rollback_to"]) == ([0], True, 0)
    assert found["claim_holds"] is False


def test_windows_in_any_order_and_twice_store_the_same_bytes() -> None:
    found = any_order(2, conversations=6)
    assert (found["reverse"], found["twice"]) == ([], [])
    assert "validation_results" in found["stages"]
