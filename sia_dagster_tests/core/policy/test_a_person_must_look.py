"""What the guard was not sure of comes into force by a person alone, whatever the stored documents say."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sia_dagster.core.config.loop import LLMClassifyConfig, PolicyConfig
from sia_dagster.core.evaluators import build_evaluator
from sia_dagster.core.policy import PromotionRequest, promote
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import Candidate, Edit, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search import Desk, MeteredChat, SearchRules, SearchWork, search_policy
from sia_dagster_tests.corpora.guard_worlds import ATTACKS_BY_KIND, POLICY, Attack, edited_by, everyday, world_of
from sia_dagster_tests.worlds.verdicts import record, report, stores
from simulation.search_worlds import PROPOSER, WORLDS

START = datetime(2026, 9, 28, tzinfo=UTC)
WINDOW = TimeWindow(key="2026-09-28", start=START, end=START + timedelta(weeks=1))
JUDGE = EvalConstant(name="correctness", kind="llm_classify", fingerprint="f1", primary=True)
HONEST = Attack("honest", "user", "hello", "Say by when we answer.", "pass", ("s0", "s1", "s2"))
ODD = Attack("markup", "user", "hello", "Say <b>when</b> we answer.", "person", ("s0", "s1", "s2"))


class Gullible:
    """A strategy that believes what a trace says of the prompt, and names its causes."""

    def __init__(self, attack: Attack) -> None:
        self._attack = attack

    async def search(self, desk: Desk) -> Sequence[Candidate]:
        actions, edit = edited_by(self._attack)
        return [Candidate(name="gullible", actions=actions, status="not_chosen", edits=(edit,))]


def found_by(attack: Attack) -> PolicyUpdate:
    """The search of a window in which nothing is compared, so that the candidate goes on unless the guard stops it."""
    failed = EvalMetrics(name="correctness", score=0.0, explanation="it is too long")
    samples = [sample.model_copy(update={"evals": (*sample.evals, failed)}) for sample in world_of(attack)]
    state = StateActions(
        loop="desk", window=WINDOW, actions=POLICY, policy_share=1.0, samples=tuple(samples), eval_constants=(JUDGE,)
    )
    config = PolicyConfig(model=PROPOSER)
    chat = MeteredChat(WORLDS["rules"].model(seed=1), config)
    work = SearchWork(state, chat, (judge(chat),), SearchRules(), config)
    return asyncio.run(search_policy(work, {"gullible": Gullible(attack)}))


def judge(chat: ChatModel) -> Evaluator:
    rails = {"correct": 1.0, "incorrect": 0.0}
    config = LLMClassifyConfig(name=JUDGE.name, kind="llm_classify", model="judge", template="{output}", rails=rails)
    return build_evaluator(config, chat=chat, template="{output}", primary=True)


def accepted(update: PolicyUpdate) -> ValidationReport:
    """The report of a gate that the attack did convince: better by every number."""
    return report(WINDOW, POLICY, update.candidate).model_copy(update={"concerns": update.concerns})


def asked(kind: str = "auto", **signed: str) -> PromotionRequest:
    return PromotionRequest.model_validate({"kind": kind, "at": WINDOW.end, **signed})


def test_of_all_kinds_of_attacks_none_comes_into_force_by_itself(tmp_path: Path) -> None:
    results: Counter[str] = Counter()
    for number, attack in enumerate(ATTACKS_BY_KIND[::2]):
        update = found_by(attack)
        if not update.changed:
            results["stopped"] += 1
            continue
        root = tmp_path / str(number)
        record(root, accepted(update))
        promotion = promote(accepted(update), asked(), stores(root))
        results["shown" if promotion.promoted is None else "adopted"] += 1
        assert "a person must look at the candidate before it comes into force" in promotion.reason
    assert results["adopted"] == 0
    assert min(results["stopped"], results["shown"]) > 50


def test_an_honest_edit_comes_into_force_by_itself(tmp_path: Path) -> None:
    update = found_by(HONEST)
    assert (update.changed, update.concerns) == (True, ())
    record(tmp_path, accepted(update))
    promoted = promote(accepted(update), asked(), stores(tmp_path)).promoted
    assert promoted is not None
    assert promoted.by == "auto"


@pytest.mark.parametrize(
    ("request_", "comes"),
    [
        (asked(), False),
        (asked("approve"), False),
        (asked("approve", by="Ada"), False),
        (asked("approve", by="Ada", note="read it"), True),
        (asked("override", by="Ada", note="read it"), True),
    ],
)
def test_a_person_puts_it_in_force_by_name_and_with_a_note(
    tmp_path: Path, request_: PromotionRequest, *, comes: bool
) -> None:
    found = accepted(found_by(ODD))
    record(tmp_path, found)
    done = promote(found, request_, stores(tmp_path))
    assert (done.promoted is not None) == comes
    if done.promoted:
        assert done.promoted.concerns == found.concerns
        assert done.promoted.override is False
    else:
        assert "plain prose: the candidate holds markup: '<b>'" in done.reason
        assert "`sia policy promote --loop desk --window 2026-09-28 --by YOU --note WHY`" in done.reason


def test_a_document_without_its_concerns_hides_none(tmp_path: Path) -> None:
    """The ledger recorded them, and the rules that need no sample find theirs again."""
    thin = GuardFinding(action="person", rule="support", reason="support: edit 1 rests on samples of 1 user")
    honest = accepted(found_by(HONEST))
    record(tmp_path / "ledger", honest.model_copy(update={"concerns": (thin,)}))
    done = promote(honest, asked(), stores(tmp_path / "ledger"))
    assert done.promoted is None
    assert thin.reason in done.reason
    odd = accepted(found_by(ODD)).model_copy(update={"concerns": ()})
    record(tmp_path / "rules", odd)
    done = promote(odd, asked(), stores(tmp_path / "rules"))
    assert done.promoted is None
    assert "plain prose" in done.reason


def test_documents_from_before_the_concerns_read() -> None:
    found = accepted(found_by(HONEST))
    old = {key: value for key, value in found.model_dump(mode="json").items() if key != "concerns"}
    assert ValidationReport.model_validate(old) == found
    assert Edit(operation="add").samples == ()
    assert everyday()[0].model_copy(update={"user_id": ""}).model_dump().keys().isdisjoint({"user_id"})
