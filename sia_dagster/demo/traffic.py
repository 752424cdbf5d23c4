"""The simulated application's traffic: a week's spans under the policy in force, as a file that the loop reads."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import Field

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Message, TimeWindow
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.customers import Inquiry, inquiry
from sia_dagster.demo.simulation_rules import draw
from sia_dagster.demo.spans import SimulatedCall, llm_span, message_with_picture, surrounding_spans, table

CUSTOMERS = 240
"""The shop's customers; each conversation is with any of them, so some come back within a week, many in later ones."""
FIRST_WEEK = datetime(2026, 9, 14, tzinfo=UTC)


class WeekPlan(Value):
    """The traffic of one week."""

    conversations: int = Field(ge=0)
    injected: bool = False
    """Whether every sixth conversation carries a note that tries to reach the prompt."""
    errors: int = 0
    """How many calls end in an error."""
    what: str = ""
    """What this week shows."""


WEEKS: tuple[WeekPlan, ...] = (
    WeekPlan(
        conversations=122, errors=2, what="the first prompt asks for politeness only: many answers lack something"
    ),
    WeekPlan(conversations=12, what="few conversations, all answered well"),
    WeekPlan(conversations=118, errors=1, what="answered under what the weeks before found"),
    WeekPlan(conversations=120, errors=2, what="normal traffic: the closer to the best, the less there is to find"),
    WeekPlan(conversations=116, injected=True, errors=1, what="a customer's note tries to reach the prompt"),
    WeekPlan(conversations=0, what="no traffic"),
    WeekPlan(conversations=124, errors=2, what="back to normal after the gap"),
    WeekPlan(conversations=120, errors=1, what="the last week: little is left to win"),
)
"""The demo's eight weeks, from `FIRST_WEEK` on."""


def week_windows() -> tuple[TimeWindow, ...]:
    """The windows of `WEEKS`: Monday to Monday, UTC."""
    starts = [FIRST_WEEK + timedelta(weeks=number) for number in range(len(WEEKS))]
    return tuple(TimeWindow(key=f"{s:%Y-%m-%d}", start=s, end=s + timedelta(weeks=1)) for s in starts)


def write_traffic(folder: Path, window: TimeWindow, actions: Actions | None, plan: WeekPlan) -> Path | None:
    """Write the window's spans, oldest first, to `<folder>/traces-<key>.parquet`; None for a week without traffic.

    `actions` is the policy that the application has in force, None before any promotion. The same window, policy
    and plan give the same bytes, and a reader never sees half a file.
    """
    rows = sorted(_rows(window, actions or BASE_POLICY, plan), key=lambda r: (r["start_time"], r["context.span_id"]))
    if not rows:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"traces-{window.key}.parquet"
    partial = folder / f".{path.name}.partial"
    pq.write_table(table(rows), partial)
    return partial.replace(path)


def _rows(window: TimeWindow, policy: Actions, plan: WeekPlan) -> Iterator[JsonObject]:
    every = plan.conversations // plan.errors if plan.errors else plan.conversations + 1
    for number in range(plan.conversations):
        key = f"{window.key}/{number}"
        asked = inquiry(key, note=plan.injected and number % 6 == 0)
        yield from _conversation(window, key, asked, policy)
        if number % every == every - 1:
            yield llm_span(_call(window, key, "failed", _opening(asked), fails=True), policy)[0]


def _conversation(window: TimeWindow, key: str, asked: Inquiry, policy: Actions) -> Iterator[JsonObject]:
    """The spans of one conversation: one call for each message of the customer, every fourth with its whole trace."""
    first = _call(window, key, "first", _opening(asked))
    row, text = llm_span(first, policy)
    yield row
    if draw(key, "whole trace") < 0.25:
        yield from surrounding_spans(first, policy)
    if asked.second:
        history = (*first.history, Message(role="assistant", content=text), Message(role="user", content=asked.second))
        yield llm_span(_call(window, key, "second", history), policy)[0]


def _opening(asked: Inquiry) -> tuple[Message, ...]:
    return (message_with_picture(asked.first) if asked.photo else Message(role="user", content=asked.first),)


def _call(
    window: TimeWindow, key: str, turn: str, history: tuple[Message, ...], *, fails: bool = False
) -> SimulatedCall:
    return SimulatedCall(
        session=f"session-{_hex(key)[:12]}",
        user=f"customer-{int(draw(key, 'customer') * CUSTOMERS):03}",
        trace=_hex(key, turn, "trace")[:32],
        span=_hex(key, turn, "span")[:16],
        start=_start(window, key) + (timedelta(minutes=7) if turn == "second" else timedelta(0)),
        history=history,
        fails=fails,
    )


def _start(window: TimeWindow, key: str) -> datetime:
    """Some moment between 8 and 20 o'clock on one of the window's days."""
    days = max(1, (window.end - window.start).days)
    day, seconds = int(draw(key, "day") * days), int(draw(key, "time of day") * 12 * 3600)
    return window.start + timedelta(days=day, hours=8, seconds=seconds, microseconds=int(draw(key, "micro") * 1e6))


def _hex(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()
