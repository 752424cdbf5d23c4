"""A small application for the tests of replay, search and validation: shoppers ask, a desk answers.

The scripted server plays three models. `app` names the order number when its prompt asks for it, `judge` finds
correct what names it, `optimizer` answers what the test tells it to, one proposal a question.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.config.loop import CodeConfig, LLMClassifyConfig, LoopConfig, PlatformConfig, PolicyConfig
from sia_dagster.core.evaluators.build import build_evaluator
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Message, Sample, Split, TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search import MeteredChat, SearchRules, SearchStrategy, SearchWork, search_policy
from sia_dagster.core.search.edits import Edits
from simulation.servers import Body, Reply, ScriptedServer, completion

Result = TypeVar("Result")


WINDOW = TimeWindow(key="2026-09-28", start=datetime(2026, 9, 28, tzinfo=UTC), end=datetime(2026, 10, 5, tzinfo=UTC))


PROMPT = "You answer shoppers.\nBe polite."


BASELINE = Actions(system_prompt=PROMPT, model="app", parameters={"temperature": 0})


ASK_FOR_ORDER = "Always name the order number."


BETTER = BASELINE.model_copy(update={"system_prompt": f"{PROMPT}\n{ASK_FOR_ORDER}"})


OTHER = BASELINE.model_copy(update={"system_prompt": f"{PROMPT}\nBe glad."})


POLICY = PolicyConfig(model="optimizer", candidates=1)


TEMPLATE = "Does the answer name the order?\n{input}\n{output}"


CORRECTNESS = EvalConstant(
    name="correctness",
    kind="llm_classify",
    fingerprint="f",
    criteria="The answer names the order number.",
    rails={"correct": 1.0, "incorrect": 0.0},
    primary=True,
)


BREVITY = EvalConstant(name="is_brief", kind="code", fingerprint="g", criteria="At most 12 words.")


NO_ORDER = "The answer does not name the order number."


def guarded_loop(**validation: Any) -> LoopConfig:
    """The configuration of a loop with a guardrail that has a margin of its own, and a safety evaluator."""
    return LoopConfig.model_validate(
        {
            "name": "desk",
            "traces": {"source": "local", "path": "traces"},
            "start": "2026-09-28",
            "evaluators": [
                {"name": "is_right", "kind": "code", "function": "shop.checks:is_right"},
                {"name": "is_brief", "kind": "code", "function": "shop.checks:is_brief", "margin": 0.1},
                {"name": "is_safe", "kind": "code", "function": "shop.checks:is_safe", "safety": True},
            ],
            "policy": {"model": "optimizer"},
            "validation": {"primary": "is_right"} | validation,
        }
    )


def is_brief(sample: Sample) -> bool:
    return len(sample.output.split()) <= 12


def said(label: str, explanation: str = NO_ORDER) -> EvalMetrics:
    score = {"correct": 1.0, "incorrect": 0.0}[label]
    return EvalMetrics(name="correctness", label=label, score=score, explanation=explanation)


def sample(number: int, split: Split, *evals: EvalMetrics, request: str = "") -> Sample:
    text = request or f"Where is my {split} parcel {number}?"
    return Sample(
        span_id=f"{split}-{number:02}",
        trace_id=f"t{number}",
        conversation_id=f"{split}/{number}",
        start_time=WINDOW.start,
        split=split,
        system_prompt=PROMPT,
        messages=(Message(role="user", content=text),),
        output=f"Soon, dear {split} shopper {number}.",
        model="app",
        evals=evals or (said("incorrect"),),
    )


def state(train: int = 3, selection: int = 6, holdout: int = 12) -> StateActions:
    sizes: Mapping[Split, int] = {"train": train, "selection": selection, "holdout": holdout}
    samples = [sample(number, split) for split, size in sizes.items() for number in range(size)]
    return state_of(*samples)


def state_of(*samples: Sample) -> StateActions:
    return StateActions(
        loop="desk", window=WINDOW, actions=BASELINE, samples=samples, eval_constants=(CORRECTNESS, BREVITY)
    )


def edit(text: str = ASK_FOR_ORDER, samples: Sequence[str] = ("train-00",), **fields: str) -> Body:
    return {"operation": "add", "find": "", "text": text, "samples": [*samples], "why": "It is missing."} | fields


def proposal(*edits: Body) -> Body:
    return completion(json.dumps({"thoughts": "The order number is missing.", "edits": list(edits)}))


class Shop:
    """The server's script; `proposals` are the optimizer's answers in order, the last of them for all that follow."""

    def __init__(self, *proposals: Body | Reply, answer: Callable[[str, str], Body | Reply] | None = None) -> None:
        self._proposals = [*(proposals or (proposal(edit()),))]
        self._answer = answer or answer_by_prompt

    def __call__(self, body: Body, _: int) -> Body | Reply:
        system, user = prompt_of(body), str(body["messages"][-1]["content"])
        if body["model"] == "app":
            return self._answer(system, user)
        if body["model"] == "judge":
            return judgement(user)
        return self._proposals.pop(0) if len(self._proposals) > 1 else self._proposals[0]


def prompt_of(body: Body) -> str:
    return str(body["messages"][0]["content"]) if body["messages"][0]["role"] == "system" else ""


def answer_by_prompt(system: str, user: str) -> Body | Reply:
    order = " Your order number is 7." if ASK_FOR_ORDER in system else ""
    chatter = " And so on" * 10 if "chatty" in system else ""
    return completion(f"To {user}{order}{chatter}")


def judgement(user: str) -> Body:
    quoted = re.search(r"<<<output (\w+)\n(.*?)\n\1 output>>>", user, re.S)
    right = quoted is not None and "order number" in quoted[2]
    found = ("It is correct.", "correct") if right else (NO_ORDER, "incorrect")
    return completion(json.dumps(dict(zip(("explanation", "label"), found, strict=True))))


def asked(server: ScriptedServer, model: str) -> list[Body]:
    return [body for body in server.requests if body["model"] == model]


def evaluators(chat: ChatModel) -> tuple[Evaluator, ...]:
    judge = LLMClassifyConfig(
        name="correctness", kind="llm_classify", model="judge", template=TEMPLATE, rails=dict(CORRECTNESS.rails)
    )
    brief = CodeConfig(name="is_brief", kind="code", function="sia_dagster_tests.worlds.search_world:is_brief")
    return (
        build_evaluator(PlatformConfig(name="csat", kind="platform"), chat=chat, template=None, primary=False),
        build_evaluator(brief, chat=chat, template=None, primary=False),
        build_evaluator(judge, chat=chat, template=TEMPLATE, primary=True),
    )


def in_shop(
    server: ScriptedServer,
    folder: Path,
    work: Callable[[ChatModel], Awaitable[Result]],
    *,
    store: str = "",
    prices: Mapping[str, Price] | None = None,
) -> Result:
    """Run `work` with the real client against the server; with an empty completion store unless `store` names one."""

    async def run() -> Result:
        config = LLMConfig(base_url=server.base_url, max_attempts=1, prices=dict(prices or {}))
        kept = SqliteStore(folder / f"{store or len(list(folder.iterdir()))}.sqlite")
        try:
            scope = LedgerScope(loop="desk", window=WINDOW.key)
            async with OpenAIChat(config, api_key=None, store=kept, scope=scope, endpoint="shop") as chat:
                return await work(chat)
        finally:
            kept.close()

    return asyncio.run(run())


def logged(before: StateActions) -> StateActions:
    """The same samples, answered by the very policy in force: their scores are known without a call."""
    brief = EvalMetrics(name="is_brief", score=1.0)
    samples = tuple(
        sample.model_copy(update={"parameters": BASELINE.parameters, "evals": (*sample.evals, brief)})
        for sample in before.samples
    )
    return before.model_copy(update={"samples": samples})


def search(
    server: ScriptedServer,
    folder: Path,
    before: StateActions,
    *,
    config: PolicyConfig = POLICY,
    strategies: Mapping[str, SearchStrategy] | None = None,
    rules: SearchRules | None = None,
    **kept: Any,
) -> PolicyUpdate:
    """The search of one window, by the default strategy; `kept` are arguments of `in_shop`."""

    async def work(chat: ChatModel) -> PolicyUpdate:
        metered = MeteredChat(chat, config)
        desk = SearchWork(before, metered, evaluators(metered), rules or SearchRules(workers=4), config)
        return await search_policy(desk, strategies or {"edits": Edits()})

    return in_shop(server, folder, work, **kept)
