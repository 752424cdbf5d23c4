"""Samples, judges and model sessions for the tests of evaluation."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.evaluators.judge.llm_judge import JudgeSpec, LLMClassify
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Message, Sample
from simulation.servers import Answer, Body, Reply, ScriptedServer, completion, refusal

Result = TypeVar("Result")


TEMPLATE = "Request: {input}\nAnswer: {output}\nIs the answer right?"


RAILS: dict[str, float | None] = {"correct": 1.0, "incorrect": 0.0}


def sample(output: str = "The parcel arrives on Friday.", **fields: Any) -> Sample:
    """A sample with one request; `fields` replace what it holds."""
    given: dict[str, Any] = {
        "span_id": "s1",
        "trace_id": "t1",
        "conversation_id": "c1",
        "start_time": datetime(2026, 9, 28, tzinfo=UTC),
        "split": "train",
        "system_prompt": "Answer briefly.",
        "messages": (Message(role="user", content="When does my parcel come?"),),
        "output": output,
        "model": "application",
    }
    return Sample(**{**given, **fields})


def spec(**fields: Any) -> JudgeSpec:
    """A judge of two rails; `fields` replace what it holds."""
    given: dict[str, Any] = {"name": "correctness", "model": "judge", "template": TEMPLATE, "rails": RAILS}
    return JudgeSpec(**{**given, **fields})


def classified(label: Any, explanation: Any = "Because.") -> str:
    """The text of a judge's structured answer."""
    return json.dumps({"explanation": explanation, "label": label})


def with_chat(server: ScriptedServer, folder: Path, work: Callable[[ChatModel], Awaitable[Result]]) -> Result:
    """The result of `work` with the real client on `server`, its answers kept in `folder`; failures are not retried."""

    async def run() -> Result:
        llm = LLMConfig(base_url=server.base_url, max_attempts=1, timeout_seconds=20)
        scope = LedgerScope(loop="message_desk", window="2026-09-28")
        with closing(SqliteStore(folder / "completions.sqlite")) as store:
            async with OpenAIChat(llm, api_key=None, store=store, scope=scope) as chat:
                return await work(chat)

    return asyncio.run(run())


def judge_one(answer: Answer, folder: Path, **fields: Any) -> tuple[EvalMetrics, Body]:
    """What a judge says of one sample when the endpoint gives `answer`, and the last request it was sent."""
    with ScriptedServer(answer) as server:
        metrics = with_chat(server, folder, lambda chat: LLMClassify(spec(**fields), chat).score(sample(), "logged/0"))
        return metrics, server.requests[-1]


def says(text: str, **reply: Any) -> Answer:
    """An endpoint that always answers `text`."""
    return lambda body, n: completion(text, **reply)


def rung_of(body: Body) -> str:
    """The way in which a request asks for structure."""
    if body.get("tools"):
        return "tools"
    return str(body.get("response_format", {}).get("type", "text"))


def endpoint_with(*known: str, label: str = "correct", status: int = 400) -> Answer:
    """An endpoint that refuses, in words, every way of asking but `known`."""

    def answer(body: Body, _: int) -> Reply | Body:
        rung = rung_of(body)
        if rung not in known:
            named = "tools" if rung == "tools" else f"response_format of type {rung}"
            return refusal(status, f"This model does not support {named}.")
        if rung == "tools":
            call = {"id": "1", "name": "classification", "arguments": classified(label)}
            return completion(None, finish_reason="tool_calls", tool_calls=[call])
        return completion(f"Because.\nLABEL: {label}" if rung == "text" else classified(label))

    return answer
