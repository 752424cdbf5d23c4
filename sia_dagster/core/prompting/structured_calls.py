"""Structured answers from any endpoint: which way of asking it answers in the form asked for, found out once."""

import asyncio
import re
from typing import Final, Literal, NamedTuple

from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatModel, ChatReply, ChatRequest
from sia_dagster.core.prompting.quoting import quoted_in
from sia_dagster.core.prompting.structured_answer import Answer, AnswerMethod, Form
from sia_dagster.core.text import without_name

_FORMAT = re.compile(r"response_format|json|schema|structured output|grammar|\btools?\b|tool_choice|function", re.I)

MOST_ALONE: Final = 3
"""Rows that are asked one by one while none of them says anything about the way of asking."""

MOST_EXHAUSTED: Final = 3
"""Rows for which every way is tried in vain; all others are then asked once."""

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
    way; rows wait for the first, so that the others are asked once. The ways that were passed over are remembered by
    the chat model, for later runs too. Once a way is proven, an answer of another form is that row's failure, and only
    a way that the endpoint refuses in words is left.
    """

    def __init__(self, chat: ChatModel, form: Form) -> None:
        self._chat, self._form = chat, form
        self._way, self._proven = AnswerMethod.JSON_SCHEMA, False
        self._alone = asyncio.Lock()
        self._undecided = self._exhausted = 0

    async def ask(self, request: ChatRequest) -> Answer:
        """Ask once. A failed call or unusable answer is a value with `problem`.

        `request` carries neither tools nor a response format, and its last message is plain text. Raises what
        must stop the stage: EndpointRefused, SpendCapReached.
        """
        async with self._alone:
            if not self._proven and self._undecided < MOST_ALONE and self._exhausted < MOST_EXHAUSTED:
                return await self._search(request, await self._try(self._from(self._way, request), request))
        way = self._way if self._proven else self._from(self._way, request)
        first = await self._try(way, request)
        if self._proven and first.verdict in ("right", "own"):
            return first.answer
        async with self._alone:
            return await self._search(request, first)

    async def _search(self, request: ChatRequest, first: _Try) -> Answer:
        """The row's answer in the first way on whose form is right; else its first answer, with the problem."""
        tried = [first]
        while (way := self._following(tried[-1], request)) is not None:
            tried.append(await self._try(way, request))
        last = tried[-1]
        if last.verdict == "right":
            self._prove(tried)
        elif last.verdict == "own":
            self._undecided += 1
        else:
            self._exhausted += last.way is AnswerMethod.TEXT
        return last.answer if last.verdict in ("right", "own") else first.answer

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
        """`way`, or the next one that the endpoint is not known to ignore."""
        while way is not AnswerMethod.TEXT and self._chat.ignores_form(self._form.at(way, request)):
            way = AnswerMethod(way + 1)
        return way

    def _prove(self, tried: list[_Try]) -> None:
        """The last way is right for this row, and so for all; what the row was asked before is of no use."""
        if not self._proven:
            self._way, self._proven = tried[-1].way, True
            self._chat.learn_form(tried[-1].asked)
        for each in tried[:-1]:
            self._chat.learn_ignored_form(each.asked, each.reply)

    async def _try(self, way: AnswerMethod, request: ChatRequest) -> _Try:
        asked = self._form.at(way, request)
        try:
            reply = await self._chat.complete(asked)
        except CallFailed as error:
            failed = Answer(problem=str(error), attempts=error.attempts)
            return _Try(way, asked, failed, _verdict_of(error, request.model))
        judged = quoted_in(str(request.messages[-1]["content"]))
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
