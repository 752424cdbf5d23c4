"""Runs of LangSmith and LangChain are read in every form in which their messages are written."""

import json
from typing import Any

import pytest

from sia_dagster_tests.adapters.local.forms.test_recordings import BY_LANGCHAIN, CALLS_TOOL, CHAT, COOL
from sia_dagster_tests.worlds.form_calls import calls, read_records, recorded

SYSTEM, ASKED, SAID = "You tell the weather.", "What is the weather in Ulm?", "It is sunny in Ulm."


def constructor(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", name], "kwargs": kwargs}


def run(**fields: Any) -> dict[str, Any]:
    return {
        "id": "00000000-0000-0000-0000-000000000001",
        "trace_id": "00000000-0000-0000-0000-000000000001",
        "run_type": "llm",
        "start_time": "2026-11-09T08:00:00.000000",
        "session_id": "00000000-0000-0000-0000-00000000000f",
        "inputs": {
            "messages": [[constructor("SystemMessage", content=SYSTEM), constructor("HumanMessage", content=ASKED)]]
        },
        "outputs": {"generations": [[{"text": SAID, "message": constructor("AIMessage", content=SAID)}]]},
        "extra": {"invocation_params": {"model": "gpt-4o-mini", "temperature": 0.2, "_type": "openai-chat"}},
    } | fields


INPUTS: list[Any] = [
    {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ASKED}]},
    {"messages": [{"type": "system", "content": SYSTEM}, {"type": "human", "content": ASKED, "additional_kwargs": {}}]},
    {"messages": [{"type": "system", "data": {"content": SYSTEM}}, {"type": "human", "data": {"content": ASKED}}]},
    {"messages": [["system", SYSTEM], ["human", ASKED]]},
    {"input": [constructor("SystemMessage", content=SYSTEM), constructor("HumanMessageChunk", content=ASKED)]},
]
OUTPUTS: list[Any] = [
    {"output": SAID},
    {"output": constructor("AIMessageChunk", content=SAID)},
    {"output": {"type": "ai", "content": SAID, "tool_calls": [], "response_metadata": {}}},
    {"role": "assistant", "content": SAID},
    {"messages": [{"type": "human", "content": ASKED}, {"type": "ai", "content": SAID}]},
    {"generations": [[{"text": SAID, "generation_info": None, "type": "Generation"}]]},
    {"content": [{"type": "text", "text": SAID}], "role": "assistant", "stop_reason": "end_turn"},
    {"choices": [{"message": {"role": "assistant", "content": SAID}}]},
]


@pytest.mark.parametrize("inputs", INPUTS)
def test_a_request_is_read_in_every_form(inputs: Any) -> None:
    assert calls([run(inputs=inputs)]) == [CHAT | COOL]


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_an_answer_is_read_in_every_form(outputs: Any) -> None:
    assert calls([run(outputs=outputs)]) == [CHAT | COOL]


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_calls": [{"name": "weather", "args": {"city": "Ulm"}, "id": "call_1", "type": "tool_call"}]},
        {"additional_kwargs": {"function_call": {"name": "weather", "arguments": '{"city": "Ulm"}'}}},
        {
            "additional_kwargs": {
                "tool_calls": [{"id": "call_1", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}]
            }
        },
    ],
)
def test_a_tools_call_is_read_wherever_langchain_keeps_it(fields: dict[str, Any]) -> None:
    answer = constructor("AIMessage", content="", **fields)
    assert calls([run(outputs={"generations": [[{"text": "", "message": answer}]]})]) == [CHAT | COOL | CALLS_TOOL]


def test_the_bulk_exports_json_texts_are_the_same_run() -> None:
    whole = run(extra=run()["extra"] | {"metadata": {"thread_id": "chat-7"}}, tags=["weather"])
    texts = {name: json.dumps(value) if isinstance(value, (dict, list)) else value for name, value in whole.items()}
    (sample,) = read_records([texts]).samples
    assert calls([texts]) == calls([whole]) == [CHAT | COOL]
    assert (sample.conversation_id, sample.tags) == ("chat-7", ("weather",))


def test_a_runs_session_is_its_project_and_no_conversation() -> None:
    (sample,) = read_records([run()]).samples
    assert sample.conversation_id == run()["trace_id"]


def test_runs_within_a_run_are_read_and_are_of_its_conversation() -> None:
    child = run(id="00000000-0000-0000-0000-000000000002", child_runs=None)
    extra = {"metadata": {"thread_id": "chat-7", "user_id": "ann"}}
    read = read_records([run(run_type="chain", inputs={"city": "Ulm"}, child_runs=[child], extra=extra)])
    assert [(s.span_id, s.conversation_id, s.user_id) for s in read.samples] == [(child["id"], "chat-7", "ann")]


def test_runs_of_the_newer_query_are_read() -> None:
    newer = {"run_type": "LLM", "status": "SUCCESS", "project_id": "f", "thread_id": "chat-7", "ls_user_id": "owner"}
    whole = run(**newer, parent_run_ids=["root", "parent"], session_id=None)
    read = read_records([whole, whole | {"id": "2", "status": "ERROR"}, whole | {"id": "3", "run_type": "TOOL"}])
    assert [(s.conversation_id, s.user_id) for s in read.samples] == [("chat-7", "")]
    assert (calls([whole]), read.failed, read.lost) == ([CHAT | COOL], 1, ["of kind TOOL"])


def test_feedback_is_an_evaluation() -> None:
    stats = {"is-right": {"n": 2, "avg": 0.5}, "tone": {"n": 1, "avg": None, "values": {"kind": 1}}}
    (sample,) = read_records([run(feedback_stats=stats)]).samples
    assert [(e.name, e.score, e.label) for e in sample.evals] == [("is_right", 0.5, None), ("tone", None, "kind")]


def test_a_chat_that_was_joined_to_one_text_is_not_taken_for_a_users_message() -> None:
    read = read_records(recorded("langchain")[len(BY_LANGCHAIN) :])
    assert read.samples == ()
    assert all("_schema_format='original+chat'" in reason for reason in read.lost)


def test_a_prompt_of_a_model_without_chat_is_the_users_message() -> None:
    outputs = {"generations": [[{"text": SAID, "type": "Generation"}]]}
    (found,) = calls([run(inputs={"prompts": [ASKED]}, outputs=outputs)])
    assert found["messages"] == [{"role": "user", "content": ASKED}]


def test_an_export_without_texts_says_which_fields_to_add() -> None:
    record = {name: value for name, value in run().items() if name not in ("inputs", "outputs")}
    assert read_records([record]).lost == ["it holds neither inputs nor outputs; export both fields, too"]
