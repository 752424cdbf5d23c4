"""The model of a search: counts its answers by purpose, keeps to the search's own cap, and books them by themselves."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.errors import SearchCapReached
from sia_dagster.core.ports.model import ChatModel, ChatReply, ChatRequest
from sia_dagster.core.records.spend import Spend

Purpose = Literal["propose", "probe", "race"]
_LABELS: dict[Purpose, str] = {"propose": "", "probe": "/probe", "race": "/selection"}
"""What is added to the ledger's stage, so that a search's replays and judgements are told from those of validation."""
_purpose: ContextVar[Purpose] = ContextVar("purpose", default="propose")


class MeteredChat:
    """Passes requests on to `chat`, within `policy.search_calls` answers and `policy.search_usd`.

    An answer from the completion store counts like one that is paid for: a search that was killed and is run again
    takes the same way.
    """

    def __init__(self, chat: ChatModel, config: PolicyConfig) -> None:
        self._chat, self._calls, self._usd = chat, config.search_calls, config.search_usd
        self._costs: list[float | None] = []
        self.used: Counter[Purpose] = Counter()
        """Answers so far, by purpose."""

    @property
    def left(self) -> int:
        """Answers that the cap still allows; none once `policy.search_usd` is spent."""
        spent = self.cost_usd
        if self._usd is not None and spent is not None and spent >= self._usd:
            return 0
        return max(0, self._calls - self.used.total())

    @property
    def cost_usd(self) -> float | None:
        """The cost of the answers so far; None where a model's price is unknown."""
        known = [cost for cost in self._costs if cost is not None]
        return None if len(known) < len(self._costs) else round(math.fsum(known), 9)

    def reserve(self, calls: int) -> None:
        """Raise SearchCapReached unless the cap allows `calls` more answers: a step is taken whole or not at all."""
        if calls > self.left:
            raise SearchCapReached(self.cap_sentence)

    @property
    def cap_sentence(self) -> str:
        """What was used of the cap."""
        usd = "" if self._usd is None else f", {self.cost_usd or 0.0:.4f} of {self._usd:g} USD (policy.search_usd)"
        return f"the search's cap is reached: {self.used.total()} of {self._calls} answers (policy.search_calls){usd}"

    @contextmanager
    def purpose(self, purpose: Purpose) -> Iterator[None]:
        """Within it, requests of this task and of those that it starts are booked for `purpose`."""
        token = _purpose.set(purpose)
        try:
            yield
        finally:
            _purpose.reset(token)

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See `core.ports.ChatModel.complete`; raises SearchCapReached, too."""
        self.reserve(1)
        purpose = _purpose.get()
        self.used[purpose] += 1  # Before the answer, so that requests in flight count.
        try:
            reply = await self._chat.complete(self._booked(request))
        except BaseException:
            self.used[purpose] -= 1
            raise
        self._costs.append(reply.cost_usd)
        return reply

    async def stored(self, request: ChatRequest) -> ChatReply | None:
        """See `core.ports.ChatModel.stored`."""
        return await self._chat.stored(self._booked(request))

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
        self.used[_purpose.get()] -= 1
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
        label = _LABELS[_purpose.get()]
        return request.model_copy(update={"stage": f"{request.stage}{label}"}) if label else request
