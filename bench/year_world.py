"""The world of the benchmark's years: an endpoint whose application, judge and optimizer have knobs, and its traffic.

How good an answer is, is drawn: half of it is how hard the request is, half changes with every prompt and every time
that it is asked, as with real models. What the application gains by a sentence of its prompt is the knob of truth.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from scipy.special import ndtri

from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import JsonObject
from sia_dagster.demo import simulated_judge as judge
from sia_dagster.demo.quotes import read
from sia_dagster.demo.simulation_rules import APPLICATION, JUDGE, OPTIMIZER, SIGNATURE, draw, order_in, pick
from sia_dagster.demo.wire import Reply, completion, texts

START = datetime(2024, 9, 16, tzinfo=UTC)
HELPS = "Say by when it will be settled."
"""The sentence that may change something; all others change nothing."""
_TONES = ("calm", "friendly", "kind", "clear", "patient", "polite", "warm", "plain", "gentle", "considerate")
_PLACES = ("opening", "closing", "middle part", "first line", "last line", "whole reply")

Truth = Callable[[int], float]
"""What `HELPS` gains in a week, as a pass rate."""


def weeks(count: int) -> Iterator[TimeWindow]:
    """Monday to Monday."""
    for number in range(count):
        start = START + timedelta(weeks=number)
        yield TimeWindow(key=f"{start:%Y-%m-%d}", start=start, end=start + timedelta(weeks=1))


@dataclass
class World:
    """The endpoint's models; `week` is set before a window is run."""

    helps: Truth = lambda week: 0.0
    proposed: Callable[[int], bool] = lambda week: False
    """In which weeks the optimizer proposes `HELPS`."""
    lenient_from: int | None = None
    """The week from which the judge passes half of what it failed before."""
    rate: float = 0.6
    judge_flips: float = 0.03
    """Share of judgements that fall out otherwise when they are asked for again."""
    varies: bool = True
    """Whether the same request gets another answer the next time; else a request has one answer, whenever it comes."""
    week: int = 0
    calls: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Answers given, by week and model."""
    _asked: Counter[str] = field(default_factory=Counter)

    def answer(self, body: JsonObject, _: int = 0) -> JsonObject:
        """One chat completion in wire form."""
        model = str(body["model"])
        self.calls[self.week, model] += 1
        models = {APPLICATION: self._application, JUDGE: self._judge, OPTIMIZER: self._optimizer}
        return completion(model, body["messages"], models[model](body, self._time(body)))

    def total(self, week: int) -> int:
        return sum(count for (when, _), count in self.calls.items() if when == week)

    def _time(self, body: JsonObject) -> str:
        """Names how often this was asked before, where that matters."""
        key = sha256(json.dumps([body["model"], body["messages"]]).encode()).hexdigest()
        self._asked[key] += 1
        return f"{key}/{self._asked[key] if self.varies else 0}"

    def _application(self, body: JsonObject, time: str) -> Reply:
        request, prompt = texts(body["messages"], "user")[-1], "\n".join(texts(body["messages"], "system"))
        gain = self.helps(self.week) if HELPS in prompt else 0.0
        latent = 0.5**0.5 * (ndtri(_inside(draw("hard", request))) + ndtri(_inside(draw("answer", time))))
        good = latent < ndtri(_inside(self.rate + gain))
        when = "within 2 working days" if good else "soon"
        order = order_in(request) or "10000"
        return Reply(text=f"Thank you. I have looked into order {order}. You will hear from us {when}.\n{SIGNATURE}")

    def _judge(self, body: JsonObject, time: str) -> Reply:
        reply = judge.reply(body)
        failed = '"incorrect"' in reply.text
        lenient = self.lenient_from is not None and self.week >= self.lenient_from and draw("lenient", time) < 0.5
        flips = draw("flip", time) < self.judge_flips
        if failed and (lenient or flips):
            return reply.model_copy(update={"text": reply.text.replace('"incorrect"', '"correct"')})
        return reply.model_copy(update={"text": reply.text.replace('"correct"', '"incorrect"')}) if flips else reply

    def _optimizer(self, body: JsonObject, time: str) -> Reply:
        reading = read("\n".join(texts(body["messages"])))
        tone = f"Keep a {pick(_TONES, time, 'tone')} tone in the {pick(_PLACES, time, 'place')}."
        known = HELPS in reading.quotes.get("policy", "")
        text = HELPS if self.proposed(self.week) and not known else tone
        spans = [exhibit.span_id for exhibit in reading.exhibits[:3]]
        edit = {"operation": "add", "find": "", "text": text, "samples": spans, "why": "It may help."}
        tools = body.get("tools") or ()
        text = json.dumps({"thoughts": "Simulated.", "edits": [edit]})
        return Reply(text=text, tool=tools[0]["function"]["name"] if tools else None)


def _inside(share: float) -> float:
    return min(max(share, 1e-6), 1 - 1e-6)
