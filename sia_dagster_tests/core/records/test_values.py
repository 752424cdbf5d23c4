"""The values of the loop: policies filled in, messages in wire form, text that can be kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.policy import Actions, Example
from sia_dagster.core.records.sample import Message, ToolCall
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.value import fingerprint
from sia_dagster.core.text import storable


def test_a_message_keeps_its_name_its_calls_and_its_parts() -> None:
    call = ToolCall(id="c1", name="find", arguments='{"order": 7}')
    asked = Message(role="assistant", tool_calls=(call,), name="desk").to_openai()
    assert asked["name"] == "desk"
    assert asked["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"order": 7}'}}
    ]
    assert Message(role="tool", content="found", tool_call_id="c1").to_openai()["tool_call_id"] == "c1"
    part = {"type": "text", "text": "look"}
    assert Message(role="user", content="look", parts=(part,)).to_openai()["content"] == [part]


@given(st.text(), st.text())
def test_a_value_is_never_filled_in_again(name: str, order: str) -> None:
    policy = Actions(
        system_prompt='Greet {name} about {{ order }}; answer {"json": true} {other}', variables=("name", "order")
    )
    filled = policy.render({"name": name, "order": order})
    assert filled == f'Greet {name} about {order}; answer {{"json": true}} {{other}}'


def test_missing_variables_are_named() -> None:
    with pytest.raises(KeyError, match="order"):
        Actions(system_prompt="{order}", variables=("order",)).render({})


def test_a_chat_begins_with_the_prompt_and_its_examples() -> None:
    policy = Actions(system_prompt="Be kind.", examples=(Example(input="hi", output="hello"),))
    roles = [message["role"] for message in policy.messages(history=[Message(role="user", content="and now?")])]
    assert roles == ["system", "user", "assistant", "user"]
    assert Actions().messages() == []


def test_equal_policies_have_equal_fingerprints() -> None:
    one, other = (Actions(system_prompt="a", parameters=p) for p in ({"x": 1, "y": 2}, {"y": 2, "x": 1}))
    assert one.fingerprint == other.fingerprint != Actions(system_prompt="b").fingerprint


def test_what_was_paid_in_a_run_is_not_stored() -> None:
    assert "paid_calls" not in json.loads(Spend(calls=2, paid_calls=1).model_dump_json())


Json = st.recursive(
    st.none() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner),
)


@given(Json)
def test_storable_text_can_be_encoded_and_hashed(value: object) -> None:
    kept = storable(value)
    json.dumps(kept, ensure_ascii=False).encode()
    assert len(fingerprint(kept)) == 16
    assert storable(kept) == kept


def test_a_half_emoji_is_replaced_and_the_rest_stays() -> None:
    assert storable({"a\ud83d": ["x\ud83dy", 1, None]}) == {"a\ufffd": ["x\ufffdy", 1, None]}
