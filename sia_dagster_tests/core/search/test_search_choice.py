"""Of several candidates the largest gain on the selection split goes on, if there is no objection to it."""

from collections.abc import Sequence
from pathlib import Path

from sia_dagster.core.guard import GuardLimits
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.search import Candidate, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search.search_policy import SearchRules, search_policy
from sia_dagster_tests.worlds.search_world import ASK_FOR_ORDER, BASELINE, PROMPT, Shop, evaluators, in_shop, state
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal


class Proposes:
    """An updater of fixed candidates."""

    def __init__(self, *candidates: Candidate) -> None:
        self._candidates = candidates

    async def propose(self, state: StateActions) -> Sequence[Candidate]:
        assert state.loop == "desk"
        return self._candidates


def candidate(name: str, line: str) -> Candidate:
    actions = BASELINE.model_copy(update={"system_prompt": f"{PROMPT}\n{line}" if line else PROMPT})
    return Candidate(name=name, actions=actions, status="not_chosen")


def compete(folder: Path, before: StateActions, *candidates: Candidate, shop: Shop | None = None) -> PolicyUpdate:
    async def work(chat: ChatModel) -> PolicyUpdate:
        return await search_policy(
            before,
            updater=Proposes(*candidates),
            chat=chat,
            evaluators=evaluators(chat),
            rules=SearchRules(workers=4, limits=GuardLimits(max_prompt_tokens=60)),
        )

    with ScriptedServer(shop or Shop()) as server:
        return in_shop(server, folder, work)


def test_of_equal_gains_the_first_proposed_goes_on(tmp_path: Path) -> None:
    update = compete(tmp_path, state(), candidate("one", ASK_FOR_ORDER), candidate("two", f"{ASK_FOR_ORDER} Please."))
    assert [c.status for c in update.candidates] == ["chosen", "not_chosen"]
    assert update.candidates[1].reasons == ("one gains as much or more",)


def test_a_gain_that_costs_a_guardrail_does_not_go_on(tmp_path: Path) -> None:
    update = compete(tmp_path, state(), candidate("one", f"{ASK_FOR_ORDER} Be chatty."))
    assert not update.changed
    assert update.candidate == BASELINE
    assert "is_brief falls from 1.00 to 0.00 (-1.00, 6 conversations), beyond its margin of 0.05" in update.reason
    assert update.candidates[0].status == "not_chosen"
    assert update.candidates[0].selection


def test_the_policy_stays_where_no_candidate_gains(tmp_path: Path) -> None:
    update = compete(tmp_path, state(), candidate("one", "Be glad."), candidate("two", "Be calm and chatty."))
    assert not update.changed
    assert update.reason.startswith("the policy stays: no candidate is good enough for validation (one: correctness")
    assert [len(c.reasons) for c in update.candidates] == [1, 1]


def test_the_reason_names_the_fall_of_a_candidate_that_is_worse(tmp_path: Path) -> None:
    def answer(system: str, _: str) -> Body:
        return completion("Your order number is 7." if system == PROMPT else "Hello.")

    update = compete(tmp_path, state(), candidate("one", "Be glad."), shop=Shop(answer=answer))
    assert "correctness falls from 1.00 to 0.00 (-1.00, 6 conversations), which is no gain" in update.reason


def test_a_stopped_candidate_does_not_hold_up_the_others(tmp_path: Path) -> None:
    long = "Write well and with care. " * 40
    update = compete(tmp_path, state(), candidate("one", long), candidate("two", ASK_FOR_ORDER))
    assert [c.status for c in update.candidates] == ["stopped_by_guard", "chosen"]


def test_candidates_that_change_nothing_or_repeat_another_are_not_replayed(tmp_path: Path) -> None:
    twins = [candidate(name, ASK_FOR_ORDER) for name in ("one", "two")]
    update = compete(tmp_path, state(), candidate("none", ""), *twins)
    assert [c.status for c in update.candidates] == ["not_chosen", "chosen", "not_chosen"]
    assert update.candidates[0].reasons == ("it leaves the policy as it is",)
    assert update.candidates[2].reasons == ("it is the same policy as one",)
    assert [len(c.selection) for c in update.candidates] == [0, 2, 0]


def test_an_updater_without_an_idea_leaves_the_policy(tmp_path: Path) -> None:
    assert compete(tmp_path, state()).reason == "the policy stays: the updater proposed no candidate"


def test_nothing_is_chosen_where_no_selection_sample_could_be_scored(tmp_path: Path) -> None:
    def answer(_: str, __: str) -> Reply:
        return refusal(500, "out of order")

    update = compete(tmp_path, state(), candidate("one", ASK_FOR_ORDER), shop=Shop(answer=answer))
    assert not update.changed
    assert "no sample of the selection split was scored under both policies" in update.reason
