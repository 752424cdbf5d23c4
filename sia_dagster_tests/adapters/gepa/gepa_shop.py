"""The shop of the search's tests with a model that writes whole prompts, and a search of `gepa` in it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.adapters.gepa import Gepa
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search import MeteredChat, SearchRules, SearchWork, search_policy
from sia_dagster_tests.worlds.search_world import ASK_FOR_ORDER, PROMPT, WINDOW, Shop, evaluators, state
from simulation.servers import Body, Reply, completion

USEFUL = f"{PROMPT}\nName the order number in every second answer."
BEST = f"{PROMPT}\n{ASK_FOR_ORDER}"
OVERFITTED = f"{PROMPT}\nName the order number to these few."
USELESS = f"{PROMPT}\nSound glad."
POLICY = PolicyConfig(model="optimizer", updater="gepa")


def logged(before: StateActions) -> StateActions:
    """The samples as the policy in force gave them, settings included."""
    samples = [sample.model_copy(update={"parameters": {"temperature": 0}}) for sample in before.samples]
    return before.model_copy(update={"samples": tuple(samples)})


STATE = logged(state(train=6, selection=12))
SCOPE = LedgerScope(loop="desk", window=WINDOW.key)


def written(prompt: str, *samples: str) -> Body:
    """The optimizer's answer: a whole prompt, for the sake of these samples."""
    return completion(json.dumps({"thoughts": "It is missing.", "samples": [*samples], "system_prompt": prompt}))


class WritingShop(Shop):
    """The optimizer gives these answers in turn, the last one again and again; a text is a prompt for all it saw."""

    def __init__(self, *answers: str | Body | Reply) -> None:
        super().__init__(answer=_answer)
        self._answers, self._given = answers, 0

    def __call__(self, body: Body, number: int) -> Body | Reply:
        if body["model"] != "optimizer":
            return super().__call__(body, number)
        self._given += 1
        answer = self._answers[min(self._given, len(self._answers)) - 1]
        return written(answer, *shown_in(body)) if isinstance(answer, str) else answer


def shown_in(question: Body) -> list[str]:
    """The ids of the samples that the optimizer is shown."""
    return re.findall(r"^Sample (\S+) \(", str(question["messages"][-1]["content"]), re.M)


def _answer(system: str, user: str) -> Body:
    even = int(re.findall(r"\d+", user)[-1]) % 2 == 0
    named = ASK_FOR_ORDER in system or ("every second" in system and even) or (OVERFITTED in system and "train" in user)
    named = named and "no order" not in user
    return completion(f"To {user}{' Your order number is 7.' if named else ''}")


def search(base_url: str, store: Path, policy: PolicyConfig = POLICY, before: StateActions = STATE) -> PolicyUpdate:
    """One search with the real client and library, over the completion store at `store`."""

    async def run() -> PolicyUpdate:
        async with shop_chat(base_url, store) as chat:
            return await searched(chat, policy, before)

    return asyncio.run(run())


@asynccontextmanager
async def shop_chat(base_url: str, store: Path) -> AsyncIterator[OpenAIChat]:
    config = LLMConfig(base_url=base_url, max_attempts=1)
    with closing(SqliteStore(store)) as completions:
        async with OpenAIChat(config, api_key=None, store=completions, scope=SCOPE, endpoint="shop") as chat:
            yield chat


async def searched(chat: ChatModel, policy: PolicyConfig = POLICY, before: StateActions = STATE) -> PolicyUpdate:
    """One request at a time, so that their order is the search's own."""
    metered = MeteredChat(chat, policy)
    work = SearchWork(before, metered, evaluators(metered), SearchRules(workers=1), policy)
    return await search_policy(work, {"gepa": Gepa()})
