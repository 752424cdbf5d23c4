"""The real chat model wired for tests: a store, a window, and waits that are noted instead of slept."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.spend import Spend
from sia_dagster.wiring.endpoint import open_store

KEY = "sk-secret-0123456789abcdef"


WINDOW = LedgerScope(loop="desk", window="2026-11-02")


def ask(text: str = "Is it so?", **fields: Any) -> ChatRequest:
    """A request with one user message."""
    given = {"model": "gpt-4o-mini", "stage": "judge", "messages": ({"role": "user", "content": text},)}
    return ChatRequest.model_validate(given | fields)


class Waits(list[float]):
    """Plays `sleep`: notes the seconds and gives others a turn."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0)


class Desk:
    """Runs requests through one OpenAIChat a call, over one store that stays."""

    def __init__(self, base_url: str, folder: Path, **config: Any) -> None:
        self.config = LLMConfig.model_validate({"base_url": base_url, "api_key": "DESK_KEY"} | config)
        self.path = folder / "completions.sqlite"
        self.waits = Waits()
        self.spend: dict[str, Spend] = {}
        self.key: str | None = KEY

    def ask(self, *requests: ChatRequest, workers: int | None = None) -> list[ChatReply | Exception]:
        """The answers or errors in order; all are asked at once, or `workers` at a time."""
        outcomes: list[ChatReply | Exception] = self.run(lambda chat: _ask(chat, requests, workers or len(requests)))
        return outcomes

    def one(self, request: ChatRequest) -> ChatReply:
        """The answer. Raises what `complete` raises."""
        (outcome,) = self.ask(request)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def run(self, scene: Callable[[OpenAIChat], Any]) -> Any:
        """Run `scene(chat)` inside the chat's block."""

        async def block() -> Any:
            chat = OpenAIChat(
                self.config, api_key=self.key, store=store, scope=WINDOW, endpoint="server", sleep=self.waits
            )
            try:
                async with chat:
                    return await scene(chat)
            finally:
                self.spend = dict(chat.spend)

        store = open_store(self.config, self.path)
        try:
            return asyncio.run(asyncio.wait_for(block(), 60))
        finally:
            store.close()

    def spent(self) -> tuple[float, int]:
        """What the store says the window has paid."""
        store = open_store(self.config, self.path)
        try:
            return store.spent(WINDOW.loop, WINDOW.window)
        finally:
            store.close()


async def _ask(chat: OpenAIChat, requests: Iterable[ChatRequest], workers: int) -> list[ChatReply | Exception]:
    room = asyncio.Semaphore(workers)

    async def one(request: ChatRequest) -> ChatReply | Exception:
        async with room:
            try:
                return await chat.complete(request)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                return error

    return await asyncio.gather(*(one(request) for request in requests))
