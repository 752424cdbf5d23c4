"""The spend of a stage, and what its window may still spend under its caps."""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sia_dagster.adapters.engine.money.largest_calls import LargestCalls, ledger_key
from sia_dagster.adapters.engine.money.list_prices import price_of
from sia_dagster.adapters.engine.money.spend_cap import Amount, exceeded_cap, spend_cap_reached
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.answers import Answers
from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.ports.model import ChatReply, ChatRequest, endpoint_stage
from sia_dagster.core.records.spend import Spend


@dataclass(eq=False)
class Reservation:
    """The most that one call in flight is expected to cost, held against the caps until the call is settled."""

    line: str
    estimated_prompt: int
    amount: Amount


@dataclass
class _Line:
    """Spend of one stage and model."""

    calls: int = 0
    paid_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0
    left_out: set[str] = field(default_factory=set)
    costs: list[float] | None = field(default_factory=list)
    """USD of each distinct answer; None as soon as one of them has no price."""
    seen: set[str] = field(default_factory=set)

    def use(self, reply: ChatReply) -> None:
        """Add an answer that was not returned before."""
        self.prompt_tokens += reply.prompt_tokens
        self.cached_tokens += reply.cached_tokens
        self.completion_tokens += reply.completion_tokens
        self.reasoning_tokens += reply.reasoning_tokens
        self.seconds += reply.seconds
        self.left_out.update(reply.left_out)
        if self.costs is not None and reply.cost_usd is not None:
            self.costs.append(reply.cost_usd)
        else:
            self.costs = None

    def withdraw(self, reply: ChatReply) -> None:
        """Take back an answer that was added."""
        self.prompt_tokens -= reply.prompt_tokens
        self.cached_tokens -= reply.cached_tokens
        self.completion_tokens -= reply.completion_tokens
        self.reasoning_tokens -= reply.reasoning_tokens
        self.seconds -= reply.seconds
        if self.costs is not None and reply.cost_usd is not None:
            self.costs.remove(reply.cost_usd)

    def spend(self) -> Spend:
        # fsum: the total does not depend on the order of the answers.
        cost = None if self.costs is None else math.fsum(self.costs)
        return Spend(
            calls=self.calls,
            paid_calls=self.paid_calls,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
            reasoning_tokens=self.reasoning_tokens,
            cost_usd=cost,
            seconds=self.seconds,
            left_out=tuple(sorted(self.left_out)),
        )


class SpendLedger:
    """Counts what one stage spends, and keeps its window under the spend cap and the token cap.

    The caps hold over all stages, runs and processes of the window, since the amount spent is read from the store
    before each call. Calls in flight in this process count as much as the largest call so far of their stage and model.
    The first call of a stage and model cannot be predicted: it holds all that is left until it is settled, so with a
    cap it runs alone.
    """

    def __init__(self, config: LLMConfig, *, answers: Answers, scope: LedgerScope) -> None:
        self._config, self._answers, self._scope = config, answers, scope
        self._prices = {stage: config.at(stage).prices for stage in config.stages}
        self._lines: dict[str, _Line] = {}
        self._largest = LargestCalls()
        self._held: set[Reservation] = set()
        self._settled = asyncio.Event()

    @property
    def spend(self) -> Mapping[str, Spend]:
        """Spend by `stage model`, sorted. Tokens and cost count once for each distinct answer.

        They do not depend on whether an answer was paid for in this run or an earlier one; only `paid_calls` does.
        """
        return {name: self._lines[name].spend() for name in sorted(self._lines)}

    def use(self, request: ChatRequest, key: str, reply: ChatReply) -> None:
        """Count an answer that is returned to a caller."""
        line = self._line(request)
        line.calls += 1
        if key not in line.seen:
            line.seen.add(key)
            line.use(reply)

    def withdraw(self, request: ChatRequest, key: str, reply: ChatReply) -> None:
        """No longer count an answer that was of no use; the window has paid for it all the same."""
        line = self._line(request)
        if key in line.seen:
            line.calls -= 1
            line.seen.discard(key)
            line.withdraw(reply)

    def price(self, request: ChatRequest) -> Price | None:
        """The price of the request's model in its stage; None where it is unknown."""
        return price_of(request.model, self._prices.get(endpoint_stage(request.stage), self._config.prices))

    async def reserve(self, request: ChatRequest, *, estimated_prompt: int) -> Reservation:
        """Hold what the call may cost. Waits while it would fit under the caps but for calls in flight.

        Raises SpendCapReached where it does not fit even without them, ConfigError where a USD cap is set and the
        model's price is unknown.
        """
        self._check_countable(request)
        self._line(request)
        if self._config.budget_usd is None and self._config.budget_tokens is None:
            return self._hold(request, estimated_prompt, Amount())
        while True:
            before = set(self._held)
            spent = Amount(*await self._answers.spent(self._scope))
            expected = self._largest.expected(request, estimated_prompt, self.price(request))
            if exceeded_cap(spent + expected, self._config):
                where = f"{self._scope.loop} {self._scope.window}"
                raise spend_cap_reached(where, ledger_key(request), spent, expected, self._config)
            # A call settled while the store was read may not be part of `spent` yet: it still counts as held.
            if exceeded_cap(spent + _sum(before | self._held) + expected, self._config) is None:
                amount = self._predicted(request, expected, spent + _sum(self._held))
                return self._hold(request, estimated_prompt, amount)
            if before <= self._held:
                self._settled.clear()
                await self._settled.wait()

    def settle(self, reservation: Reservation, reply: ChatReply | None) -> None:
        """Release the reservation. With a `reply` the call was paid for, and later estimates take it into account."""
        self._held.discard(reservation)
        self._settled.set()
        if reply is None:
            return
        self._lines[reservation.line].paid_calls += 1
        self._largest.learn(reservation.line, reservation.estimated_prompt, reply)

    def _line(self, request: ChatRequest) -> _Line:
        return self._lines.setdefault(ledger_key(request), _Line())

    def _predicted(self, request: ChatRequest, expected: Amount, taken: Amount) -> Amount:
        """`expected`, or all that is left where no call of this stage and model was answered yet."""
        if self._largest.knows(request):
            return expected
        usd = (self._config.budget_usd or 0.0) - taken.usd
        tokens = (self._config.budget_tokens or 0) - taken.tokens
        return Amount(max(usd, expected.usd), max(tokens, expected.tokens))

    def _hold(self, request: ChatRequest, estimated_prompt: int, amount: Amount) -> Reservation:
        reservation = Reservation(ledger_key(request), estimated_prompt, amount)
        self._held.add(reservation)
        return reservation

    def _check_countable(self, request: ChatRequest) -> None:
        if self._config.budget_usd is not None and self.price(request) is None:
            raise ConfigError(
                f"llm.budget_usd cannot be enforced, since the price of {request.model!r} is unknown: give it as "
                f"`{request.model}: {{input: ..., output: ...}}` (USD for a million tokens), or use llm.budget_tokens",
                key="llm.prices",
            )


def _sum(held: Iterable[Reservation]) -> Amount:
    return sum((reservation.amount for reservation in held), Amount())
