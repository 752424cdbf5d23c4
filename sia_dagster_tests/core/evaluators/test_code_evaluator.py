"""A user's function may return anything, raise, hang or exit: its row says so, the other rows stay."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.errors import EndpointRefused, SpendCapReached
from sia_dagster.core.evaluators.code import CodeEvaluator
from sia_dagster.core.evaluators.result import Scale, read_result
from sia_dagster.core.evaluators.time_limit import Function
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster_tests.places import ROOT
from sia_dagster_tests.worlds import hostile_functions
from sia_dagster_tests.worlds.code_checks import Brief, BriefAsync, config, is_brief
from sia_dagster_tests.worlds.evaluation_samples import sample

UNIT = Scale(low=0.0, high=1.0)


async def is_brief_async(item: Sample) -> bool:
    await asyncio.sleep(0)
    return is_brief(item)


def lazily(item: Sample) -> Any:
    return is_brief_async(item)


def score(function: Function, output: str = "one two", **fields: Any) -> EvalMetrics:
    return asyncio.run(CodeEvaluator(config(**fields), function).score(sample(output), "logged/0"))


@pytest.mark.parametrize("function", [is_brief, is_brief_async, Brief(), BriefAsync(), lazily])
def test_sync_and_async_functions_and_objects_score(function: Function) -> None:
    assert (score(function).score, score(function).label) == (1.0, "true")
    assert (score(function, "one two three four five six").score, score(function).error) == (0.0, None)


@pytest.mark.parametrize(
    ("result", "label", "value"),
    [
        (True, "true", 1.0),
        (np.bool_(False), "false", 0.0),
        (1, None, 1.0),
        (0.25, None, 0.25),
        (np.float32(0.5), None, 0.5),
        (np.int64(1), None, 1.0),
        (np.array([0.5]), None, 0.5),
        (np.array(0.5), None, 0.5),
        (Decimal("0.5"), None, 0.5),
        (Fraction(1, 2), None, 0.5),
        (hostile_functions.Tensor(0.5), None, 0.5),
        (hostile_functions.Late(0.5), None, 0.5),
        ("0.75", "0.75", 0.75),
        (EvalMetrics(name="ignored", label="fair", score=0.5), "fair", 0.5),
    ],
)
def test_a_result_on_the_scale_is_a_score(result: Any, label: str | None, value: float) -> None:
    metrics = score(lambda _: result)
    assert (metrics.name, metrics.label, metrics.score, metrics.error) == ("brief", label, value, None)
    assert (metrics.source, metrics.attempts) == ("code", 0)


@pytest.mark.parametrize(
    ("result", "label", "error"),
    [
        (2, None, "the score 2 is not within 0 .. 1, the evaluator's low and high"),
        (-0.1, None, "the score -0.1 is not within"),
        (float("nan"), None, "the score nan is not within"),
        (float("inf"), None, "the score inf is not within"),
        (10**400, None, "the score inf is not within"),
        ("good", "good", "the label 'good' has no score: return a number, a bool or EvalMetrics with a score"),
        ("7", "7", "the score 7 is not within"),
        ("", "", "there is no score"),
        (EvalMetrics(name="x", label="fair"), "fair", "the label 'fair' has no score"),
        (EvalMetrics(name="x"), None, "there is no score"),
        (EvalMetrics(name="x", error="no network"), None, "no network"),
        (EvalMetrics(name="x", score=1.0, error="no network"), None, "no network"),
        (EvalMetrics(name="x", score=3.0), None, "the score 3 is not within"),
    ],
)
def test_a_result_that_is_no_score_is_an_error(result: Any, label: str | None, error: str) -> None:
    metrics = score(lambda _: result)
    assert (metrics.label, metrics.score) == (label, None)
    assert error in (metrics.error or "")


def test_pass_and_fail_are_the_ends_of_the_scale() -> None:
    assert score(lambda _: True, low=1, high=5).score == 5.0
    assert score(lambda _: False, low=1, high=5).score == 1.0


@given(st.one_of(st.floats(), st.integers(), st.text(), st.booleans(), st.none(), st.binary(), st.lists(st.floats())))
def test_there_is_a_score_on_the_scale_or_an_error_never_both(result: Any) -> None:
    fields = read_result(result, UNIT)
    assert (fields.get("score") is None) != (fields.get("error") is None)
    assert fields.get("score") is None or 0.0 <= fields["score"] <= 1.0


def raising(error: BaseException) -> Function:
    def raises(_: Sample) -> None:
        raise error

    return raises


def raising_async(error: BaseException) -> Function:
    async def raises(_: Sample) -> None:
        raise error

    return raises


@pytest.mark.parametrize("make", [raising, raising_async])
@pytest.mark.parametrize(("error", "says"), hostile_functions.RAISED)
def test_what_a_function_raises_is_its_rows_error(make: Any, error: BaseException, says: str) -> None:
    metrics = score(make(error))
    assert metrics.score is None
    assert f"my_checks:is_brief {says}" in (metrics.error or "")
    assert len((metrics.error or "").encode()) <= 310


@pytest.mark.parametrize(("make", "says"), hostile_functions.RETURNED)
def test_what_a_function_returns_is_its_rows_error(make: Callable[[], Any], says: str) -> None:
    async def later(_: Sample) -> Any:
        return make()

    for function in (lambda _: make(), later):
        metrics = score(function)
        assert metrics.score is None
        assert not metrics.not_applicable
        assert says in (metrics.error or "")
        assert len((metrics.error or "").encode()) <= 400
        assert len(metrics.label or "") <= 200


@pytest.mark.parametrize("result", [None, EvalMetrics(name="x", not_applicable=True, explanation="No code in it.")])
def test_an_evaluator_that_does_not_apply_is_no_failure_where_that_is_declared(result: Any) -> None:
    metrics = score(lambda _: result, not_applicable="allowed")
    assert (metrics.not_applicable, metrics.label, metrics.score, metrics.error) == (True, None, None, None)
    assert score(lambda _: result).error


def test_what_none_means_is_part_of_the_fingerprint() -> None:
    plain, declared = CodeEvaluator(config(), is_brief), CodeEvaluator(config(not_applicable="allowed"), is_brief)
    assert plain.constant.fingerprint != declared.constant.fingerprint


def test_a_long_explanation_is_cut_and_says_so() -> None:
    metrics = score(lambda _: EvalMetrics(name="x", score=1.0, explanation="e" * 100_000))
    assert metrics.score == 1.0
    assert str(metrics.explanation).endswith("e [... 80,000 characters left out]")


@pytest.mark.parametrize("make", [raising, raising_async])
def test_an_exception_that_event_loops_trip_over_is_its_rows_error(make: Any) -> None:
    assert "StopIteration" in (score(make(StopIteration())).error or "")


def test_a_function_that_cancels_itself_fails_its_row_alone() -> None:
    assert "CancelledError" in (score(raising_async(asyncio.CancelledError())).error or "")


@pytest.mark.parametrize("error", [EndpointRefused("no key"), SpendCapReached("spent", spent=1, cap=1, unit="USD")])
def test_what_must_stop_the_stage_is_not_kept_in_a_row(error: Exception) -> None:
    with pytest.raises(type(error)):
        score(raising(error))


@pytest.fixture
def never() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_function_that_hangs_is_abandoned(never: threading.Event) -> None:
    def hangs(_: Sample) -> bool:
        return never.wait()

    metrics = score(hangs, timeout_seconds=0.05)
    assert (metrics.score, metrics.error) == (None, "my_checks:is_brief gave no answer within 0.05 s")


def test_an_async_function_that_hangs_is_cancelled() -> None:
    cancelled = threading.Event()

    async def hangs(_: Sample) -> bool:
        try:
            return await asyncio.Event().wait()
        finally:
            cancelled.set()

    assert "gave no answer" in (score(hangs, timeout_seconds=0.05).error or "")
    assert cancelled.wait(60)


def test_async_functions_share_one_loop_so_that_their_clients_live_on() -> None:
    loops = set()

    async def remembers(_: Sample) -> bool:
        loops.add(asyncio.get_running_loop())
        return True

    async def stage() -> list[EvalMetrics]:
        loops.add(asyncio.get_running_loop())
        evaluators = [CodeEvaluator(config(), remembers) for _ in range(2)]
        return [await evaluator.score(sample(), "logged/0") for evaluator in evaluators]

    both = [asyncio.run(stage()) for _ in range(2)]
    assert [metrics.score for stage in both for metrics in stage] == [1.0] * 4
    assert len(loops) == 3, "one for both functions, and one for each stage"


def test_an_async_function_that_blocks_fails_its_row_alone(never: threading.Event) -> None:
    async def blocks_at_times(item: Sample) -> bool:
        return never.wait() if item.output == "block" else is_brief(item)

    async def stage(outputs: list[str]) -> list[EvalMetrics]:
        evaluator = CodeEvaluator(config(timeout_seconds=0.5), blocks_at_times)
        return await asyncio.gather(*(evaluator.score(sample(output), "logged/0") for output in outputs))

    results = asyncio.run(stage(["one", "block", "two", "three", "block"]))
    assert [metrics.score for metrics in results] == [1.0, None, 1.0, 1.0, None]
    assert results[1].error == "my_checks:is_brief gave no answer within 0.5 s"
    assert [metrics.score for metrics in asyncio.run(stage(["one", "two"]))] == [1.0, 1.0]


def test_who_waited_beside_a_blocking_function_is_asked_again(never: threading.Event) -> None:
    waiting, calls = threading.Event(), []

    async def waits_once(_: Sample) -> bool:
        calls.append(True)
        if len(calls) == 1:
            waiting.set()
            await asyncio.Event().wait()
        return True

    async def blocks(_: Sample) -> bool:
        return never.wait()

    async def stage() -> tuple[EvalMetrics, EvalMetrics]:
        patient = asyncio.create_task(CodeEvaluator(config(), waits_once).score(sample(), "logged/0"))
        await asyncio.to_thread(waiting.wait)
        blocked = await CodeEvaluator(config(timeout_seconds=0.05), blocks).score(sample(), "logged/0")
        never.set()
        return await patient, blocked

    patient, blocked = asyncio.run(stage())
    assert (patient.score, blocked.score, len(calls)) == (1.0, None, 2)


def test_a_function_that_ends_the_loop_of_all_fails_its_row_alone() -> None:
    async def ends(_: Sample) -> bool:
        asyncio.get_running_loop().call_soon(sys.exit, "the end")
        return await asyncio.Event().wait()

    assert "raised SystemExit: the end" in (score(ends).error or "")
    assert score(is_brief_async).score == 1.0

    def is_late(frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_code.co_name == "run_coroutine_threadsafe":
            threading.Event().wait(0.05)

    sys.setprofile(is_late)
    try:
        assert "raised SystemExit: the end" in (score(ends, timeout_seconds=1).error or ""), "before the call was noted"
    finally:
        sys.setprofile(None)


async def cancels_all(_: Sample) -> bool:
    for task in asyncio.all_tasks():
        task.cancel()
    return True


async def stops_the_loop(_: Sample) -> bool:
    asyncio.get_running_loop().stop()
    await asyncio.Event().wait()
    return True


async def exits_in_a_callback(_: Sample) -> bool:
    asyncio.get_running_loop().call_soon(raising(KeyboardInterrupt()), sample())
    return await asyncio.Event().wait()


async def exits_in_a_task(_: Sample) -> bool:
    task = asyncio.ensure_future(raising_async(SystemExit(3))(sample()))
    await asyncio.Event().wait()
    return bool(task.done())


@pytest.mark.parametrize("function", [cancels_all, stops_the_loop, exits_in_a_callback, exits_in_a_task])
def test_what_a_function_does_to_the_loop_of_all_costs_its_row_alone(function: Any) -> None:
    loops = set()

    async def slower(_: Sample) -> bool:
        loops.add(asyncio.get_running_loop())
        for _turn in range(20):
            await asyncio.sleep(0)
        return True

    async def stage() -> list[EvalMetrics]:
        bad = [CodeEvaluator(config(timeout_seconds=0.2), function) for _ in range(3)]
        good = [CodeEvaluator(config(), slower) for _ in range(3)]
        both = [evaluator for pair in zip(good, bad, strict=True) for evaluator in pair]
        return await asyncio.gather(*(evaluator.score(sample(), "logged/0") for evaluator in both))

    for _ in range(5):
        results = asyncio.run(stage())
        assert [metrics.score for metrics in results[::2]] == [1.0] * 3
        assert all(metrics.error for metrics in results[1::2])
    before = len(loops)
    assert [metrics.score for metrics in (score(slower), score(slower))] == [1.0, 1.0]
    assert len(loops) <= before + 1, "the loop of all goes on"


def test_an_async_function_that_takes_more_than_a_sample_fails_its_row_alone() -> None:
    async def takes_two(_: Sample, __: Sample) -> bool:
        return True

    function: Any = takes_two
    assert "raised TypeError" in (score(function).error or "")


def test_an_answer_after_the_time_limit_changes_nothing(never: threading.Event) -> None:
    answered = threading.Event()

    def late(_: Sample) -> bool:
        never.wait()
        answered.set()
        return True

    async def run() -> EvalMetrics:
        metrics = await CodeEvaluator(config(timeout_seconds=0.05), late).score(sample(), "logged/0")
        never.set()
        await asyncio.to_thread(answered.wait)
        await asyncio.sleep(0.05)
        return metrics

    assert asyncio.run(run()).score is None


def test_the_process_ends_though_a_function_hangs(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text("import threading\n\ndef check(item):\n    threading.Event().wait()\n")
    script = (
        "import asyncio;"
        "from sia_dagster.core.evaluators.code import CodeEvaluator, import_function;"
        "from sia_dagster_tests.core.evaluators.test_code_evaluator import config, sample;"
        "c = config(function='hanging:check', timeout_seconds=0.05);"
        "print(asyncio.run(CodeEvaluator(c, import_function(c.function)).score(sample(), '0')).error)"
    )
    paths = [str(tmp_path), str(ROOT)]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {paths}; {script}"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "hanging:check gave no answer within 0.05 s"


def test_half_a_surrogate_pair_in_a_functions_label_can_be_kept() -> None:
    fields = read_result("cut \ud83d", UNIT)
    assert fields["label"] == "cut \ufffd"
    assert fields["error"].encode()
