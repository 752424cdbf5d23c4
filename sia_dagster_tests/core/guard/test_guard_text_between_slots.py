"""Of a recovered template, what stands between two placeholders may be part of the values: no candidate changes it."""

import pytest

from sia_dagster.core.guard import check_contract
from sia_dagster.core.records.policy import Actions

FOUND = Actions(
    system_prompt=(
        'You serve {value_1} {value_2}, born {value_3}-{value_4}-{value_5}. The order is {"id": "{value_6}", "state": '
        '"{value_7}"}. They came to us through {value_8} and were first seen in {value_9} by the owner. Be polite.'
    ),
    variables=tuple(f"value_{n}" for n in range(1, 10)),
)


def stopped(old: str, new: str, policy: Actions = FOUND) -> str:
    assert old in policy.system_prompt
    candidate = policy.model_copy(update={"system_prompt": policy.system_prompt.replace(old, new)})
    return " | ".join(finding.reason for finding in check_contract(candidate, policy, []))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{value_3}-{value_4}", "{value_3}/{value_4}"),
        ("{value_1} {value_2}", "{value_2} {value_1}"),
        ("{value_1} {value_2}, born", "{value_1}, also called {value_2}, born"),
        ('", "state": "', '", "status": "'),
        ("{value_2}, born {value_3}", "{value_3}, named {value_2}"),
    ],
)
def test_what_may_be_data_stays(old: str, new: str) -> None:
    assert "template variables: the candidate splits or changes" in stopped(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Be polite.", "Be polite and brief."),
        ("You serve {value_1}", "You help {value_1}"),
        ("and were first seen in {value_9}", "who were there in {value_9}"),
    ],
)
def test_the_prompts_own_sentences_may_change(old: str, new: str) -> None:
    assert not stopped(old, new)


def test_of_a_recorded_template_the_text_is_the_templates() -> None:
    policy = Actions(system_prompt="Dear {first} {last}, be polite.", variables=("first", "last"))
    assert not stopped("{first} {last}", "{first} or {last}", policy)


def test_text_between_slots_in_doubled_braces_stays_too() -> None:
    policy = Actions(system_prompt="Use {{value_1}}:{{value_2}} now, be polite.", variables=("value_1", "value_2"))
    assert "'{{value_1}}:{{value_2}}'" in stopped("}}:{{", "}} = {{", policy)
    assert not stopped("be polite", "be brief", policy)
