"""What kind of traffic a call is, from the call alone."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.sample import Message, Sample, ToolCall
from sia_dagster.core.traffic.dimensions import LONG, SHORT, dimensions_of, language_of
from sia_dagster_tests.worlds.evaluation_samples import sample

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "look_up"}}
CALL = ToolCall(id="1", name="look_up", arguments="{}")


def asks(*texts: str, **fields: Any) -> Sample:
    return sample(messages=tuple(Message(role="user", content=text) for text in texts), **fields)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is my parcel? It should have been here on Friday.", "en"),
        ("Wo ist mein Paket? Es sollte am Freitag hier sein.", "de"),
        ("¿Dónde está mi pedido? Tenía que llegar el viernes.", "es"),
        ("Onde está a minha encomenda? Devia ter chegado na sexta-feira.", "pt"),
        ("Où est mon colis ? Il devait arriver vendredi.", "fr"),
        ("Где моя посылка? Она должна была прийти в пятницу.", "ru"),
        ("注文した荷物はどこにありますか", "ja"),
        ("我的包裹在哪里, 应该星期五到的", "zh"),
        ("hi", "unknown"),
        ("4711", "unknown"),
        ("", "unknown"),
        ("SELECT * FROM t", "unknown"),
    ],
)
def test_the_language_is_named_where_it_is_sure(text: str, language: str) -> None:
    assert language_of(text) == language
    assert dimensions_of(asks(text))["language"] == (language,)


def test_where_the_last_message_tells_no_language_the_whole_of_what_was_said_does() -> None:
    assert dimensions_of(asks("Wo ist mein Paket? Es sollte am Freitag hier sein.", "ok"))["language"] == ("de",)
    assert dimensions_of(asks("hi", "ok"))["language"] == ("unknown",)


def test_without_a_user_message_what_the_prompt_was_filled_with_is_the_request() -> None:
    filled = sample(messages=(), variables={"text": "Bitte fasse mir diesen Brief zusammen. " * 30})
    assert dimensions_of(filled)["language"] == ("de",)
    assert dimensions_of(filled)["length"] == ("long",)


@pytest.mark.parametrize(
    ("characters", "length"),
    [(0, "short"), (SHORT - 1, "short"), (SHORT, "medium"), (LONG - 1, "medium"), (LONG, "long")],
)
def test_the_length_is_that_of_the_last_request(characters: int, length: str) -> None:
    assert dimensions_of(asks("x" * 5000, "x" * characters))["length"] == (length,)


@pytest.mark.parametrize(
    ("fields", "tools"),
    [
        ({}, "none"),
        ({"tools": (TOOL,)}, "offered"),
        ({"tools": (TOOL,), "output": json.dumps([{"name": "look_up", "arguments": "{}"}])}, "used"),
        ({"tools": (TOOL,), "output": '[{"name": "look_up"}]'}, "offered"),
        ({"tools": (TOOL,), "output": "[{ is how JSON begins"}, "offered"),
        ({"output": json.dumps([{"name": "look_up", "arguments": "{}"}])}, "none"),
        ({"messages": (Message(role="assistant", tool_calls=(CALL,)),)}, "used"),
        ({"messages": (Message(role="tool", content="7", tool_call_id="1"),)}, "used"),
    ],
)
def test_tools_are_used_offered_or_none(fields: dict[str, Any], tools: str) -> None:
    assert dimensions_of(sample(**fields))["tools"] == (tools,)


def test_a_call_has_each_of_its_tags_and_one_model() -> None:
    found = dimensions_of(sample(tags=("billing", "beta"), model=""))
    assert found["tag"] == ("billing", "beta")
    assert found["model"] == ("unknown",)
    assert dimensions_of(sample())["tag"] == ("untagged",)
    assert dimensions_of(sample())["model"] == ("application",)


@given(st.text(max_size=300), st.text(max_size=50))
def test_every_call_has_a_value_in_every_dimension(request: str, output: str) -> None:
    found = dimensions_of(asks(request, output=output, tools=(TOOL,)))
    assert list(found) == ["model", "language", "length", "tag", "tools"]
    assert all(values and all(values) for values in found.values())
    assert found == dimensions_of(asks(request, output=output, tools=(TOOL,)))


def test_the_model_of_languages_is_read_where_it_is_needed_alone() -> None:
    heavy = "{'py3langid', 'numpy'} & set(sys.modules)"
    code = f"import sys; import sia_dagster.core.traffic; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
