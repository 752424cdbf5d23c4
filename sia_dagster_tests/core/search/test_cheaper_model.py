"""The strategy `model`: the cheapest model that seems as good goes on; one that gains goes before it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.core.config.llm import Price
from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.gate.validate import validate
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.gate import HeldOut
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import Candidate, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search import Desk, SearchStrategy
from sia_dagster.core.search.cheaper_model import CheaperModel
from sia_dagster.core.statistics import ComparisonRule
from sia_dagster_tests.worlds.search_world import (
    ASK_FOR_ORDER,
    BASELINE,
    BETTER,
    evaluators,
    in_shop,
    judgement,
    logged,
    prompt_of,
    said,
    sample,
    search,
    state,
)
from simulation.servers import Body, ScriptedServer, completion

PRICES = {name: Price(input=usd, output=usd) for name, usd in (("app", 10), ("large", 30), ("small", 3), ("tiny", 1))}
Good = Callable[[str], bool]


def always(_: str) -> bool:
    return True


def of_even_parcels(user: str) -> bool:
    return user.rstrip("?")[-1] in "02468"


class Models:
    """A script of models that name the order number where `good` says so; `app` always does."""

    def __init__(self, **good: Good) -> None:
        self._good = {"app": always} | good

    def __call__(self, body: Body, _: int) -> Body:
        user = str(body["messages"][-1]["content"])
        if body["model"] == "judge":
            return judgement(user)
        return completion(f"To {user}{' Your order number is 7.' if self._good[body['model']](user) else ''}")


def good_state(score: str = "correct", selection: int = 24) -> StateActions:
    """A window that the policy in force answered, with the same score everywhere."""
    before = logged(state(train=3, selection=selection))
    judged = (said(score),)
    return before.model_copy(update={"samples": tuple(s.model_copy(update={"evals": judged}) for s in before.samples)})


def config(*models: str | dict[str, Any], **given: Any) -> PolicyConfig:
    choices = [{"model": each} if isinstance(each, str) else each for each in models]
    return PolicyConfig.model_validate({"model": "optimizer", "updater": "model", "models": choices} | given)


def searched(
    folder: Path, given: PolicyConfig, before: StateActions | None = None, *, prices: Any = PRICES, **good: Good
) -> tuple[PolicyUpdate, ScriptedServer]:
    with ScriptedServer(Models(**good)) as server:
        update = search(
            server, folder, before or good_state(), config=given, strategies={"model": CheaperModel()}, prices=prices
        )
    return update, server


def asked(server: ScriptedServer, model: str) -> int:
    return sum(body["model"] == model for body in server.requests)


def test_the_cheapest_that_seems_as_good_goes_on_with_its_own_question(tmp_path: Path) -> None:
    update, server = searched(tmp_path, config("large", "small", "tiny"), large=always, small=always, tiny=always)
    assert (update.changed, update.question, update.concerns, update.edits) == (True, "not_worse", (), ())
    assert update.candidate == BASELINE.model_copy(update={"model": "tiny"})
    assert update.reason == (
        "tiny goes on to validation: it saves 90% of a call's cost, and correctness stays at 1.00 "
        "(+0.00, 24 conversations) on the selection split"
    )
    (chosen,) = [each for each in update.candidates if each.status == "chosen"]
    assert chosen.race is not None
    assert (chosen.race.decision, chosen.race.groups) == ("as_good", 24)
    assert asked(server, "app") == 8, "the logged answers have no count of tokens, so a few are asked again"
    assert asked(server, "small") == 8, "the cheapest is compared first"
    dearer = next(each for each in update.candidates if each.name == "large")
    assert "which is no gain" in dearer.reasons[0]


def test_one_that_falls_beyond_its_margin_is_left_and_the_next_goes_on(tmp_path: Path) -> None:
    update, server = searched(tmp_path, config("small", "tiny"), small=always, tiny=of_even_parcels)
    assert update.candidate is not None
    assert (update.candidate.model, update.question) == ("small", "not_worse")
    left = next(each for each in update.candidates if each.name == "tiny")
    assert "correctness falls by" in left.reasons[0]
    assert "beyond its margin of 5.0%" in left.reasons[0]
    assert asked(server, "tiny") < 24, "what surely falls is not asked any further"


def test_a_model_that_gains_goes_on_as_a_better_policy(tmp_path: Path) -> None:
    update, _ = searched(tmp_path, config("tiny", "large"), good_state("incorrect"), large=always, tiny=lambda _: False)
    assert update.candidate is not None
    assert (update.candidate.model, update.question) == ("large", "better")
    assert next(each for each in update.candidates if each.name == "tiny").question == "not_worse"


def test_without_prices_tokens_decide_and_equal_ones_save_nothing(tmp_path: Path) -> None:
    update, _ = searched(tmp_path, config("tiny"), prices={}, tiny=always)
    assert not update.changed
    assert "tiny, not chosen: correctness stays at 1.00" in update.reason


def test_settings_change_as_well_and_null_takes_one_away(tmp_path: Path) -> None:
    choice = {"model": "tiny", "parameters": {"temperature": None, "max_tokens": 50}}
    update, server = searched(tmp_path, config(choice), tiny=always)
    assert update.candidate is not None
    assert update.candidate.parameters == {"max_tokens": 50}
    assert update.reason.startswith("tiny (temperature None, max_tokens 50) goes on")
    body = next(body for body in server.requests if body["model"] == "tiny")
    assert ("temperature" in body, body["max_tokens"]) == (False, 50)
    assert prompt_of(body) == BASELINE.system_prompt


def test_a_setting_that_the_application_relies_on_costs_no_call(tmp_path: Path) -> None:
    update, server = searched(tmp_path, config({"model": "tiny", "parameters": {"stop": ["."]}}, "app"))
    assert not update.changed
    assert [each.status for each in update.candidates] == ["stopped_by_guard", "not_chosen"]
    assert "changes the parameter stop" in update.candidates[0].reasons[0]
    assert update.candidates[1].reasons == ("it leaves the policy as it is",)
    assert not server.requests


@pytest.mark.parametrize(
    ("given", "before", "reason"),
    [
        (config(), good_state(), "policy.models names no model to try"),
        (config("tiny"), good_state(selection=6), "the selection split has 6 conversations, too few to see whether"),
        (config("tiny", search_calls=10), good_state(), "the search's cap is reached"),
    ],
)
def test_where_nothing_can_be_seen_the_policy_stays_and_the_reason_says_why(
    tmp_path: Path, given: PolicyConfig, before: StateActions, reason: str
) -> None:
    update, _ = searched(tmp_path, given, before, tiny=always)
    assert not update.changed
    assert reason in update.reason


def test_the_cap_ends_a_comparison_with_what_was_asked_by_then(tmp_path: Path) -> None:
    update, _ = searched(tmp_path, config("tiny", search_calls=60), tiny=always)
    assert update.question == "not_worse"
    chosen = next(each for each in update.candidates if each.status == "chosen")
    assert chosen.race is not None
    assert 8 <= chosen.race.groups < 24


class Finds:
    """A strategy that finds the better prompt."""

    async def search(self, desk: Desk) -> list[Candidate]:
        return [Candidate(name="mine", actions=BETTER, status="not_chosen")]


@pytest.mark.parametrize("order", [("finds", "model"), ("model", "finds")])
def test_a_better_policy_comes_before_a_cheaper_one(tmp_path: Path, order: tuple[str, str]) -> None:
    strategies: dict[str, SearchStrategy] = {"finds": Finds(), "model": CheaperModel()}
    before = good_state("incorrect")
    with ScriptedServer(Obeys()) as server:
        given = {name: strategies[name] for name in order}
        update = search(server, tmp_path, before, config=config("tiny"), strategies=given, prices=PRICES)
    assert (update.candidate, update.question) == (BETTER, "better")
    ended = next(run.ended for run in update.strategies if run.strategy == "model")
    assert ("one change is tested at a time" in ended) == (order[0] == "finds")


class Obeys(Models):
    """Models that name the order number where their prompt asks for it."""

    def __call__(self, body: Body, _: int) -> Body:
        user = str(body["messages"][-1]["content"])
        if body["model"] == "judge":
            return judgement(user)
        return completion(f"To {user}{' Your order number is 7.' if ASK_FOR_ORDER in prompt_of(body) else ''}")


def test_what_goes_on_is_accepted_as_good_for_a_tenth_of_the_money(tmp_path: Path) -> None:
    before = good_state()
    held = tuple(sample(number, "holdout") for number in range(70))
    window = before.model_copy(update={"samples": (*before.samples, *held)})
    rules = ValidationRules(rule=ComparisonRule(), looks=1, repeats=1, noise_conversations=0)
    with ScriptedServer(Models(tiny=always)) as server:
        update = search(
            server, tmp_path, window, config=config("tiny"), strategies={"model": CheaperModel()}, prices=PRICES
        )
        trial = Trial(state=window, update=update, held_out=HeldOut(samples=held))

        async def work(chat: ChatModel) -> ValidationReport:
            return await validate(trial, chat=chat, evaluators=evaluators(chat), rules=rules)

        report = in_shop(server, tmp_path, work, prices=PRICES)
    assert (report.verdict, report.question) == ("accept", "not_worse")
    assert report.reasons[0].startswith("as good for 10% of the money (")
    assert report.saving is not None
    assert report.saving.unit == "usd"
    assert report.saving.share == pytest.approx(0.9)
