"""The stage: every evaluator on every sample; a row that fails leaves the others as they are."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.core.config.loop import CodeConfig, PlatformConfig
from sia_dagster.core.errors import CallFailed, EndpointRefused, EvaluatorError
from sia_dagster.core.evaluators.code import CodeEvaluator
from sia_dagster.core.evaluators.evaluate import check_fingerprints, evaluate, worst_unscored_share
from sia_dagster.core.evaluators.judge.llm_judge import LLMClassify
from sia_dagster.core.evaluators.platform import PlatformEvaluator
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster_tests.worlds.evaluation_samples import classified, sample, says, spec, with_chat
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal


def code(name: str, function: Any, **fields: Any) -> CodeEvaluator:
    return CodeEvaluator(CodeConfig(name=name, kind="code", function="checks:check", **fields), function)


def samples(count: int) -> list[Sample]:
    return [sample(f"answer {n}", span_id=f"s{n}") for n in range(count)]


def run(given_samples: list[Sample], *evaluators: Evaluator, workers: int = 4, **kwargs: Any) -> Any:
    return asyncio.run(evaluate(given_samples, evaluators, draw="logged/0", workers=workers, **kwargs))


class Unruly:
    """An evaluator of somebody else's that raises instead of returning a value."""

    constant = EvalConstant(name="unruly", kind="code", fingerprint="f00")

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def score(self, item: Sample, draw: str) -> EvalMetrics:
        raise self._error


@pytest.mark.parametrize("workers", [1, 3, 64])
def test_rows_keep_the_order_of_samples_and_evaluators(workers: int) -> None:
    async def uneven(item: Sample) -> float:
        await asyncio.sleep(0.01 if item.span_id == "s0" else 0)
        return 0.5

    evals = run(samples(5), code("slow", uneven), code("fast", lambda item: item.span_id == "s3"), workers=workers)
    assert list(evals) == ["s0", "s1", "s2", "s3", "s4"]
    assert [[(e.name, e.score) for e in row] for row in evals.values()][3] == [("slow", 0.5), ("fast", 1.0)]
    assert all([e.name for e in row] == ["slow", "fast"] for row in evals.values())


def test_the_same_samples_give_the_same_rows() -> None:
    evaluators = (code("even", lambda item: item.span_id in {"s0", "s2"}),)
    assert run(samples(4), *evaluators) == run(samples(4)[::-1], *evaluators)


def test_an_evaluator_that_raises_hangs_or_leaves_its_rails_fails_its_rows_alone(tmp_path: Path) -> None:
    def judge(body: Body, _: int) -> Reply | Body:
        text = body["messages"][-1]["content"]
        if "answer 1" in text:
            return refusal(500, "out of order")
        return completion(classified("perhaps" if "answer 2" in text else "correct"))

    async def hangs(item: Sample) -> bool:
        if item.span_id == "s3":
            await asyncio.Event().wait()
        return True

    def raises(item: Sample) -> float:
        return 1 / len(item.output.removeprefix("answer 0"))

    async def work(chat: Any) -> dict[str, tuple[EvalMetrics, ...]]:
        evaluators = (LLMClassify(spec(), chat), code("hangs", hangs, timeout_seconds=0.05), code("raises", raises))
        return await evaluate(samples(5), evaluators, draw="logged/0", workers=3)

    with ScriptedServer(judge) as server:
        evals = with_chat(server, tmp_path, work)
    failed = {(span_id, e.name): e.error or "" for span_id, row in evals.items() for e in row if e.score is None}
    assert set(failed) == {("s1", "correctness"), ("s2", "correctness"), ("s3", "hangs"), ("s0", "raises")}
    assert "out of order" in failed["s1", "correctness"]
    assert "'perhaps' is not one of the rails" in failed["s2", "correctness"]
    assert "gave no answer within 0.05 s" in failed["s3", "hangs"]
    assert "ZeroDivisionError" in failed["s0", "raises"]
    assert worst_unscored_share(evals) == ("correctness", 0.4)


@pytest.mark.parametrize("error", [EvaluatorError("odd sample"), CallFailed("odd sample", attempts=2, status=500)])
def test_a_rows_error_that_is_raised_becomes_its_value(error: Exception) -> None:
    (metrics,) = run(samples(1), Unruly(error))["s0"]
    assert metrics == EvalMetrics(name="unruly", fingerprint="f00", error="odd sample")


@pytest.mark.parametrize("error", [EndpointRefused("no such key"), KeyError("a bug")])
def test_what_no_row_can_carry_stops_the_stage(error: Exception) -> None:
    with pytest.raises(type(error)):
        run(samples(3), Unruly(error))


def test_progress_counts_every_row() -> None:
    seen: list[Advance] = []
    platform = PlatformEvaluator(PlatformConfig(name="csat", kind="platform"))
    run(samples(3), platform, code("one", lambda _: 1), progress=seen.append)
    assert [(step.done, step.of, step.what) for step in seen] == [(n, 6, "evaluations") for n in range(1, 7)]


def test_nothing_to_do_is_nothing_done() -> None:
    assert run([], code("one", lambda _: 1)) == {}
    assert run(samples(2)) == {"s0": (), "s1": ()}
    assert worst_unscored_share({}) == worst_unscored_share({"s0": ()}) == ("", 0.0)


def test_what_a_platform_did_not_record_is_no_failure() -> None:
    platform = PlatformEvaluator(PlatformConfig(name="csat", kind="platform"))
    evals = run(samples(4), platform, code("length", lambda item: 1 if item.span_id == "s0" else None))
    assert worst_unscored_share(evals) == ("length", 0.75)


def test_scores_of_a_changed_evaluator_are_refused() -> None:
    before, after = (EvalConstant(name="tone", kind="code", fingerprint=f) for f in ("f00", "f01"))
    check_fingerprints([("tone", "f00")], [before])
    with pytest.raises(EvaluatorError, match=r"tone changed since .* eval_results"):
        check_fingerprints([("tone", "f00")], [after])
    with pytest.raises(EvaluatorError, match="tone"):
        check_fingerprints([("tone", "f00")], [])


def test_the_draw_reaches_the_judge_as_a_new_question(tmp_path: Path) -> None:
    async def work(chat: Any) -> None:
        for draw in ("logged/0", "logged/0", "holdout/1"):
            await evaluate(samples(1), [LLMClassify(spec(), chat)], draw=draw, workers=1)

    with ScriptedServer(says(classified("correct"))) as server:
        with_chat(server, tmp_path, work)
        assert len(server.requests) == 2
