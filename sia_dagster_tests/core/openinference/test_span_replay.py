"""A recorded call that is asked again under its own policy is the request that the application sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.core.openinference.settings import policy_settings
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.replay.replay import ReplayPlan, Replies, replay
from sia_dagster.core.traffic.replayable import replayability, too_little_left
from sia_dagster_tests.core.openinference.test_span_shapes import read, recordings
from sia_dagster_tests.worlds.search_world import WINDOW, in_shop
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

CHAT_COMPLETIONS = [
    "openai_chat",
    "openai_no_system",
    "openai_stream",
    "openai_stream_tools",
    "openai_tool_call",
    "openai_tool_result",
    "openai_image",
    "openai_image_inline",
    "openai_schema",
    "groq_chat",
    "groq_tool_call",
    "groq_tool_result",
]
"""Recordings whose `input.value` is the body that was sent."""

OF_ONE_REQUEST = {"user", "stream"}


def samples() -> tuple[Sample, ...]:
    return tuple(sample for name in recordings() for sample in read("phoenix", "parquet").get(name, ()))


def own_policy(sample: Sample) -> Actions:
    return Actions(
        system_prompt=sample.system_prompt, model=sample.model, parameters=policy_settings(sample.parameters)
    )


def asked_again(server: ScriptedServer, folder: Path, *given: Sample) -> list[Replies]:
    """Each sample under its own policy, one arm a sample."""

    async def work(chat: ChatModel) -> list[Replies]:
        plan = ReplayPlan(scope="holdout", window=WINDOW.key)
        arms: list[Replies] = []
        for sample in given:
            arms += await replay([sample], [own_policy(sample)], chat=chat, evaluators=[], plan=plan)
        return arms

    return in_shop(server, folder, work)


@pytest.mark.parametrize("name", CHAT_COMPLETIONS)
def test_a_replay_under_the_call_s_own_policy_sends_what_was_sent(name: str, tmp_path: Path) -> None:
    (sample,) = read("arize_wire", "parquet")[name]
    with ScriptedServer(lambda _, __: completion("Again.")) as server:
        (arm,) = asked_again(server, tmp_path, sample)
        (body,) = server.requests
    sent: JsonObject = json.loads(recordings()[name]["spans"][0]["attributes.input.value"])
    assert body == {key: value for key, value in sent.items() if key not in OF_ONE_REQUEST}
    assert arm[sample.span_id, 0].output == "Again."


def strict(body: Body, _: int) -> Body | Reply:
    """Refuses what chat endpoints refuse: unknown roles and settings, tools of other kinds, results out of place."""
    fault = next((fault for fault in faults(body)), None)
    return refusal(400, fault) if fault else completion("Again.")


SETTINGS = {
    *("model", "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format"),
    *("temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop"),
}

PARTS = {"text", "image_url", "input_audio", "file"}


def faults(body: Body) -> Any:
    yield from (f"unknown setting {name}" for name in body if name not in SETTINGS)
    yield from (f"unknown tool {tool}" for tool in body.get("tools", ()) if tool.get("type") != "function")
    waiting: set[str] = set()
    for message in body["messages"]:
        role, content = message["role"], message.get("content")
        if role not in {"system", "developer", "user", "assistant", "tool"}:
            yield f"unknown role {role}"
        if role == "tool" and message.get("tool_call_id") not in waiting:
            yield "a result without its call"
        if role != "tool" and waiting:
            yield "a call without its result"
        waiting = waiting - {message.get("tool_call_id")} | {call["id"] for call in message.get("tool_calls", ())}
        if content is None and not message.get("tool_calls"):
            yield "an empty message"
        yield from (
            f"unknown part {part}" for part in content or () if isinstance(part, dict) and part["type"] not in PARTS
        )
    if waiting:
        yield "a call without its result"


def test_every_call_that_is_kept_is_one_that_a_chat_endpoint_takes(tmp_path: Path) -> None:
    kept = replayability(samples()).replayable
    assert len(kept) > 40
    with ScriptedServer(strict) as server:
        arms = asked_again(server, tmp_path, *kept)
    assert [outcome.error for arm in arms for outcome in arm.values()] == [None] * len(kept)


@pytest.mark.parametrize("name", ["openai_responses_search", "anthropic_document"])
def test_the_endpoint_of_these_tests_refuses_what_is_left_out(name: str, tmp_path: Path) -> None:
    (sample,) = read("phoenix", "parquet")[name]
    with ScriptedServer(strict) as server:
        (arm,) = asked_again(server, tmp_path, sample)
    assert "400" in str(arm[sample.span_id, 0].error)


def test_what_the_recordings_lack_is_counted_by_its_reason() -> None:
    found = replayability(samples())
    assert found.left_out == {"media": 2, "part": 3, "provider_tool": 1, "redacted": 2, "server_state": 2}
    assert any(line.startswith("span openai_image_cut/1: an image was removed") for line in found.sentences)
    assert too_little_left(len(found.replayable), len(samples())) is None
    left_out = [sample for sample in samples() if sample not in found.replayable]
    assert too_little_left(0, len(left_out)) is not None
