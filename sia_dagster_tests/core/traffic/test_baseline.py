"""The search starts from the policy in force, the same bytes for the same window."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sia_dagster.core.openinference.samples import MappedSpans
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.policy import Actions, Example, SentenceOrigin
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.trace_notes import SkippedSpan
from sia_dagster.core.search.search_policy import nothing_to_learn
from sia_dagster.core.traffic.baseline import build_baseline, policy_from_traces, policy_share
from sia_dagster_tests.corpora import spoken
from sia_dagster_tests.corpora.spoken import CONSTANT, START, WINDOW

BROKEN = SkippedSpan(span_id="x", reason="unreadable", sentence="broken")


def spoke(number: int, prompt: str = "Be kind.", **fields: Any) -> Sample:
    return spoken.spoke(number, prompt, **fields)


def greeted(number: int, name: str | None = "Ada") -> Sample:
    known = {"name": name} if name else {}
    return spoke(number, f"Greet {name}.", template="Greet {name}." if name else None, variables=known)


def promoted(actions: Actions) -> PolicyVersion:
    return PolicyVersion(version=3, loop="desk", kind="promote", actions=actions, at=START - timedelta(days=1))


def baseline(samples: Sequence[Sample], in_force: PolicyVersion | None = None, **evals: EvalMetrics) -> StateActions:
    scores = {span_id.replace("_", "-"): (metrics,) for span_id, metrics in evals.items()}
    spans = MappedSpans(samples=tuple(samples), left_out=(BROKEN,))
    return build_baseline("desk", WINDOW, spans, scores, [CONSTANT], [in_force] if in_force else [])


def test_without_a_registry_the_commonest_prompt_is_in_force() -> None:
    state = baseline([spoke(0), spoke(1), spoke(2, "Be rude."), spoke(3)])
    assert state.actions == Actions(system_prompt="Be kind.", model="model-a")
    assert state.policy_version is None
    assert state.policy_share == 0.75
    assert state.primary == CONSTANT
    assert state.skipped == ("span x: broken",)


def test_the_commonest_model_parameters_and_tools_are_those_of_its_speakers() -> None:
    tool = {"type": "function", "function": {"name": "look_up"}}
    warm: dict[str, Any] = {"model": "model-b", "parameters": {"temperature": 1}, "tools": (tool,)}
    others = [spoke(n, "Be rude.", model="model-c") for n in range(2)]
    actions = policy_from_traces([*others, spoke(3, **warm), spoke(4, **warm), spoke(5)])
    assert actions == Actions(system_prompt="Be kind.", **warm)


def test_ties_do_not_depend_on_order() -> None:
    samples = [spoke(0, "A"), spoke(1, "B"), spoke(2, "C")]
    assert policy_from_traces(samples) == policy_from_traces(samples[::-1])


def test_the_registry_goes_before_the_traces() -> None:
    actions = Actions(system_prompt="Be rude.", model="model-z")
    state = baseline([spoke(0), spoke(1), spoke(2, "Be rude.")], promoted(actions))
    assert state.actions == actions
    assert state.policy_version == 3
    assert state.policy_share == 1 / 3
    assert len(state.samples) == 3


def test_a_window_without_traffic_has_the_registrys_policy_or_none() -> None:
    assert baseline([]).actions is None
    empty = baseline([], promoted(Actions(system_prompt="Be kind.")))
    assert empty.actions == Actions(system_prompt="Be kind.")
    assert empty.policy_share is None
    assert empty.samples == ()


def test_a_template_is_the_policy_and_its_variables_the_contract() -> None:
    state = baseline([greeted(0, "Ada"), greeted(1, "Bob"), spoke(2, "Something else.")])
    assert state.actions == Actions(system_prompt="Greet {name}.", model="model-a", variables=("name",))
    assert state.policy_share == 2 / 3


def test_samples_without_the_variables_cannot_be_replayed_and_are_named() -> None:
    state = baseline([greeted(0, "Ada"), greeted(1, "Bob"), greeted(2, None)])
    assert [s.span_id for s in state.samples] == ["span-000", "span-001"]
    assert len(state.skipped) == 2
    assert "span span-002" in state.skipped[1]
    assert "'name'" in state.skipped[1]


def test_the_window_evaluations_replace_what_the_traces_carry() -> None:
    recorded = EvalMetrics(name="csat", score=1.0, source="platform")
    fresh = EvalMetrics(name="correctness", score=0.0)
    state = baseline([spoke(0, evals=(recorded,)), spoke(1, evals=(recorded,))], span_000=fresh)
    assert [s.evals for s in state.samples] == [(fresh,), ()]


def test_prompts_that_were_filled_in_for_each_call_are_no_policy_to_improve() -> None:
    state = baseline([spoke(n, f"You serve customer {n} of {n % 7}.") for n in range(40)])
    assert state.policy_share == 0.025
    assert "`llm.prompt_template.template`" in nothing_to_learn(state)
    names = [f"{first}{last}" for first in "abcdefgh" for last in "aeiou"]
    state = baseline(
        [spoke(n, f"Serve {who}.", template="Serve {who}.", variables={"who": who}) for n, who in enumerate(names)]
    )
    assert (state.policy_share, len(state.samples)) == (1.0, 40)
    assert "correctness scored none" in nothing_to_learn(state)


def test_traces_that_name_no_model_are_said_before_anything_is_asked() -> None:
    state = baseline([spoke(n, model="") for n in range(12)])
    assert state.actions == Actions(system_prompt="Be kind.")
    assert "the traces record no model (`llm.model_name`)" in nothing_to_learn(state)


def test_near_duplicates_across_splits_are_set_aside_and_counted() -> None:
    same: dict[str, Any] = {"messages": (Message(role="user", content="Where is order 1?"),)}
    samples = [spoke(n, **same) for n in range(12)]
    state = baseline(samples)
    assert {s.split for s in state.samples} == {"holdout"}
    assert state.set_aside == sum(s.split != "holdout" for s in samples) > 0
    assert state.policy_share == 1.0


def test_the_policys_own_examples_are_no_part_of_the_chat() -> None:
    actions = Actions(system_prompt="Be kind.", examples=(Example(input="Hi", output="Hello!"),))
    shown = (Message(role="user", content="Hi"), Message(role="assistant", content="Hello!"))
    question = (Message(role="user", content="Where is it?"),)
    other = spoke(1)
    state = baseline([spoke(0, messages=shown + question), other], promoted(actions))
    assert [s.request for s in state.samples] == ["Where is it?", other.request]
    assert state.samples[0].messages == question


def test_share_counts_filled_in_prompts_and_is_unknown_without_samples() -> None:
    actions = Actions(system_prompt="Greet {name}.", variables=("name",))
    assert policy_share([greeted(0, "Ada"), greeted(1, None), spoke(2, variables={"name": "Eve"})], actions) == 1 / 3
    assert policy_share([], actions) is None


def test_the_search_knows_which_sentences_of_the_policy_in_force_the_loop_wrote() -> None:
    origin = SentenceOrigin(text="Be brief.", window="2026-09-21", cause="too long", gain=0.1)
    entry = promoted(Actions(system_prompt="Be brief.")).model_copy(update={"provenance": (origin,)})
    assert baseline([], entry).provenance == (origin,)
    assert "provenance" not in baseline([]).model_dump()
