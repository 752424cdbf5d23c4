"""The reports say which policy spoke, with what share, and what was left out."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sia_dagster.core.records.policy import Actions, PolicyShare
from sia_dagster.core.records.state import StateActions
from sia_dagster.reports.html.page import render_report
from sia_dagster.reports.markdown.tables import state_markdown
from sia_dagster.reports.policy_shares import beginning, left_out_sentence, origin, policy_rows, policy_share_sentence
from sia_dagster_tests.worlds.report_cases import report, state, update


def prompt(text: str, samples: int, **fields: Any) -> PolicyShare:
    moment = datetime(2026, 11, 9, tzinfo=UTC)
    given: dict[str, Any] = {"origin": "as_sent", "share": samples / 100, "first": moment, "last": moment}
    return PolicyShare.model_validate({"system_prompt": text, "samples": samples, **given, **fields})


OURS = prompt("Be kind to {name}.", 60, origin="registry", version=3, in_force=True, models={"gpt": 60}, names={"": 60})
BEFORE = prompt("Be kind.", 20, origin="registry", version=0)
OTHER = prompt("Write <b>a headline</b> [x](http://example.com)", 20, same_call=False, origin="recovered")


def spoken(*policies: PolicyShare, **fields: Any) -> StateActions:
    given = {"policies": policies, "policy_share": 0.6, "left_out": {"another_call": 20}}
    return state().model_copy(update={**given, **fields})


def test_the_claim_names_the_others() -> None:
    assert policy_share_sentence(spoken(OURS, BEFORE, OTHER)) == (
        "The policy in force produced 60% of them. The others: 20 % “Be kind.” (before version 1, same call); "
        "20 % “Write <b>a headline</b> [x](http://example.com)” (recovered template, another call)."
    )
    assert policy_share_sentence(spoken(OURS)) == "The policy in force produced 60% of them."
    assert policy_share_sentence(spoken(policy_share=None)) == "The window has no samples."
    many = [prompt(f"Prompt {n}", 1) for n in range(5)]
    assert policy_share_sentence(spoken(*many)).endswith("; 2 more prompts.")


def test_a_version_is_told_from_the_policy_in_force_also_where_that_one_gave_nothing() -> None:
    force = Actions(system_prompt="You answer the customers of a bicycle shop. Be warm.", model="gpt")
    edited = prompt("You answer the customers of a bicycle shop. Be warm. Never promise a refund.", 20)
    sentence = policy_share_sentence(spoken(edited, actions=force, policy_share=0.0))
    assert "20 % “… warm. Never promise a refund.”" in sentence


def test_rows_say_where_prompts_come_from_and_what_they_are() -> None:
    rows = policy_rows([OURS, BEFORE, OTHER])
    assert [(row.origin, row.role) for row in rows] == [
        ("version 3", "in force"),
        ("before version 1", "same call"),
        ("recovered template", "another call"),
    ]
    assert (rows[0].names, rows[0].models, rows[0].share) == ("no name", "gpt", "60 %")
    assert rows[0].seen == "2026-11-09 to\n2026-11-09"
    assert [origin(prompt("x", 1, origin=each)) for each in ("recorded", "as_sent")] == [
        "recorded template",
        "text as sent",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", "no system prompt"), ("a\nb\u202ec", "a b⟨U+202E⟩c"), ("word " * 40, ("word " * 12)[:59].rstrip() + "…")],
)
def test_the_first_words_of_a_prompt_stand_on_one_line(text: str, shown: str) -> None:
    assert beginning(text) == shown


def test_a_prompt_that_begins_as_another_shows_where_it_differs() -> None:
    one, other = "word " * 20 + "end here", "word " * 20 + "ends there"
    assert beginning(other, one) == "… ends there"
    assert beginning(one, one) == beginning(one) == ("word " * 12)[:59].rstrip() + "…"
    assert [row.prompt for row in policy_rows([prompt(one, 2), prompt(other, 1)])][1] == "… ends there"


def test_what_was_left_out_is_said_in_words() -> None:
    assert left_out_sentence(spoken(left_out={"another_call": 20, "media": 1, "new_reason": 2})) == (
        "Left out of the replay: 20 (another call of the application), 1 (an image or audio is incomplete), "
        "2 (new reason)."
    )
    assert left_out_sentence(spoken(left_out={})) == "No sample was left out."


def test_the_markdown_holds_the_shares_where_several_prompts_spoke() -> None:
    text = state_markdown(spoken(OURS, BEFORE, OTHER))
    assert "| Be kind to \\{name\\}\\. | version 3 | in force | 60 | 60 % |" in text
    assert "<b>" not in text
    assert "Left out of the replay\\: 20 \\(another call of the application\\)\\." in text
    assert "| prompt |" not in state_markdown(spoken(OURS, left_out={}))
    many = state_markdown(spoken(*(prompt(f"Prompt {n}", 1) for n in range(11))))
    assert "And 3 more prompts." in many


def test_the_page_holds_a_table_of_the_prompts() -> None:
    page = render_report(spoken(OURS, BEFORE, OTHER, refusal="only 2 of 9 calls"), update(), report())
    assert "<h3>Prompts in the traffic</h3>" in page
    assert '<p class="bad">only 2 of 9 calls</p>' in page
    assert "Write &lt;b&gt;a headline&lt;/b&gt;" in page
    assert "Left out of the replay: 20 (another call of the application)." in page
    assert "Which policy spoke" not in render_report(spoken(OURS, left_out={}), update(), report())
    many = render_report(spoken(*(prompt(f"Prompt {n}", 1) for n in range(15))), update(), report())
    assert "And 3 more prompts." in many
