"""The A/A arm: what moves when nothing changed, the answers' part and the judge's apart."""

import itertools
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sia_dagster.core.gate.noise import first_conversations, judge_again, judges_of, noise_of, second_draw
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.progress import Advance
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.replay.replay import ReplayPlan, Replies, pair, replay
from sia_dagster.core.statistics.intervals import skew_corrected_interval
from sia_dagster_tests.worlds.search_world import BASELINE, WINDOW, Shop, asked, evaluators, in_shop, sample
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

GRADED = EvalConstant(name="q", kind="llm_classify", fingerprint="f", low=0, high=4)


PLAN = ReplayPlan(scope="holdout", window=WINDOW.key, repeats=2, workers=1)


def rows(*scores: tuple[float | None, float | None]) -> list[ValidationRow]:
    def arm(score: float | None) -> ArmOutcome:
        return ArmOutcome(output="x", evals=(EvalMetrics(name="q", score=score),))

    return [
        ValidationRow(span_id=f"s{n}", conversation_id=f"c{n}", baseline=arm(first), candidate=arm(second))
        for n, (first, second) in enumerate(scores)
    ]


def test_the_numbers_are_in_the_evaluators_own_units() -> None:
    found = noise_of("judge", rows((1, 3), (4, 4), (2, 2), (0, 0), (3, 2)), GRADED, 0.05)
    differences = np.array([2, 0, 0, 0, -1]) / 4
    bounds = skew_corrected_interval(differences, np.ones(5), 0.05)
    assert (found.kind, found.evaluator, found.conversations) == ("judge", "q", 5)
    assert found.mean_difference == pytest.approx(0.2)
    assert found.spread == pytest.approx(statistics.stdev([2, 0, 0, 0, -1]))
    assert found.changed_share == pytest.approx(2 / 5)
    assert (found.ci_low, found.ci_high) == pytest.approx((4 * float(bounds.low), 4 * float(bounds.high)))


def test_two_draws_that_agree_have_an_interval_all_the_same() -> None:
    found = noise_of("generation", rows(*[(1.0, 1.0)] * 8), GRADED, 0.05)
    assert (found.mean_difference, found.spread, found.changed_share) == (0, 0, 0)
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert found.ci_low < 0 < found.ci_high


def test_an_evaluator_without_a_range_is_measured_in_ones() -> None:
    flat = GRADED.model_copy(update={"low": 1.0, "high": 1.0})
    assert noise_of("judge", rows(*[(1.0, 1.0)] * 6), flat, 0.05).mean_difference == 0


def test_few_conversations_have_no_interval_one_no_spread_and_none_nothing() -> None:
    four = noise_of("judge", rows((0, 1), (1, 1), (1, 1), (2, 2)), GRADED, 0.05)
    assert (four.conversations, four.mean_difference, four.ci_low, four.ci_high) == (4, 0.25, None, None)
    one = noise_of("judge", rows((0, 1)), GRADED, 0.05)
    assert (one.conversations, one.mean_difference, one.spread, one.changed_share) == (1, 1, None, 1)
    none = noise_of("judge", rows((None, 1), (1, None)), GRADED, 0.05)
    assert (none.conversations, none.mean_difference, none.changed_share) == (0, None, None)


def test_a_row_that_was_scored_once_is_left_out_of_the_share() -> None:
    found = noise_of("judge", rows((0, 1), (1, 1), (None, 1)), GRADED, 0.05)
    assert (found.conversations, found.changed_share) == (2, 0.5)


def test_the_first_conversations_come_with_all_their_samples() -> None:
    samples = [sample(n, "holdout").model_copy(update={"conversation_id": f"c{n % 3}"}) for n in range(6)]
    assert [s.span_id for s in first_conversations(samples, 2)] == [f"holdout-0{n}" for n in (0, 1, 3, 4)]
    assert first_conversations(samples, 0) == ()


def test_a_second_draw_is_one_of_its_own_and_answers_once() -> None:
    second, given = second_draw(PLAN), sample(0, "holdout")
    assert (second.repeats, second.what) == (1, "noise replay")
    assert second.draw(given, 0) != PLAN.draw(given, 0)


def noisy(
    server: ScriptedServer, folder: Path, samples: list[Sample], told: Callable[[Advance], None] | None = None
) -> tuple[Replies, Replies, Replies]:
    """The first answers, the second ones, and the first ones judged again."""

    async def work(chat: ChatModel) -> tuple[Replies, Replies, Replies]:
        mine, plan = evaluators(chat), second_draw(PLAN)
        (first,) = await replay(samples, [BASELINE], chat=chat, evaluators=mine, plan=PLAN)
        (second,) = await replay(samples, [BASELINE], chat=chat, evaluators=mine, plan=plan)
        judged = await judge_again(samples, first, evaluators=judges_of(mine), plan=plan, progress=told)
        return first, second, judged

    return in_shop(server, folder, work)


def constants(server: ScriptedServer, folder: Path) -> dict[str, EvalConstant]:
    async def work(chat: ChatModel) -> dict[str, EvalConstant]:
        return {each.constant.name: each.constant for each in evaluators(chat)}

    return in_shop(server, folder, work)


class Moody(Shop):
    """A judge that says the other of two words each time it is asked, whatever it reads."""

    def __init__(self, answer: Callable[[str, str], Body | Reply]) -> None:
        super().__init__(answer=answer)
        self._calls = itertools.count()

    def __call__(self, body: Body, number: int) -> Body | Reply:
        if body["model"] != "judge":
            return super().__call__(body, number)
        label = ("correct", "incorrect")[next(self._calls) % 2]
        return completion(json.dumps({"explanation": "So it seems.", "label": label}))


def test_a_steady_model_and_a_steady_judge_have_no_noise(tmp_path: Path) -> None:
    samples = [sample(n, "holdout") for n in range(6)]
    with ScriptedServer(Shop()) as server:
        first, second, judged = noisy(server, tmp_path, samples)
        judge = constants(server, tmp_path)["correctness"]
        calls = len(asked(server, "judge"))
    for kind, arm in (("generation", second), ("judge", judged)):
        found = noise_of("generation", pair(samples, first, arm), judge, 0.05)
        assert (kind, found.conversations, found.changed_share) == (kind, 6, 0)
    # Two repeats of six answers, each judged; and one second word on each first answer, since it came out the same.
    assert calls == 6 * 3


def test_a_moody_judge_is_told_from_a_steady_model(tmp_path: Path) -> None:
    samples = [sample(n, "holdout") for n in range(5)]
    with ScriptedServer(Moody(lambda _, user: completion(f"To {user}"))) as server:
        first, _, judged = noisy(server, tmp_path, samples)
        judge = constants(server, tmp_path)["correctness"]
    before = [first[s.span_id, 0].score("correctness") for s in samples]
    after = [judged[s.span_id, 0].score("correctness") for s in samples]
    found = noise_of("judge", pair(samples, first, judged), judge, 0.05)
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    assert found.changed_share == changed / 5 > 0
    assert [judged[s.span_id, 0].output for s in samples] == [first[s.span_id, 0].output for s in samples]


def test_a_moody_model_is_seen_by_a_function_too(tmp_path: Path) -> None:
    turns = itertools.count()

    def answer(_: str, __: str) -> Body:
        return completion("Short." if next(turns) < 10 else "And so on " * 10)

    samples = [sample(n, "holdout") for n in range(5)]
    with ScriptedServer(Shop(answer=answer)) as server:
        first, second, _ = noisy(server, tmp_path, samples)
        brief = constants(server, tmp_path)["is_brief"]
    found = noise_of("generation", pair(samples, first, second), brief, 0.05)
    assert (found.mean_difference, found.changed_share, found.spread) == (-1, 1, 0)


def test_only_judges_are_asked_again(tmp_path: Path) -> None:
    samples = [sample(0, "holdout")]
    with ScriptedServer(Shop()) as server:
        _, _, judged = noisy(server, tmp_path, samples)
    assert [e.name for e in judged["holdout-00", 0].evals] == ["correctness"]


def test_a_failed_answer_is_not_judged_and_a_failed_judgement_is_told(tmp_path: Path) -> None:
    turns = itertools.count()

    def answer(_: str, user: str) -> Body | Reply:
        return refusal(500, "out of order") if "parcel 1" in user else completion(f"Answer {next(turns)}.")

    class Mute(Shop):
        """Its judge falls silent after six words: of two repeats of two answers, and of their second draw."""

        def __call__(self, body: Body, number: int) -> Body | Reply:
            if body["model"] == "judge" and len(asked(server, "judge")) > 6:
                return refusal(500, "out of order")
            return super().__call__(body, number)

    told: list[Advance] = []
    samples = [sample(n, "holdout") for n in range(3)]
    with ScriptedServer(Shop(answer=answer)) as server:
        server.answer = Mute(answer=answer)
        _, _, judged = noisy(server, tmp_path, samples, told.append)
    assert sorted(judged) == [("holdout-00", 0), ("holdout-02", 0)]
    assert [(step.done, step.of, step.what, step.failed) for step in told] == [
        (1, 2, "noise judging", 1),
        (2, 2, "noise judging", 2),
    ]
