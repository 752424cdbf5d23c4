"""The stages of a window over a model session, without Dagster: what assets and scripts both call."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.core.errors import ConfigError, EndpointRefused, SpendCapReached
from sia_dagster.core.gate.error_budget import window_alpha
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.records.gate import HeldOut
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.wiring.endpoint import evaluators_of
from sia_dagster.wiring.loop_session import LoopSession
from sia_dagster.wiring.session import eval_constants
from sia_dagster.wiring.stages import evaluate_window, search_window, validate_window
from simulation.loops import FIRST, NAME, WEEKS, Desk, desk, loop_config, simulated
from simulation.servers import Reply, refusal


def session(found: Desk, progress: Any = None, **llm: Any) -> LoopSession:
    """The first week's session, with a store beside the loop's own."""
    names = found.with_llm(**llm)
    endpoint = (names.definitions.resources or {})[f"{NAME}__model"].settings()
    chat = endpoint.model_copy(update={"completions": found.folder / "session.sqlite"})
    return LoopSession(loop=found.loop, window=WEEKS[0], chat=chat, folder=found.folder, progress=progress)


def samples(found: Desk) -> tuple[Sample, ...]:
    found.write(conversations=12)
    assert found.run(FIRST, "traces", "eval_results", "baseline_state_actions").success
    return found.document("baseline_state_actions", StateActions).samples


def test_progress_is_told_row_by_row_in_each_stage(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    with desk(tmp_path) as (found, _):
        found.write()
        assert found.run(FIRST, "traces", "eval_results", "baseline_state_actions").success
        state = found.document("baseline_state_actions", StateActions)
        here = session(found, lambda step: told.append((step.done, step.of, step.what)))
        asyncio.run(evaluate_window(here, state.samples))
        update = asyncio.run(search_window(here, state)).value
        asyncio.run(validate_window(here, Trial(state=state, update=update)))
    by_stage = {what: [(done, of) for done, of, w in told if w == what] for _, _, what in told}
    # The selection split is too small to choose in.
    assert list(by_stage) == ["evaluations", "probe replay", "holdout replay", "noise replay", "noise judging"]
    searched = by_stage.pop("probe replay")  # In several steps, each with rows of its own.
    assert all(1 <= done <= of for done, of in searched)
    for steps in by_stage.values():
        assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
        assert {of for _, of in steps} == {len(steps)}


def test_spend_is_by_stage_and_model_and_the_same_when_nothing_is_paid(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, server):
        chosen = samples(found)
        server.requests.clear()
        first = asyncio.run(evaluate_window(session(found), chosen))
        paid = len(server.requests)
        again = asyncio.run(evaluate_window(session(found), chosen))
    assert again.value == first.value
    (name,) = first.spend
    assert name == "judge simulated-judge"
    assert first.spend[name].paid_calls == paid > 0
    assert again.spend[name].paid_calls == 0
    assert again.spend[name].model_copy(update={"paid_calls": paid}) == first.spend[name]


def test_a_stage_cut_short_by_its_budget_says_what_is_missing(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        chosen = samples(found)
        with pytest.raises(SpendCapReached) as caught:
            asyncio.run(evaluate_window(session(found, budget_tokens=2000), chosen))
    (of,) = {len(chosen) * 2}
    assert f" of {of} evaluations." in str(caught.value)
    assert (caught.value.unit, caught.value.cap) == ("tokens", 2000)
    assert 0 < caught.value.spent <= 2000


def test_a_budget_that_pays_for_no_call_at_all_counts_no_rows(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        chosen = samples(found)
        with pytest.raises(SpendCapReached) as caught:
            asyncio.run(evaluate_window(session(found, budget_tokens=1), chosen))
    assert str(caught.value).endswith("without paying for anything twice.")


def test_a_refused_key_stops_the_stage_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    def expires(body: dict[str, Any], n: int) -> Reply:
        return Reply(body=simulated(body)) if n < 16 else refusal(401, "Expired.", code="invalid_api_key")

    with desk(tmp_path, expires) as (found, server):
        assert len(samples(found)) < 16
        state = found.document("baseline_state_actions", StateActions)
        with pytest.raises(EndpointRefused, match="the key is not accepted"):
            asyncio.run(search_window(session(found), state))
        server.answer = simulated
        outcome = asyncio.run(search_window(session(found), state))
    assert outcome.value.candidates
    assert outcome.value.spend.calls > outcome.value.spend.paid_calls


def by_hand(state: StateActions) -> PolicyUpdate:
    """A candidate that nobody searched for."""
    assert state.actions is not None
    other = state.actions.model_copy(update={"system_prompt": f"{state.actions.system_prompt} Be kind."})
    return PolicyUpdate(
        loop=NAME, window=state.window, baseline=state.actions, candidate=other, changed=True, reason="by hand"
    )


def test_the_rows_of_a_validation_are_those_of_all_that_was_asked(tmp_path: Path) -> None:
    with desk(tmp_path, validation={"primary": "correctness", "repeats": 2}) as (found, _):
        samples(found)
        state = found.document("baseline_state_actions", StateActions)
        outcome = asyncio.run(validate_window(session(found), Trial(state=state, update=by_hand(state))))
    report, held = outcome.value, len(state.of("holdout"))
    assert held > 0
    assert len(report.rows) == held * report.repeats
    # Both policies, the second draw, and the judge's second word.
    assert (outcome.rows.done, outcome.rows.of) == (held * (2 * report.repeats + 2),) * 2
    assert report.alpha == pytest.approx(window_alpha(found.loop.validation, WEEKS[0]))


def test_a_pooled_holdout_stands_in_for_the_windows_own_and_a_drifted_judge_for_nothing(tmp_path: Path) -> None:
    drifted = JudgeWatch(evaluator="correctness", fingerprint="f", drifted=True, reason="it moved")
    with desk(tmp_path) as (found, server):
        samples(found)
        state = found.document("baseline_state_actions", StateActions)
        pooled = HeldOut(samples=state.of("holdout")[:1], windows={}, pooled=())
        trial = Trial(state=state, update=by_hand(state))
        one = asyncio.run(validate_window(session(found), trial.model_copy(update={"held_out": pooled}))).value
        asked = len(server.requests)
        none = asyncio.run(validate_window(session(found), trial.model_copy(update={"watch": (drifted,)})))
        assert len(server.requests) == asked
    assert (one.conversations, {row.span_id for row in one.rows}) == (1, {pooled.samples[0].span_id})
    assert (none.value.verdict, none.value.watch, none.rows.of) == ("inconclusive", (drifted,), 0)


def test_constants_cost_no_call_and_need_no_key(tmp_path: Path) -> None:
    constants = eval_constants(loop_config(), tmp_path)
    assert [(c.name, c.kind, c.primary) for c in constants] == [
        ("correctness", "llm_classify", True),
        ("is_brief", "code", False),
    ]


def test_evaluators_are_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "beside_the_loop.py").write_text(
        'def is_short(sample):\n    """Short."""\n    return True\n', encoding="utf-8"
    )
    (tmp_path / "judge.md").write_text("Is it right?\n{output}", encoding="utf-8")
    evaluators = [
        {"name": "is_short", "kind": "code", "function": "beside_the_loop:is_short"},
        {"name": "right", "kind": "llm_classify", "model": "m", "template": "judge.md", "rails": {"yes": 1, "no": 0}},
    ]
    loop = loop_config(evaluators=evaluators, validation={"primary": "right"})
    first, second = (evaluator.constant for evaluator in evaluators_of(loop, tmp_path, None))
    assert first.criteria == "Short."
    assert second.criteria.startswith("Is it right?")


def test_a_template_that_is_gone_is_named(tmp_path: Path) -> None:
    loop = loop_config(evaluators=[{**loop_config().evaluators[0].model_dump(), "template": "gone.md"}])
    with pytest.raises(ConfigError, match=r"gone\.md"):
        eval_constants(loop, tmp_path)
