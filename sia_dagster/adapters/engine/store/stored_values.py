"""What the completion store keeps: paid answers under the hash of what was asked, and who paid."""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime

from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.value import Value


class LedgerScope(Value):
    """Whose budget a call is booked on."""

    loop: str
    window: str
    """The partition key."""


class Paid(Value):
    """An answer that was just paid for, and where it is booked."""

    key: str
    reply: ChatReply
    scope: LedgerScope
    stage: str
    model: str
    answered: bool = True
    """False for a failed generation that the endpoint billed: it is booked, and nothing is stored."""

    @property
    def line(self) -> dict[str, str]:
        """The line of the ledger: the key of its row."""
        return {"loop": self.scope.loop, "window": self.scope.window, "stage": self.stage, "model": self.model}

    @property
    def used(self) -> dict[str, float]:
        """What the line grows by: the other columns of its row."""
        tokens = {"prompt_tokens": self.reply.prompt_tokens, "completion_tokens": self.reply.completion_tokens}
        cost = self.reply.cost_usd
        return {"calls": 1, **tokens, "cost_usd": cost or 0.0, "unpriced": int(cost is None)}

    @property
    def row(self) -> dict[str, str | float | None]:
        """The row of the answer: JSON, in which no character needs more than the text of a database.

        Without thoughts it is as earlier versions wrote it, so that machines that share a store may be updated in turn.
        """
        left_out = {"cached"} if self.reply.reasoning else {"cached", "reasoning"}
        reply = self.reply.model_dump_json(exclude=left_out)
        return {"key": self.key, **self.line, "reply": reply, "cost_usd": self.reply.cost_usd}


class StoredGroup(Value):
    """The answers that one window paid for in one stage and model."""

    loop: str
    window: str
    stage: str
    model: str
    answers: int
    size: int
    """Bytes of their text."""
    cost_usd: float
    """What they cost, those without a price left out: what running them again does not."""
    unpriced: int
    """How many have no price."""
    oldest: datetime
    newest: datetime


class StoredAnswer(Value):
    """One answer with who paid for it. What was asked is not stored, only its hash, the key."""

    key: str
    loop: str
    window: str
    stage: str
    model: str
    paid_at: datetime
    reply: ChatReply


def request_key(endpoint: str, request: ChatRequest) -> str:
    """SHA-256 of endpoint, model, messages, parameters, tools, response format and draw; not of the stage.

    Key order does not matter, save in schemas: there the order of the properties is the order of the answer.
    """
    question = {
        "endpoint": endpoint,
        "model": request.model,
        "draw": request.draw,
        "messages": request.messages,
        "parameters": request.parameters,
    }
    schemas = {"tools": request.tools, "response_format": request.response_format}
    text = json.dumps(question, sort_keys=True) + json.dumps(schemas)
    return hashlib.sha256(text.encode()).hexdigest()


def older_windows(groups: Iterable[StoredGroup], *, before: datetime, loop: str | None = None) -> list[LedgerScope]:
    """The windows (of `loop`, or of all) whose newest answer was paid for before that, in order.

    A window's answers go together: one that is being run, or was run again lately, keeps all of them.
    """
    newest: dict[tuple[str, str], datetime] = {}
    for group in groups:
        window = group.loop, group.window
        newest[window] = max(group.newest, newest.get(window, group.newest))
    old = sorted(window for window, at in newest.items() if at < before and loop in (None, window[0]))
    return [LedgerScope(loop=name, window=window) for name, window in old]
