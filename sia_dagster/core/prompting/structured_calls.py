"""Structured answers from any endpoint: which way of asking it answers in the form asked for, found out once."""

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal, NamedTuple

from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatModel, ChatReply, ChatRequest
from sia_dagster.core.prompting.quoting import quoted_in
from sia_dagster.core.prompting.structured_answer import Answer, AnswerMethod, Form
from sia_dagster.core.text import without_name

_FORMAT = re.compile(r"response_format|json|schema|structured output|grammar|\btools?\b|tool_choice|function", re.I)

ALONE: Final = 3
"""Rows that are asked one by one while none of them says anything about the way of asking; then the number of those
that are asked together doubles with each so many."""

MOST_EXHAUSTED: Final = 3
"""Rows for which every way is tried in vain; all others are then asked once."""

SURE: Final = 2
"""Rows whose answers have another form, and in a later way the right one: fewer are no proof that a way is ignored."""

_MOST_DOUBLINGS = 20

Verdict = Literal["right", "wrong", "refused", "own"]
"""What an outcome says of the way of asking: the form is right; it is wrong, or a refusal without words; the endpoint
refuses the way in words; or nothing, since the row failed for reasons of its own."""


class _Try(NamedTuple):
    way: AnswerMethod
    asked: ChatRequest
    answer: Answer
    verdict: Verdict
    reply: ChatReply | None = None


class StructuredCalls:
    """Asks for one form, in the strictest way that the endpoint answers in that form.

    A way is proven by the form of an answer. Until one is, a row whose answer has another form is asked in the next
    way; the others wait for a few rows, and are then asked once. The ways that were passed over are remembered by the
    chat model, for later runs too. Once a way is proven, an answer of another form is that row's failure, and only a
    way that the endpoint refuses in words is left. A stored answer counts in whatever way it was asked for: what is
    found out about the ways makes nobody pay again.
    """

    def __init__(self, chat: ChatModel, form: Form) -> None:
        self._chat, self._form = chat, form
        self._way, self._proven = AnswerMethod.JSON_SCHEMA, False
        self._ended, self._under_way = asyncio.Condition(), 0
        self._undecided = self._exhausted = 0
        self._ignored: Counter[AnswerMethod] = Counter()
        """How many rows say that a way is ignored."""

    async def ask(self, request: ChatRequest) -> Answer:
        """Ask once. A failed call or unusable answer is a value with `problem`.

        `request` carries neither tools nor a response format, and its last message is plain text. Raises what
        must stop the stage: EndpointRefused, SpendCapReached.
        """
        async with self._turn():
            way = self._from(self._way, request)
            if (stored := await self._from_store(way, request)) is not None:
                return stored
            tried = [await self._try(way, request)]
            while (following := self._following(tried[-1], request)) is not None:
                tried.append(await self._try(following, request))
            return self._concluded(tried)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A turn to ask: at once where the way is known, else with few others."""
        async with self._ended:
            await self._ended.wait_for(lambda: self._under_way < self._together)
            self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            async with self._ended:
                self._ended.notify_all()

    @property
    def _together(self) -> float:
        """How many rows are asked at the same time."""
        if self._proven or self._exhausted >= MOST_EXHAUSTED:
            return math.inf
        return max(1.0, 2.0 ** min(self._undecided // ALONE, _MOST_DOUBLINGS) / 2)

    async def _from_store(self, way: AnswerMethod, request: ChatRequest) -> Answer | None:
        """The row's stored answer of the form, or the one that was cut off or withheld, in whatever way it was asked.

        The answer in `way` counts before others. It says of the ways what it would say if it came now, where the
        answers between `way` and its own are stored too.
        """
        ways = (way, *(other for other in AnswerMethod if other is not way))
        requests = [self._form.at(each, request) for each in ways]
        kept: dict[AnswerMethod, _Try] = {}
        for each, asked, reply in zip(ways, requests, await self._chat.stored(requests), strict=True):
            if reply is not None:
                kept[each] = self._read(each, asked, reply)
                if kept[each].verdict == "right":
                    break
        best = next((each for verdict in ("right", "own") for each in kept.values() if each.verdict == verdict), None)
        if best is None:
            return None
        await self._chat.complete(best.asked)
        between = [other for other in AnswerMethod if way <= other < best.way and not self._ignores(other, request)]
        known = best.way >= way and all(other in kept for other in between)
        return self._concluded([*(kept[other] for other in between), best]) if known else best.answer

    def _concluded(self, tried: list[_Try]) -> Answer:
        """The row's answer in the last way, if its form is right or it says nothing of it; else in the first."""
        *passed, last = tried
        if last.verdict not in ("right", "own"):
            self._exhausted += last.way is AnswerMethod.TEXT
            return tried[0].answer
        for each in passed:
            if each.reply is not None:
                self._chat.withdraw(each.asked, each.reply)
        if last.verdict == "own":
            self._undecided += 1
        elif not self._proven:
            self._learn(passed, last)
        return last.answer

    def _learn(self, passed: list[_Try], last: _Try) -> None:
        """The last way gave the right form; it is proven where those that were passed over are known to be ignored."""
        self._ignored.update(each.way for each in passed)
        known = [each for each in passed if each.verdict == "refused" or self._ignored[each.way] >= SURE]
        for each in known:
            self._chat.learn_ignored_form(each.asked)
        if len(known) == len(passed):
            self._way, self._proven = last.way, True
            self._chat.learn_form(last.asked)

    def _following(self, last: _Try, request: ChatRequest) -> AnswerMethod | None:
        """The way in which the row is asked next; None where it has its answer or has failed."""
        if last.verdict in ("right", "own"):
            return None
        if self._proven and self._way > last.way:
            return self._way
        explores = not self._proven and self._exhausted < MOST_EXHAUSTED
        if last.way is AnswerMethod.TEXT or not (explores or last.verdict == "refused"):
            return None
        return self._from(AnswerMethod(last.way + 1), request)

    def _from(self, way: AnswerMethod, request: ChatRequest) -> AnswerMethod:
        """`way` where it is proven, else it or the next one that the endpoint is not known to ignore."""
        if self._proven and way is self._way:
            return way
        return next(other for other in AnswerMethod if other >= way and not self._ignores(other, request))

    def _ignores(self, way: AnswerMethod, request: ChatRequest) -> bool:
        return way is not AnswerMethod.TEXT and self._chat.ignores_form(self._form.at(way, request))

    async def _try(self, way: AnswerMethod, request: ChatRequest) -> _Try:
        asked = self._form.at(way, request)
        try:
            reply = await self._chat.complete(asked)
        except CallFailed as error:
            failed = Answer(problem=str(error), too_long=error.kind == "too_long", attempts=error.attempts)
            return _Try(way, asked, failed, _verdict_of(error, request.model))
        return self._read(way, asked, reply)

    def _read(self, way: AnswerMethod, asked: ChatRequest, reply: ChatReply) -> _Try:
        judged = quoted_in(str(asked.messages[-1]["content"]))
        answer = self._form.read(way, reply, judged)
        if answer.content is not None and self._form.fits(answer.content):
            return _Try(way, asked, answer, "right", reply)
        withheld = reply.finish_reason in ("length", "content_filter")
        return _Try(way, asked, answer, "own" if withheld else "wrong", reply)


def _verdict_of(error: CallFailed, model: str) -> Verdict:
    """What a failed call says of the way of asking. A 400 without words may mean the way or the row."""
    if error.kind in ("too_long", "moderated"):
        return "own"
    message = without_name(str(error), model)
    if error.status in {400, 404, 422, 500, 501} and _FORMAT.search(message):
        return "refused"
    return "wrong" if error.status == 400 else "own"
