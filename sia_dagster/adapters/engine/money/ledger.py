"""What a stage used and what a window may still spend."""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sia_dagster.adapters.engine.money.cap import Amount, budget_reached, over
from sia_dagster.adapters.engine.money.list_prices import price_of
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.answers import Answers
from sia_dagster.adapters.engine.wire.completions import answer_limit
from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.spend import Spend


@dataclass(eq=False)
class Reservation:
    """What one call in flight may cost, held against the cap until it is settled."""

    line: str
    estimated_prompt: int
    amount: Amount


@dataclass
class _Line:
    """One stage and model: what was used, and the dearest call so far, which the next is expected to be at most."""

    calls: int = 0
    paid_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0
    left_out: set[str] = field(default_factory=set)
    costs: list[float] | None = field(default_factory=list)
    """One a distinct answer; None where one of them has no price."""
    most_prompt_ratio: float = 0.0
    most_completion: int | None = None
    seen: set[str] = field(default_factory=set)

    def use(self, reply: ChatReply) -> None:
        """Add an answer that was not handed out before."""
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

    def spend(self) -> Spend:
        # fsum: the same total in whatever order answers came.
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
    """Counts one stage's use, and keeps a window under its caps.

    The caps hold over all stages, runs and processes of the window, since what is spent is read from the store
    before each call. Calls in flight in this process are counted as dear as the dearest so far of their stage and
    model. The first of its kind cannot be predicted: it holds all that is left until it is settled, so with a cap
    it runs alone.
    """

    def __init__(self, config: LLMConfig, *, answers: Answers, scope: LedgerScope) -> None:
        self._config, self._answers, self._scope = config, answers, scope
        self._prices = {stage: config.at(stage).prices for stage in config.stages}
        self._lines: dict[str, _Line] = {}
        self._held: set[Reservation] = set()
        self._settled = asyncio.Event()

    @property
    def spend(self) -> Mapping[str, Spend]:
        """What was used, by `stage model`, in that order. Tokens and cost count once for each distinct answer.

        They are the same whether an answer was paid for in this run or an earlier one; only `paid_calls` differs.
        """
        return {name: self._lines[name].spend() for name in sorted(self._lines)}

    def use(self, request: ChatRequest, key: str, reply: ChatReply) -> None:
        """Count an answer that was handed out."""
        line = self._line(request)
        line.calls += 1
        if key not in line.seen:
            line.seen.add(key)
            line.use(reply)

    def price(self, request: ChatRequest) -> Price | None:
        """What the request's model costs in its stage; None where that is unknown."""
        return price_of(request.model, self._prices.get(request.stage, self._config.prices))

    async def reserve(self, request: ChatRequest, *, estimated_prompt: int) -> Reservation:
        """Hold what the call may cost. Waits while only calls in flight stand between it and the cap.

        Raises SpendCapReached where it does not fit even then, ConfigError where a USD cap cannot count this model.
        """
        self._check_countable(request)
        if self._config.budget_usd is None and self._config.budget_tokens is None:
            return self._hold(request, estimated_prompt, Amount())
        while True:
            before = set(self._held)
            spent = Amount(*await self._answers.spent(self._scope))
            expected = self._expected(request, estimated_prompt)
            if over(spent + expected, self._config):
                where = f"{self._scope.loop} {self._scope.window}"
                raise budget_reached(where, line_of(request), spent, expected, self._config)
            # A call that was settled while the store was asked may not be in what is spent yet: it counts as held.
            if over(spent + _sum(before | self._held) + expected, self._config) is None:
                amount = self._predicted(request, expected, spent + _sum(self._held))
                return self._hold(request, estimated_prompt, amount)
            if before <= self._held:
                self._settled.clear()
                await self._settled.wait()

    def settle(self, reservation: Reservation, reply: ChatReply | None) -> None:
        """Give back what was held; with a `reply` it was paid for, and the next estimates learn from it."""
        self._held.discard(reservation)
        self._settled.set()
        if reply is None:
            return
        line = self._lines[reservation.line]
        line.paid_calls += 1
        ratio = reply.prompt_tokens / max(1, reservation.estimated_prompt)
        line.most_prompt_ratio = max(line.most_prompt_ratio, ratio)
        line.most_completion = max(line.most_completion or 0, reply.completion_tokens)

    def _line(self, request: ChatRequest) -> _Line:
        return self._lines.setdefault(line_of(request), _Line())

    def _expected(self, request: ChatRequest, estimated_prompt: int) -> Amount:
        line = self._line(request)
        if line.most_completion is None:
            return self._amount(request, estimated_prompt, 0)
        completion = min(line.most_completion, answer_limit(request) or line.most_completion)
        return self._amount(request, estimated_prompt * line.most_prompt_ratio, completion)

    def _amount(self, request: ChatRequest, prompt: float, completion: float) -> Amount:
        price = self.price(request)
        return Amount(price.cost(prompt, completion) if price else 0.0, prompt + completion)

    def _predicted(self, request: ChatRequest, expected: Amount, taken: Amount) -> Amount:
        """`expected`, or all that is left where nothing is known of such calls."""
        if self._line(request).most_completion is not None:
            return expected
        usd = (self._config.budget_usd or 0.0) - taken.usd
        tokens = (self._config.budget_tokens or 0) - taken.tokens
        return Amount(max(usd, expected.usd), max(tokens, expected.tokens))

    def _hold(self, request: ChatRequest, estimated_prompt: int, amount: Amount) -> Reservation:
        self._line(request)
        reservation = Reservation(line_of(request), estimated_prompt, amount)
        self._held.add(reservation)
        return reservation

    def _check_countable(self, request: ChatRequest) -> None:
        if self._config.budget_usd is not None and self.price(request) is None:
            raise ConfigError(
                f"llm.budget_usd cannot be kept, since the price of {request.model!r} is unknown: give it as "
                f"`{request.model}: {{input: ..., output: ...}}` (USD for a million tokens), or use llm.budget_tokens",
                key="llm.prices",
            )


def _sum(held: Iterable[Reservation]) -> Amount:
    return sum((reservation.amount for reservation in held), Amount())


def line_of(request: ChatRequest) -> str:
    """The line of the ledger: stage and model."""
    return f"{request.stage} {request.model}".strip()
