"""A proposing model's answer: separate edits with their samples; what cannot be used is named, never repaired."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.prompting.structured_answer import AnswerMethod
from sia_dagster.core.search.edits.answers import FORM, MOST_EDITS, ProposedEdits, read_edits
from sia_dagster.core.search.edits.apply import apply_edits
from sia_dagster_tests.worlds.search_world import ASK_FOR_ORDER, PROMPT, edit

SHOWN = {"train-00": "train-00", "train-01": "train-01", "span-9": "an odd id"}
WHOLE = f"{PROMPT}\n{ASK_FOR_ORDER}"


def read(answer: object, **reply: Any) -> ProposedEdits:
    """What is read of a reply whose text is this, or this object as JSON."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return read_edits(FORM.read(AnswerMethod.TEXT, ChatReply(text=text, **reply)), PROMPT, SHOWN)


def proposed(*edits: object) -> ProposedEdits:
    return read({"thoughts": "It is missing.", "edits": edits})


def test_each_edit_stands_for_itself_with_its_samples_and_its_group() -> None:
    found = proposed(edit(samples=["train-01", "span-9", "train-01"]), edit("Be warm.") | {"group": 2})
    assert [[each.text for each in edits] for edits in found.edits] == [[ASK_FOR_ORDER], ["Be warm."]]
    assert found.edits[0][0].samples == ("train-01", "an odd id")
    assert (found.groups, found.thoughts, found.problems) == ((0, 2), "It is missing.", ())


@pytest.mark.parametrize(
    ("answer", "reply", "why"),
    [
        ('{"thoughts": "", "edits": [', {"finish_reason": "length"}, "cut off at the token limit"),
        ("", {"finish_reason": "content_filter"}, "content filter withheld"),
        ("I would rather not.", {}, "not of the form"),
        ({"thoughts": "t"}, {}, "proposes no edits"),
        ({"thoughts": "t", "edits": "none"}, {}, "proposes no edits"),
        ({"thoughts": "t", "edits": []}, {}, "proposes no edits"),
        ({"thoughts": "t", "edits": [edit(operation="move")]}, {}, "edit 1 has wrong fields: operation"),
        ({"thoughts": "t", "edits": [edit() | {"text": ["a"]}]}, {}, "edit 1 has wrong fields: text"),
        ({"thoughts": "t", "edits": ["add a line"]}, {}, "edit 1 has wrong fields"),
        ({"thoughts": "t", "edits": [edit(samples=[])]}, {}, "edit 1 names no sample"),
        ({"thoughts": "t", "edits": [edit(samples=["holdout-00"])]}, {}, "samples that were not shown (1 of 1)"),
        ({"prompt": WHOLE, "samples": ["holdout-00"]}, {}, "samples that were not shown (1 of 1)"),
        ({"prompt": PROMPT}, {}, "proposes no edits"),
        ({"prompt": "(unchanged)"}, {}, "keeps less than 50% of the present one's sentences"),
    ],
)
def test_an_answer_that_cannot_be_used_is_named(answer: object, reply: dict[str, Any], why: str) -> None:
    found = read(answer, **reply)
    assert not found.edits
    assert not found.groups
    assert len(found.problems) == 1
    assert why in found.problems[0]


def test_one_edit_that_cannot_be_used_leaves_the_others() -> None:
    found = proposed(edit("One."), edit("Two.", ["nobody"]), edit("Three."))
    assert [edits[0].text for edits in found.edits] == ["One.", "Three."]
    assert found.problems == ("edit 2 names samples that were not shown (1 of 1)",)


@pytest.mark.parametrize(
    ("group", "number"),
    [(2, 2), ("2", 2), (None, 0), ("second", 0), (2.5, 0), (-1, 0), (10**30, 0), ("9" * 5000, 0), ([2], 0)],
)
def test_a_group_that_is_no_number_costs_no_edit(group: object, number: int) -> None:
    found = proposed(edit() | {"group": group})
    assert [edits[0].text for edits in found.edits] == [ASK_FOR_ORDER], found.problems
    assert found.groups == (number,)


def test_of_a_thousand_edits_the_first_are_tried_and_the_rest_is_counted() -> None:
    found = proposed(*(edit(f"Rule {number}.") for number in range(1000)))
    assert len(found.edits) == len(found.groups) == MOST_EDITS
    assert found.problems == (f"only the first {MOST_EDITS} of 1,000 edits are tried",)


def test_half_an_emoji_does_not_make_a_policy_that_nothing_can_hold() -> None:
    found = proposed(edit("Be kind \ud83d."))
    assert found.edits[0][0].text == "Be kind \ufffd."
    assert found.edits[0][0].model_dump_json()


@pytest.mark.parametrize(
    ("answer", "samples"),
    [
        ({"thoughts": "t", "system_prompt": WHOLE}, ()),
        ({"thoughts": "t", "prompt": WHOLE, "samples": ["train-01"]}, ("train-01",)),
        (f"Here it is:\n```\n{WHOLE}\n```", ()),
        ({"thoughts": "t", "edits": [edit(WHOLE, operation="replace", find=PROMPT)]}, ("train-00",)),
        ({"thoughts": "t", "edits": [edit(WHOLE)]}, ("train-00",)),
    ],
)
def test_a_whole_new_prompt_is_turned_into_edits_that_go_together(answer: object, samples: tuple[str, ...]) -> None:
    found = read(answer)
    (edits,) = found.edits
    assert apply_edits(PROMPT, edits) == WHOLE
    assert [(e.operation, e.find, e.text, e.samples) for e in edits] == [("add", "Be polite.", ASK_FOR_ORDER, samples)]
    assert found.groups == (0,)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
_FIELDS = ("operation", "find", "text", "samples", "why", "group", "edits", "thoughts", "prompt")


@given(
    answer=st.dictionaries(st.sampled_from(_FIELDS), _JSON),
    edits=st.lists(_JSON | st.dictionaries(st.sampled_from(_FIELDS), _JSON), max_size=3),
)
def test_whatever_a_model_answers_is_edits_or_a_problem(answer: dict[str, Any], edits: list[Any]) -> None:
    found = read(answer | ({"edits": edits} if edits else {}))
    assert found.edits or found.problems
    assert len(found.edits) == len(found.groups)
    assert {span for group in found.edits for each in group for span in each.samples} <= set(SHOWN.values())
