"""The search of a window: who is asked, what is compared, and which candidate goes on, with the reason."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.errors import EndpointRefused
from sia_dagster.core.guard import GuardLimits
from sia_dagster.core.records.search import Candidate, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search import Desk, SearchRules
from sia_dagster.core.statistics import ComparisonRule
from sia_dagster_tests.worlds.search_world import (
    ASK_FOR_ORDER,
    BASELINE,
    BETTER,
    PROMPT,
    Shop,
    asked,
    logged,
    prompt_of,
    said,
    sample,
    search,
    state,
    state_of,
)
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

WEEK = logged(state(train=6, selection=12))
SMALL = logged(state(train=6, selection=7))


class Gives:
    """A strategy of fixed candidates."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    async def search(self, desk: Desk) -> Sequence[Candidate]:
        return [candidate(f"c{number}", line) for number, line in enumerate(self._lines)]


def candidate(name: str, line: str) -> Candidate:
    actions = BASELINE.model_copy(update={"system_prompt": f"{PROMPT}\n{line}" if line else PROMPT})
    return Candidate(name=name, actions=actions, status="not_chosen")


def found(
    folder: Path, before: StateActions, shop: Shop | None = None, **given: Any
) -> tuple[PolicyUpdate, ScriptedServer]:
    with ScriptedServer(shop or Shop()) as server:
        return search(server, folder, before, **given), server


def chosen_of(folder: Path, *lines: str, shop: Shop | None = None, before: StateActions = WEEK) -> PolicyUpdate:
    rules = SearchRules(workers=4, limits=GuardLimits(max_prompt_tokens=60))
    return found(folder, before, shop, strategies={"fixed": Gives(*lines)}, rules=rules)[0]


class TestDefault:
    """The default strategy in a window with one thing to mend."""

    def test_a_better_candidate_goes_on_with_the_evidence(self, tmp_path: Path) -> None:
        update, server = found(tmp_path, WEEK)
        assert (update.changed, update.baseline, update.candidate) == (True, BASELINE, BETTER)
        assert update.thoughts == "The order number is missing."
        assert update.reason == (
            "edits-1 goes on to validation: correctness rises from 0.00 to 1.00 (+1.00, 8 conversations) on the "
            "selection split"
        )
        (chosen,) = update.candidates
        assert (chosen.status, chosen.reasons, chosen.strategy) == ("chosen", (update.reason,), "edits")
        assert [(c.evaluator, c.role, c.n) for c in chosen.selection] == [
            ("correctness", "primary", 8),
            ("is_brief", "guardrail", 8),
        ]
        assert chosen.race is not None
        assert (chosen.race.decision, chosen.race.groups) == ("better", 8)
        (edit,) = update.edits
        assert (edit.text, edit.samples, edit.probed, edit.mended) == (ASK_FOR_ORDER, ("train-00",), 6, 6)
        assert edit.cause.startswith("The answer does not name the order number")
        (run,) = update.strategies
        # One proposal; six train samples and eight groups of the selection split, each replayed and judged.
        assert run.calls == {"probe": 12, "propose": 1, "race": 16}
        assert run.total == len(server.requests)
        assert run.ended == "no cause is worth a further call"

    def test_train_alone_is_learned_from_and_the_holdout_is_never_replayed(self, tmp_path: Path) -> None:
        _, server = found(tmp_path, WEEK)
        (question,) = asked(server, "optimizer")
        assert "train parcel 0" in str(question)
        assert "selection" not in str(question)
        assert "holdout" not in str(server.requests)
        assert {prompt_of(body) for body in asked(server, "app")} == {BETTER.system_prompt}

    def test_scores_that_were_not_logged_under_the_policy_in_force_are_paid_for(self, tmp_path: Path) -> None:
        """The samples were answered with other parameters, so the policy in force is replayed beside the new one."""
        update, server = found(tmp_path, state(train=6, selection=12))
        assert update.strategies[0].calls == {"probe": 12, "propose": 1, "race": 32}
        assert {prompt_of(body) for body in asked(server, "app")} == {PROMPT, BETTER.system_prompt}

    def test_the_same_window_gives_the_same_bytes(self, tmp_path: Path) -> None:
        first, second = (found(tmp_path, WEEK)[0].model_dump_json() for _ in range(2))
        assert first == second
        assert len(list(tmp_path.glob("*.sqlite"))) == 2

    def test_a_window_too_small_to_choose_in_lets_the_first_go_on_and_says_so(self, tmp_path: Path) -> None:
        update, server = found(tmp_path, SMALL)
        assert update.candidate == BETTER
        assert update.reason == (
            "edits-1 goes on to validation without a comparison: the selection split has 7 conversations, and fewer "
            "than 8 would choose by chance"
        )
        assert "selection" not in str(asked(server, "app"))
        assert update.strategies[0].gain is None

    def test_a_refused_key_stops_the_window(self, tmp_path: Path) -> None:
        with pytest.raises(EndpointRefused):
            found(tmp_path, WEEK, Shop(refusal(401, "bad key")))


NOTHING = [
    (state(0, 0, 0), "no samples to learn from"),
    (state(train=0), "none of the window's 18 samples is in the train split"),
    (state().model_copy(update={"actions": None}), "no policy in force"),
    (state().model_copy(update={"eval_constants": ()}), "no evaluator is the primary one"),
    (state_of(sample(0, "holdout")).model_copy(update={"set_aside": 9}), "train split: 9 more were left out"),
    (state().model_copy(update={"policy_share": 0.025}), "produced 2.5% of the samples"),
    (state().model_copy(update={"refusal": "the prompts cannot be told apart"}), "the prompts cannot be told apart"),
    (
        state().model_copy(update={"actions": BASELINE.model_copy(update={"model": ""})}),
        "the traces record no model (`llm.model_name`)",
    ),
    (
        state_of(*(sample(number, "train", said("correct")) for number in range(3))),
        "correctness: all 3 scored samples of the train split have the best score, so there is nothing to improve",
    ),
    (
        state_of(sample(0, "train", said("correct").model_copy(update={"score": None, "error": "hung"}))),
        "correctness scored none of the 1 sample of the train split",
    ),
]


class TestNothingToDo:
    """Where a search cannot find anything, no call is made."""

    @pytest.mark.parametrize(("before", "why"), NOTHING)
    def test_the_policy_stays_with_the_reason(self, tmp_path: Path, before: StateActions, why: str) -> None:
        update, server = found(tmp_path, before)
        assert not update.changed
        assert update.candidate == update.baseline == before.actions
        assert update.reason.startswith("the policy stays: ")
        assert why in update.reason
        assert not server.requests

    @pytest.mark.parametrize("known", [{"policy_share": 0.5}, {"policy_share": 0.0, "policy_version": 3}])
    def test_a_policy_of_most_calls_or_of_the_registry_is_improved(self, tmp_path: Path, known: dict[str, Any]) -> None:
        update, _ = found(tmp_path, SMALL.model_copy(update=known))
        assert update.changed

    def test_perfect_samples_are_searched_by_a_strategy_that_needs_no_failures(self, tmp_path: Path) -> None:
        perfect = [sample(number, split, said("correct")) for split in ("train", "selection") for number in range(9)]
        update, server = found(tmp_path, logged(state_of(*perfect)), strategies={"fixed": Gives("Be calm.")})
        assert [run.strategy for run in update.strategies] == ["fixed"]
        assert "correctness falls from 1.00 to 0.00" in update.reason
        assert server.requests


class TestChoice:
    """Of candidates that a strategy gives, the first that is better goes on, if nothing speaks against it."""

    def test_the_first_that_is_better_goes_on(self, tmp_path: Path) -> None:
        update = chosen_of(tmp_path, "Be glad.", ASK_FOR_ORDER, f"{ASK_FOR_ORDER} Please.")
        assert [c.status for c in update.candidates] == ["not_chosen", "chosen", "not_chosen"]
        assert "which is no gain" in update.candidates[0].reasons[0]
        assert update.candidates[2].reasons == ("c1 was found better first",)
        assert [len(c.selection) for c in update.candidates] == [2, 2, 0]

    def test_a_gain_that_costs_a_guardrail_does_not_go_on(self, tmp_path: Path) -> None:
        update = chosen_of(tmp_path, f"{ASK_FOR_ORDER} Be chatty.")
        assert not update.changed
        assert "is_brief falls by 100.0% of its range, beyond its margin of 5.0%" in update.reason
        assert update.candidates[0].selection

    def test_a_safety_evaluator_that_falls_in_one_sample_is_a_veto(self, tmp_path: Path) -> None:
        def answer(system: str, user: str) -> Body | Reply:
            chatter = " And so on" * 10 if "parcel 3" in user and ASK_FOR_ORDER in system else ""
            return completion(f"Your order number is 7.{chatter}" if ASK_FOR_ORDER in system else "Hello.")

        rule = ComparisonRule(safety=("is_brief",), margins={"is_brief": 0.9})
        rules = SearchRules(workers=4, rule=rule)
        many = logged(state(train=3, selection=8))
        update, _ = found(tmp_path, many, Shop(answer=answer), strategies={"fixed": Gives(ASK_FOR_ORDER)}, rules=rules)
        assert "is_brief falls in a sample, and it vetoes" in update.reason

    def test_the_reason_names_the_fall_of_a_candidate_that_is_worse(self, tmp_path: Path) -> None:
        right = [sample(number, "selection", said("correct")) for number in range(9)]
        before = logged(state_of(sample(0, "train"), *right))
        update = chosen_of(tmp_path, "Be glad.", before=before)
        assert "correctness falls from 1.00 to 0.00 (-1.00, 8 conversations), which is no gain" in update.reason

    def test_the_policy_stays_where_no_candidate_gains(self, tmp_path: Path) -> None:
        update = chosen_of(tmp_path, "Be glad.", "Be calm and chatty.")
        assert update.reason.startswith("the policy stays: no candidate is good enough for validation (c0, not chosen")
        assert [len(c.reasons) for c in update.candidates] == [1, 1]

    def test_a_stopped_candidate_does_not_hold_up_the_others_and_costs_nothing(self, tmp_path: Path) -> None:
        update = chosen_of(tmp_path, "Write well and with care. " * 40, ASK_FOR_ORDER)
        assert [c.status for c in update.candidates] == ["stopped_by_guard", "chosen"]
        assert update.strategies[0].total == 16

    def test_candidates_that_change_nothing_or_repeat_another_are_not_replayed(self, tmp_path: Path) -> None:
        update = chosen_of(tmp_path, "", ASK_FOR_ORDER, ASK_FOR_ORDER)
        assert [c.status for c in update.candidates] == ["not_chosen", "chosen", "not_chosen"]
        assert update.candidates[0].reasons == ("it leaves the policy as it is",)
        assert update.candidates[2].reasons == ("it is the same policy as c1",)
        assert update.strategies[0].total == 16

    def test_a_strategy_without_an_idea_leaves_the_policy(self, tmp_path: Path) -> None:
        assert chosen_of(tmp_path).reason == "the policy stays: no candidate was proposed"

    @pytest.mark.parametrize("of", ["app", "judge"])
    def test_nothing_is_chosen_where_no_answer_could_be_had_or_scored(self, tmp_path: Path, of: str) -> None:
        def broken(body: Body, number: int) -> Body | Reply:
            return refusal(500, "out of order") if body["model"] == of else Shop()(body, number)

        with ScriptedServer(broken) as server:
            update = search(server, tmp_path, WEEK, strategies={"fixed": Gives(ASK_FOR_ORDER)})
        assert not update.changed
        assert re.search(r" (\d+) of \1 answers could not be scored by correctness \(allowed: 20%\)", update.reason)

    def test_a_second_strategy_begins_with_what_the_first_one_found(self, tmp_path: Path) -> None:
        class Extends:
            async def search(self, desk: Desk) -> Sequence[Candidate]:
                assert desk.start == BETTER
                return [candidate("same", ASK_FOR_ORDER), candidate("longer", f"{ASK_FOR_ORDER}\nBe glad.")]

        update, _ = found(tmp_path, WEEK, strategies={"fixed": Gives(ASK_FOR_ORDER), "more": Extends()})
        assert update.candidate == BETTER
        assert [(run.strategy, run.ended) for run in update.strategies] == [("fixed", ""), ("more", "")]
        same, longer = (c.reasons[0] for c in update.candidates[1:])
        assert same == "it leaves the policy as it is"
        assert longer.startswith("the gain over the policy that an earlier strategy has found is +0.000 of the range")


def test_the_rules_are_those_of_the_configuration() -> None:
    loop = LoopConfig.model_validate(
        {
            "name": "desk",
            "traces": {"source": "local", "path": "traces"},
            "start": "2026-09-28",
            "evaluators": [{"name": "is_brief", "kind": "code", "function": "shop.checks:is_brief"}],
            "policy": {"model": "optimizer", "max_prompt_tokens": 700, "protected": ["Be polite."]},
            "validation": {"primary": "is_brief", "alpha": 0.01, "min_effect": 0.1, "guardrail_margin": 0.2},
        }
    )
    rules = SearchRules.of(loop, workers=7, in_batches=True)
    assert rules.limits == GuardLimits(max_prompt_tokens=700, protected=("Be polite.",))
    assert (rules.workers, rules.in_batches) == (7, True)
    priced = GuardLimits(max_prompt_tokens=700, max_extra_usd_a_week=2.0, calls_a_week=1e4, usd_per_prompt_token=1e-6)
    assert SearchRules.of(loop, workers=7, limits=priced).limits == priced
    assert (rules.rule.alpha, rules.rule.min_effect, rules.rule.guardrail_margin) == (0.01, 0.1, 0.2)
    assert rules.rule.max_unscored_share == 0.2
