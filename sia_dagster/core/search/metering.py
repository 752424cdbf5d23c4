"""The model of a search: counts its answers by purpose, keeps to the search's own cap, and books them by themselves."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.errors import CallFailed, ModelCallError, SearchCapReached
from sia_dagster.core.ports.model import ChatModel, ChatReply, ChatRequest
from sia_dagster.core.records.spend import Spend

Purpose = Literal["propose", "probe", "race"]
_LABELS: dict[Purpose, str] = {"propose": "", "probe": "/probe", "race": "/selection"}
"""What is added to the ledger's stage, so that a search's replays and judgements are told from those of validation."""


class Usage(NamedTuple):
    """Answers of a search, or of a part of it."""

    calls: Mapping[Purpose, int]
    usd: float
    """Of the answers whose price is known."""
    unpriced: int

    @property
    def total(self) -> int:
        """All answers."""
        return sum(self.calls.values())

    @property
    def cost_usd(self) -> float | None:
        """None where a model's price is unknown."""
        return None if self.unpriced else self.usd

    def since(self, earlier: "Usage") -> "Usage":
        """What came after `earlier`."""
        calls = Counter(self.calls) - Counter(earlier.calls)
        return Usage(dict(sorted(calls.items())), round(self.usd - earlier.usd, 9), self.unpriced - earlier.unpriced)


@dataclass(eq=False)
class _Step:
    purpose: Purpose
    reserved: int
    """Answers that are still to come."""


_step: ContextVar[_Step | None] = ContextVar("step", default=None)


class MeteredChat:
    """Passes requests on to `chat`, within `policy.search_calls` answers and `policy.search_usd`.

    An answer from the completion store counts like one that is paid for: a search that was killed and is run again
    takes the same way.
    """

    def __init__(self, chat: ChatModel, config: PolicyConfig) -> None:
        self._chat, self._calls, self._usd = chat, config.search_calls, config.search_usd
        self._costs: list[float | None] = []
        self._used: Counter[Purpose] = Counter()
        self._steps: list[_Step] = []
        self.stopped: ModelCallError | None = None
        """What must stop the window, whatever a strategy makes of it: the endpoint refuses, or the window's cap."""

    @property
    def usage(self) -> Usage:
        """The answers so far."""
        known = [cost for cost in self._costs if cost is not None]
        return Usage(dict(self._used), round(math.fsum(known), 9), len(self._costs) - len(known))

    @property
    def left(self) -> int:
        """Answers that the cap still allows; none once `policy.search_usd` is spent."""
        if self._usd is not None and self.usage.usd >= self._usd:
            return 0
        return max(0, self._calls - self._used.total() - sum(max(0, step.reserved) for step in self._steps))

    @property
    def cap_sentence(self) -> str:
        """What was used of the cap."""
        usage = self.usage
        usd = "" if self._usd is None else f", {usage.usd:.4f} of {self._usd:g} USD (policy.search_usd)"
        return f"the search's cap is reached: {usage.total} of {self._calls} answers (policy.search_calls){usd}"

    @contextmanager
    def step(self, purpose: Purpose, calls: int) -> Iterator[None]:
        """Within it, requests of this task and of those that it starts are booked for `purpose`.

        It is taken whole or not at all: raises SearchCapReached unless the cap allows `calls` more answers.
        """
        if calls > self.left:
            raise SearchCapReached(self.cap_sentence)
        step = _Step(purpose, calls)
        self._steps.append(step)
        token = _step.set(step)
        try:
            yield
        finally:
            _step.reset(token)
            self._steps.remove(step)

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See `core.ports.ChatModel.complete`. Outside a step it is one of its own; raises SearchCapReached, too."""
        step = _step.get()
        if step is None:
            with self.step("propose", 1):
                return await self.complete(request)
        self._count(step, 1)  # Before the answer, so that requests in flight count.
        try:
            reply = await self._chat.complete(self._booked(request))
        except BaseException as error:
            self._count(step, -1)
            if isinstance(error, ModelCallError) and not isinstance(error, CallFailed):
                self.stopped = self.stopped or error
            raise
        self._costs.append(reply.cost_usd)
        return reply

    def _count(self, step: _Step, answers: int) -> None:
        self._used[step.purpose] += answers
        step.reserved -= answers

    async def stored(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply | None]:
        """See `core.ports.ChatModel.stored`."""
        return await self._chat.stored([self._booked(request) for request in requests])

    def ignores_form(self, request: ChatRequest) -> bool:
        """See `core.ports.ChatModel.ignores_form`."""
        return self._chat.ignores_form(self._booked(request))

    def learn_form(self, request: ChatRequest) -> None:
        """See `core.ports.ChatModel.learn_form`."""
        self._chat.learn_form(self._booked(request))

    def learn_ignored_form(self, request: ChatRequest) -> None:
        """See `core.ports.ChatModel.learn_ignored_form`."""
        self._chat.learn_ignored_form(self._booked(request))

    def withdraw(self, request: ChatRequest, reply: ChatReply) -> None:
        """See `core.ports.ChatModel.withdraw`."""
        self._count(_step.get() or _Step("propose", 0), -1)
        if reply.cost_usd in self._costs:
            self._costs.remove(reply.cost_usd)
        self._chat.withdraw(self._booked(request), reply)

    @property
    def pending(self) -> int:
        """See `core.ports.ChatModel.pending`."""
        return self._chat.pending

    @property
    def spend(self) -> Mapping[str, Spend]:
        """See `core.ports.ChatModel.spend`."""
        return self._chat.spend

    def _booked(self, request: ChatRequest) -> ChatRequest:
        step = _step.get()
        label = _LABELS[step.purpose] if step else ""
        return request.model_copy(update={"stage": f"{request.stage}{label}"}) if label else request
