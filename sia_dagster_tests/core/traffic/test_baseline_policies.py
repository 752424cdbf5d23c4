"""A window of several prompts: what is this loop's call is learned from, the rest is left out, counted and named."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.core.openinference.samples import MappedSpans, sample_from_row
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search.search_policy import nothing_to_learn
from sia_dagster.core.traffic.baseline import build_baseline, policy_from_traces
from sia_dagster_tests.core.gate.test_validate import changed
from sia_dagster_tests.core.gate.test_validate import run as validated
from sia_dagster_tests.corpora.spoken import (
    CONSTANT,
    DESK,
    DESK_LATER,
    TITLES,
    WINDOW,
    customer,
    filled,
    recorded,
    spoke,
    version,
)
from sia_dagster_tests.worlds.sample_rows import sample_to_row
from sia_dagster_tests.worlds.search_world import BETTER, Shop
from sia_dagster_tests.worlds.search_world import state as shop_state
from simulation.servers import ScriptedServer

NAMED = Actions(system_prompt=DESK, variables=("customer", "since"), model="model-a")


def baseline(samples: Sequence[Sample], *registry: PolicyVersion) -> StateActions:
    state = build_baseline("desk", WINDOW, MappedSpans(samples=tuple(samples)), {}, [CONSTANT], registry)
    assert [p.system_prompt for p in state.policies if p.in_force and state.actions] in (
        [],
        [state.actions.system_prompt if state.actions else None],
    )
    assert len(state.samples) + state.set_aside + sum(state.left_out.values()) == len(samples)
    return state


def test_a_recovered_template_is_the_policy_and_each_sample_has_its_own_values() -> None:
    state = baseline(filled(range(60)))
    assert state.actions is not None
    assert state.actions.variables == ("value_1", "value_2")
    assert (state.policy_share, state.policy_version, state.refusal) == (1.0, None, None)
    assert (len(state.samples), state.left_out) == (60, {})
    for number, sample in enumerate(state.samples):
        assert state.actions.render(sample.variables) == sample.system_prompt
        assert sample.variables["value_2"] == customer(number)["since"]


def test_another_call_is_left_out_counted_and_named() -> None:
    state = baseline([*filled(range(40)), *(spoke(n, TITLES) for n in range(40, 60))])
    assert [s.span_id for s in state.samples] == [f"span-{n:03}" for n in range(40)]
    assert state.left_out == {"another_call": 20}
    assert state.policy_share == 40 / 60
    assert [p.same_call for p in state.policies] == [True, False]
    assert len(state.skipped) == 20
    assert state.skipped[0].startswith("span span-040: its prompt has no text in common")
    assert "`traces.where`" in state.skipped[0]
    assert state.refusal is None


def test_other_versions_of_the_call_stay() -> None:
    state = baseline([*recorded(range(30)), *recorded(range(30, 50), DESK_LATER), *filled(range(50, 56), DESK_LATER)])
    assert state.actions == NAMED
    assert (len(state.samples), state.left_out) == (56, {})
    assert [(p.origin, p.in_force, p.samples) for p in state.policies] == [
        ("recorded", True, 30),
        ("recorded", False, 26),
    ]
    assert state.policy_share == 30 / 56


def test_later_versions_of_the_registry_are_not_looked_at() -> None:
    ours, later = version(1, NAMED), version(2, Actions(system_prompt=TITLES), at=WINDOW.end)
    assert baseline(filled(range(6)), ours, later) == baseline(filled(range(6)), ours)
    assert baseline(filled(range(6)), version(1, NAMED, at=WINDOW.end)).policy_version is None
    assert baseline(filled(range(6)), version(1, NAMED, at=WINDOW.end - timedelta(seconds=1))).policy_version == 1


def test_samples_whose_variables_are_a_guess_are_left_out() -> None:
    text = "Answer the customers of the shop in a friendly tone. First {one} and {two} are what they bought."
    policy = Actions(system_prompt=text, variables=("one", "two"), model="m")
    clear = [spoke(n, text.format(one=f"item {n}", two="a bell")) for n in range(8)]
    unclear = [spoke(n, text.format(one=f"item {n} and a lamp", two="a bell")) for n in range(8, 11)]
    state = baseline([*clear, *unclear], version(1, policy))
    assert (len(state.samples), state.left_out) == (8, {"variables_ambiguous": 3})
    assert "read in several ways" in state.skipped[0]
    assert state.policy_share == 1.0
    plain = baseline([*clear, *unclear], version(1, policy), version(2, Actions(system_prompt=text[:52], model="m")))
    assert (len(plain.samples), plain.left_out) == (11, {})


def test_what_cannot_be_replayed_is_counted_beside_the_rest() -> None:
    ends = (Message(role="user", content="Hi"), Message(role="assistant", content="Hello"))
    finished = [spoke(n, TITLES, messages=ends) for n in range(3)]
    state = baseline([*finished, *(spoke(n, TITLES) for n in range(3, 9)), spoke(9, DESK)])
    assert state.left_out == {"another_call": 1, "assistant_last": 3}
    assert len(state.samples) == 6
    assert {s.split()[1] for s in state.skipped} == {"span-000:", "span-001:", "span-002:", "span-009:"}
    assert state.refusal is None


def test_nothing_is_learned_where_too_little_can_be_replayed() -> None:
    """What another call said is no reason to refuse; what this call lacks is."""
    ours = filled(range(4))
    few = baseline([*ours, *filled(range(4, 20), "Serve {customer}, {since}: " + TITLES)], version(1, NAMED))
    assert (few.left_out, few.refusal) == ({"another_call": 16}, None)
    shorter = DESK.replace(" and was first seen in {since} by the owner", "")
    lacking = baseline([*ours, *filled(range(4, 20), shorter)], version(1, NAMED))
    assert lacking.left_out == {"variables_unknown": 16}
    assert "'since'], which the trace does not hold" in lacking.skipped[0]
    assert lacking.refusal is not None
    assert "4 of 20" in lacking.refusal
    assert nothing_to_learn(lacking) == lacking.refusal


def test_a_policy_found_before_is_not_validated_where_too_little_can_be_replayed(tmp_path: Path) -> None:
    before = shop_state(holdout=12).model_copy(update={"refusal": "only 2 of 20 calls can be replayed"})
    update: PolicyUpdate = changed(BETTER)
    with ScriptedServer(Shop()) as server:
        report = validated(server, tmp_path, before, update)
        assert not server.requests
    assert report.verdict == "inconclusive"
    assert report.reasons[0] == before.refusal
    assert (report.candidate, report.rows) == (None, ())


def test_settings_of_the_call_are_no_part_of_the_policy() -> None:
    parameters = {"temperature": 0.2, "response_format": {"type": "json_object"}, "tool_choice": "auto"}
    actions = policy_from_traces([spoke(n, parameters=parameters) for n in range(3)])
    assert actions is not None
    assert actions.parameters == {"temperature": 0.2}


def test_a_span_row_keeps_its_name_and_a_format_strings_template() -> None:
    sample = spoke(0, 'Answer as {"a": 1} to Ada.', name="Answer")
    row = {
        **sample_to_row(sample),
        "template": 'Answer as {{"a": 1}} to {name}.',
        "template_variables": '{"name": "Ada"}',
    }
    read = sample_from_row(row)
    assert (read.name, read.template) == ("Answer", 'Answer as {"a": 1} to {name}.')
    state = baseline([read])
    assert state.actions == Actions(system_prompt='Answer as {"a": 1} to {name}.', variables=("name",), model="model-a")
    assert sample_from_row({**row, "name": None}).name == ""


def window() -> list[Sample]:
    hidden: dict[str, Any] = {"output": "__REDACTED__"}
    ours = [*filled(range(30)), *filled(range(30, 50), DESK_LATER), *filled(range(50, 53), **hidden)]
    return [*ours, *(spoke(n, TITLES) for n in range(53, 60)), *recorded(range(60, 66))]


@settings(max_examples=12, deadline=None)
@given(st.permutations(range(66)), st.sampled_from([(), (version(1, NAMED),)]))
def test_the_same_window_gives_the_same_bytes(order: Sequence[int], registry: tuple[PolicyVersion, ...]) -> None:
    samples = window()
    mixed = baseline([samples[place] for place in order], *registry)
    assert mixed.model_dump_json() == baseline(samples, *registry).model_dump_json()
    assert StateActions.model_validate_json(mixed.model_dump_json()) == mixed
    assert [s.start_time for s in mixed.samples] == sorted(s.start_time for s in mixed.samples)


@pytest.mark.parametrize("prompt", ["", "__REDACTED__", "{", "Be kind."])
def test_one_prompt_for_all_is_one_policy(prompt: str) -> None:
    state = baseline([spoke(n, prompt) for n in range(25)])
    assert [(p.in_force, p.share) for p in state.policies] == [(True, 1.0)]
    assert state.actions == Actions(system_prompt=prompt, model="model-a")
    assert (state.refusal is None) == (prompt != "__REDACTED__")
