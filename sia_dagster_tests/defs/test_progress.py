"""How far a stage is: said in words, not too often, with what failed, what was spent and what is left."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.progress import RECENT_REPORTS, Advance, Remaining, progress_line
from sia_dagster.core.records.spend import Spend
from sia_dagster.defs.progress_log import BUSY_SECONDS, QUIET_SECONDS, Throttled
from sia_dagster_tests.fakes.clocks import VirtualTime
from simulation.loops import CORRECTNESS, FIRST, IS_BRIEF, NAME, desk, metadata, simulated
from simulation.servers import Body, Reply, refusal

SPENT = Spend(calls=120, prompt_tokens=70_000, completion_tokens=9_000, cost_usd=0.01214)


def step(done: int, of: int = 240, **facts: Any) -> Advance:
    return Advance(done=done, of=of, what="evaluations", **facts)


@pytest.mark.parametrize(
    ("advance", "left", "words"),
    [
        (step(120, failed=3, spent=SPENT), 130.0, "evaluations: 120 of 240, 3 failed, 0.0121 USD, 2 min left"),
        (step(120, spent=SPENT.model_copy(update={"cost_usd": None})), None, "evaluations: 120 of 240, 79,000 tokens"),
        (step(1), 12.4, "evaluations: 1 of 240, 12 s left"),
        (step(1, spent=Spend()), 7300.0, "evaluations: 1 of 240, 2.0 h left"),
        (step(240, failed=1), 3.0, "evaluations: 240 of 240, 1 failed"),
    ],
)
def test_what_is_known_is_said(advance: Advance, left: float | None, words: str) -> None:
    assert progress_line(advance, left) == words


def test_the_time_left_follows_the_speed_of_the_last_while() -> None:
    """Forty rows came from the store at once; then one a second is paid for."""
    clock = VirtualTime()
    remaining = Remaining(clock)
    assert remaining.seconds(step(1)) is None
    for done in range(2, 41):
        clock.now += 0.001
        assert remaining.seconds(step(done)) == pytest.approx((240 - done) * 0.001)
    for done in range(41, 41 + RECENT_REPORTS):
        clock.now += 1.0
        last = remaining.seconds(step(done))
    assert last == pytest.approx(240 - done)


def test_rows_that_all_came_at_one_moment_tell_no_speed() -> None:
    remaining = Remaining(VirtualTime())
    assert [remaining.seconds(step(done)) for done in range(1, 30)] == [None] * 29


@given(st.integers(1, 590))  # no tenth lasts QUIET_SECONDS
def test_the_log_has_a_line_at_each_tenth_and_no_more(of: int) -> None:
    clock, lines = VirtualTime(), list[str]()
    log = Throttled(lines.append, clock)
    for done in range(1, of + 1):
        clock.now += BUSY_SECONDS
        log(step(done, of))
    assert len(lines) == min(of, 11) or (of < 11 and len(lines) == of)
    assert lines[-1] == f"evaluations: {of} of {of}"


def test_a_quick_stage_has_a_line_a_second_and_its_last() -> None:
    clock, lines = VirtualTime(), list[str]()
    log = Throttled(lines.append, clock)
    for done in range(1, 241):
        clock.now += 0.01
        log(step(done))
    assert [line.split(",")[0] for line in lines] == [f"evaluations: {done} of 240" for done in (100, 200, 240)]
    log(Advance(done=12, of=12, what="selection replay"))
    assert lines[3:] == ["selection replay: 12 of 12"]


def test_a_slow_stage_says_something_each_minute() -> None:
    clock, lines = VirtualTime(), list[str]()
    log = Throttled(lines.append, clock)
    for done in range(1, 11):
        clock.now += QUIET_SECONDS / 2
        log(step(done, 1000))
    assert [line.split(",")[0] for line in lines] == [f"evaluations: {done} of 1000" for done in (1, 3, 5, 7, 9)]
    assert lines[-1].endswith("8.3 h left")


def test_kinds_of_rows_have_a_speed_of_their_own() -> None:
    clock, lines = VirtualTime(), list[str]()
    log = Throttled(lines.append, clock)
    log(step(10, 10))
    clock.now += 1
    log(Advance(done=1, of=10, what="holdout replay"))
    assert lines == ["evaluations: 10 of 10", "holdout replay: 1 of 10"]


def test_a_steps_metadata_has_what_failed_what_was_spent_and_what_was_expected(tmp_path: Path) -> None:
    def answer(body: Body, n: int) -> Reply | Body:
        return refusal(500, "Broken.") if "poison" in str(body["messages"]) else simulated(body)

    with desk(tmp_path, answer) as (found, _):
        found.write(conversations=12)
        result = found.run(FIRST, "traces", "eval_results")
        seen, before = metadata(result, "eval_results"), metadata(result, "traces")
    assert (seen["rows"], seen["rows_failed"]) == (seen["dagster/row_count"], seen["unscored"])
    assert seen["seconds_a_model_call"] > 0
    assert before["estimated_model_calls"] >= seen["model_calls"]
    assert before["estimated_cost_usd"] > 0
    assert before["estimate"].startswith("up to about ")


def test_a_window_that_cannot_be_estimated_says_why_and_goes_on(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        found.write(conversations=4)
        judge = {**CORRECTNESS, "template": "gone.md"}
        result = found.with_loop(evaluators=[judge, IS_BRIEF]).run(FIRST, "traces")
        assert result.success
        seen = metadata(result, "traces")
    assert seen["estimate"].startswith("no estimate: ")
    assert "gone.md" in seen["estimate"]
    assert "estimated_model_calls" not in seen


def test_the_launchpad_says_where_the_estimate_stands(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, server):
        found.write(conversations=4)
        job = found.definitions.resolve_job_def(f"{NAME}_improvement")
        assert "Materialise `traces` alone, which costs nothing" in (job.description or "")
        assert found.run(FIRST, "traces").success
        assert server.requests == []
