"""When a call that has its slot in flight may start: in order of arrival, and not during a hold."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sia_dagster.adapters.engine.rate_limits.rate_schedule import BURST, LONGEST_CALL, Rates
from sia_dagster.adapters.engine.rate_limits.shared_limits import SharedLimits
from sia_dagster.adapters.engine.wire.completions import answer_limit
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.adapters.engine.wire.rate_headers import LONGEST_WAIT, read_limits
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.spend import spend_key

FIRST_COMPLETION = 256
"""Tokens of a first answer, where the request sets no limit."""

_LARGEST = 10**9
"""Tokens of a call where nothing limits them."""

_MOST_AT_ONCE = 1000
"""Calls in one reservation."""


class Turn(NamedTuple):
    """The permission of a call to start."""

    key: str
    """Its stage and model."""
    estimated_prompt: int
    tokens: int
    """Reserved for it."""


class _Reserved(NamedTuple):
    at: float
    tokens: int


class Pace:
    """Spreads one process's calls over `requests_per_minute` and `tokens_per_minute`, which all processes share.

    Every attempt counts as a request, retries included. Its tokens are estimated before it starts, from how far earlier
    calls of its stage and model exceeded the estimates of their prompts, and corrected afterwards. A few waiting calls
    are reserved at a time; they start in order. During a hold no call of this process starts. Without limits only holds
    apply.
    """

    def __init__(
        self,
        config: LLMConfig,
        *,
        limits: Path,
        account: str,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`limits` is the file that the processes share, see `SharedLimits`; nothing is opened yet."""
        rates = Rates.of(config.requests_per_minute, config.tokens_per_minute)
        limited = rates != Rates()
        self._shared = SharedLimits(limits, account=account, rates=rates, time=clock) if limited else None
        self._largest = int(LONGEST_CALL / rates.token) if rates.token else _LARGEST
        self._sleep, self._clock = sleep, clock
        self._held_until = 0.0
        self._order, self._door = asyncio.Lock(), asyncio.Lock()
        self._waiting: dict[object, int] = {}
        self._reserved: deque[_Reserved] = deque()
        self._owed = 0
        self._beyond: dict[str, float] = {}

    async def turn(self, request: ChatRequest, *, estimated_prompt: int) -> Turn:
        """Wait until the call may start. Raises SiaError where the shared file cannot be used."""
        key = spend_key(request.stage, request.model)
        reserved = 0
        if self._shared is None:
            await self._until(self._held_until)
        else:
            reserved = await self._in_line(self._shared, self._expected(key, request, estimated_prompt))
        # Calls that start in the same iteration of the event loop are answered in the same one, and each then waits for
        # the work on all others: with a hundred in flight that costs a tenth of a second a call. Here they spread.
        async with self._door:
            await asyncio.sleep(0)
        return Turn(key, estimated_prompt, reserved)

    def settle(self, turn: Turn, outcome: ChatReply | Failure) -> None:
        """Count what an attempt used: nothing where the endpoint refused it, the estimate where it is unknown."""
        if isinstance(outcome, ChatReply):
            used = outcome.prompt_tokens + outcome.completion_tokens
            beyond = used - turn.estimated_prompt
            known = self._beyond.get(turn.key, beyond)
            self._beyond[turn.key] = known + (beyond - known) / 8
            self._owed += min(used, self._largest) - turn.tokens
        elif outcome.status is not None and outcome.status >= 400:
            self._owed -= turn.tokens

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Hold calls where a reply's headers leave less than the next call takes."""
        if self._shared is None or (limits := read_limits(headers)) is None:
            return
        wait = limits.wait(tokens=max(self._waiting.values(), default=1))
        if wait and self.hold(wait):
            # The reply is being read: an error here would lose an answer that is paid for. The next call raises it.
            with suppress(SiaError):
                self._shared.put_off(self._held_until)

    def hold(self, seconds: float) -> bool:
        """Start no call of this process for `seconds`, at most LONGEST_WAIT; returns whether this extends the hold."""
        until = self._clock() + min(seconds, LONGEST_WAIT)
        later = until > self._held_until
        self._held_until = max(self._held_until, until)
        return later

    def close(self) -> None:
        """Correct what is reserved in excess, and close the file."""
        if self._shared is not None:
            unused = sum(reserved.tokens for reserved in self._reserved)
            self._reserved.clear()
            # All answers are stored: a file whose state is void after a minute must not fail the stage.
            with suppress(SiaError):
                if self._owed - unused:
                    self._shared.reserve([], owed=self._owed - unused)
            self._owed = 0
            self._shared.close()

    async def _in_line(self, shared: SharedLimits, tokens: int) -> int:
        """Wait for a start time; returns the tokens reserved with it, which may have been meant for another call."""
        ticket = object()
        self._waiting[ticket] = tokens
        try:
            async with self._order:
                return await self._started(shared)
        finally:
            del self._waiting[ticket]

    async def _started(self, shared: SharedLimits) -> int:
        reserved = self._next(shared)
        try:
            await self._until(reserved.at)
            await self._until(self._held_until)
        except BaseException:
            self._reserved.appendleft(reserved)
            raise
        return reserved.tokens

    def _next(self, shared: SharedLimits) -> _Reserved:
        # Reservations left over from a hold or an emptied queue would be a burst now.
        while self._reserved and self._reserved[0].at < self._clock() - BURST:
            self._owed -= self._reserved.popleft().tokens
        if not self._reserved:
            calls = list(self._waiting.values())[:_MOST_AT_ONCE]
            times, self._owed = shared.reserve(calls, owed=self._owed), 0
            self._reserved.extend(map(_Reserved, times, calls))
        return self._reserved.popleft()

    def _expected(self, key: str, request: ChatRequest, estimated_prompt: int) -> int:
        """The tokens of a call; one that is larger than a minute's counts as a minute, here as in `plan`."""
        beyond = self._beyond.get(key)
        if beyond is None:
            beyond = answer_limit(request) or FIRST_COMPLETION
        return min(max(1, estimated_prompt + round(beyond)), self._largest)

    async def _until(self, at: float) -> None:
        if (seconds := at - self._clock()) > 0:
            await self._sleep(seconds)
