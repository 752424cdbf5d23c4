"""The same calls, recorded by the real tools, are the same calls whatever tool wrote them."""

from typing import Any

import pytest

from sia_dagster_tests.worlds.form_calls import call, read_records, recorded

ASKED = {"role": "user", "content": "What is the weather in Ulm?"}
USED = [{"id": "call_1", "name": "weather", "arguments": '{"city": "Ulm"}'}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather of a city.", "parameters": PARAMETERS}
TOOLS = {"tools": [{"type": "function", "function": FUNCTION}]}
SYSTEM = {"system_prompt": "You tell the weather.", "model": "gpt-4o-mini"}
SUNNY = {"output": "It is sunny in Ulm."}
CALLS_TOOL = {"output": '[{"name": "weather", "arguments": "{\\"city\\": \\"Ulm\\"}"}]'}
COOL = {"parameters": {"temperature": 0.2}}

CHAT: dict[str, Any] = SYSTEM | {"messages": [ASKED]} | SUNNY
BY_OPENAI = [CHAT | COOL, CHAT | CALLS_TOOL | TOOLS, CHAT]
"""A chat with a temperature, an offered tool, and a stream."""
HISTORY = [ASKED, {"role": "assistant", "content": "", "tool_calls": USED}]
HISTORY.append({"role": "tool", "content": "sunny", "tool_call_id": "call_1"})
BY_LANGCHAIN = [CHAT | COOL | {"messages": HISTORY}, CHAT | COOL | CALLS_TOOL | TOOLS]
"""A tool's call and result in the history, and an offered tool."""

RECORDED = {
    "braintrust": BY_OPENAI,
    "langchain": BY_LANGCHAIN,
    "langfuse": BY_LANGCHAIN + BY_OPENAI,
    "langsmith": BY_OPENAI + BY_LANGCHAIN,
    "mlflow": BY_OPENAI,
    "mlflow_table": BY_OPENAI,
    "opik": BY_OPENAI,
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_tools_recording_gives_the_calls_that_were_made(name: str) -> None:
    assert [call(sample) for sample in read_records(recorded(name)).samples] == RECORDED[name]


@pytest.mark.parametrize("name", ["langfuse", "langsmith", "mlflow", "mlflow_table", "opik"])
def test_a_refused_call_has_failed(name: str) -> None:
    assert read_records(recorded(name)).failed == 1


@pytest.mark.parametrize("name", ["langchain", "langfuse", "langsmith", "mlflow", "mlflow_table"])
def test_the_conversation_and_the_user_are_kept(name: str) -> None:
    samples = read_records(recorded(name)).samples
    assert {(sample.conversation_id, sample.user_id) for sample in samples} == {("chat-7", "ann")}
