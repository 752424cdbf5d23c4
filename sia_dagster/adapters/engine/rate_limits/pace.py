"""When a call that has its place in flight may start: in the order of the line, and not while a hold lasts."""

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
from sia_dagster.adapters.engine.wire.rate_headers import LONGEST_WAIT, told_limits
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply, ChatRequest

FIRST_COMPLETION = 256
"""Tokens of a first answer, where the request sets no limit."""


_LARGEST = 10**9
"""Tokens of a call where nothing limits them."""


_MOST_AT_ONCE = 1000
"""Calls in one reservation."""


class Turn(NamedTuple):
    """A call's leave to start."""

    line: str
    """Its stage and model."""
    estimated_prompt: int
    tokens: int
    """What was reserved for it."""


class _Reserved(NamedTuple):
    at: float
    tokens: int


class Pace:
    """Spreads one process's calls over `requests_per_minute` and `tokens_per_minute`, which all processes share.

    Every attempt takes a request, retries too. Its tokens are estimated before, from what earlier calls of its stage
    and model took beyond their prompts' estimates, and settled after. A few calls at a time are reserved, for those
    that wait; they start in order. A hold stops every start of this process until it is over. Without limits only
    holds remain.
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
        self._line, self._door = asyncio.Lock(), asyncio.Lock()
        self._waiting: dict[object, int] = {}
        self._reserved: deque[_Reserved] = deque()
        self._owed = 0
        self._beyond: dict[str, float] = {}

    async def turn(self, request: ChatRequest, *, estimated_prompt: int) -> Turn:
        """Wait until the call may start. Raises SiaError where the shared file cannot be used."""
        line = f"{request.stage} {request.model}"
        reserved = 0
        if self._shared is None:
            await self._until(self._held_until)
        else:
            reserved = await self._in_line(self._shared, self._expected(line, request, estimated_prompt))
        # Calls that start in one turn of the event loop are answered in one turn too, and then each waits for the work
        # on all the others: with a hundred in flight that costs a tenth of a second a call. One at a time they spread.
        async with self._door:
            await asyncio.sleep(0)
        return Turn(line, estimated_prompt, reserved)

    def settle(self, turn: Turn, outcome: ChatReply | Failure) -> None:
        """Count what an attempt really used: nothing where the endpoint refused it, the estimate where nobody knows."""
        if isinstance(outcome, ChatReply):
            used = outcome.prompt_tokens + outcome.completion_tokens
            beyond = used - turn.estimated_prompt
            known = self._beyond.get(turn.line, beyond)
            self._beyond[turn.line] = known + (beyond - known) / 8
            self._owed += min(used, self._largest) - turn.tokens
        elif outcome.status is not None and outcome.status >= 400:
            self._owed -= turn.tokens

    def heard(self, headers: Mapping[str, str]) -> None:
        """Take the endpoint's word, where it says that less is left than the next call takes."""
        if self._shared is None or (told := told_limits(headers)) is None:
            return
        wait = told.wait(tokens=max(self._waiting.values(), default=1))
        if wait and self.hold(wait):
            # The reply is under way: an error here would cost an answer that is paid for. The next call meets it.
            with suppress(SiaError):
                self._shared.put_off(self._held_until)

    def hold(self, seconds: float) -> bool:
        """Start no call of this process for so long, at most LONGEST_WAIT; whether that is later than known."""
        until = self._clock() + min(seconds, LONGEST_WAIT)
        later = until > self._held_until
        self._held_until = max(self._held_until, until)
        return later

    def close(self) -> None:
        """Settle what is open, and close the file."""
        if self._shared is not None:
            unused = sum(reserved.tokens for reserved in self._reserved)
            self._reserved.clear()
            # All answers are there, so that a file which is worth nothing after a minute fails no stage.
            with suppress(SiaError):
                if self._owed - unused:
                    self._shared.reserve([], owed=self._owed - unused)
            self._owed = 0
            self._shared.close()

    async def _in_line(self, shared: SharedLimits, tokens: int) -> int:
        """Wait for a time to start; returns the tokens reserved with it, which may have been meant for another."""
        ticket = object()
        self._waiting[ticket] = tokens
        try:
            async with self._line:
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
        # What a hold, or a line that emptied, left behind would be a burst now.
        while self._reserved and self._reserved[0].at < self._clock() - BURST:
            self._owed -= self._reserved.popleft().tokens
        if not self._reserved:
            calls = list(self._waiting.values())[:_MOST_AT_ONCE]
            times, self._owed = shared.reserve(calls, owed=self._owed), 0
            self._reserved.extend(map(_Reserved, times, calls))
        return self._reserved.popleft()

    def _expected(self, line: str, request: ChatRequest, estimated_prompt: int) -> int:
        """The tokens of a call; one that is larger than a minute's counts as a minute, here as in `plan`."""
        beyond = self._beyond.get(line)
        if beyond is None:
            beyond = answer_limit(request) or FIRST_COMPLETION
        return min(max(1, estimated_prompt + round(beyond)), self._largest)

    async def _until(self, at: float) -> None:
        if (seconds := at - self._clock()) > 0:
            await self._sleep(seconds)
