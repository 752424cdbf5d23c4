"""The judges' watch over a real endpoint: what later windows see of a frozen judgement, and what no window may see."""

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sia_dagster.core.errors import EndpointRefused
from sia_dagster.core.gate.criteria import CriteriaInput
from sia_dagster.core.gate.verdict import decide
from sia_dagster.core.judge_watch.history import judge_history, reset_anchors
from sia_dagster.core.judge_watch.watch import NO_ANSWERS, NOT_ASKED, NOTHING_FROZEN, WatchRules
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.gate import WHENEVER
from sia_dagster.core.records.judge_report import JudgeReport, JudgeWatch
from sia_dagster.core.statistics import MIN_CONVERSATIONS
from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster_tests.worlds.evaluation_samples import sample
from sia_dagster_tests.worlds.judge_world import (
    Court,
    court,
    flipping,
    honest,
    judged_loop,
    labels_of,
    lenient,
    number_of,
    output_of,
    outputs,
)
from sia_dagster_tests.worlds.weeks import week
from simulation.loops import CORRECTNESS, IS_BRIEF
from simulation.servers import ScriptedServer, refusal

NOON = timedelta(hours=12)


@pytest.fixture
def probed(tmp_path: Path) -> Iterator[Court]:
    """A loop as it is by default."""
    with court(tmp_path) as found:
        yield found


@pytest.fixture
def judged(probed: Court) -> Court:
    """The same without probes, which are 40 calls of a window's 100."""
    return probed.with_watch(probes=0)


def test_the_first_window_has_nothing_to_compare_with_and_freezes_anchors(judged: Court) -> None:
    first = judged.watch(0)
    assert (first.anchors, first.shift, first.drifted, first.since) == (0, None, False, ())
    assert first.reason == NOTHING_FROZEN
    frozen = judged.log.anchors("correctness", judged.judge.fingerprint, WHENEVER)
    assert frozen
    assert frozen.window == week(0)
    assert len(frozen.scores) == 30
    assert {each.first.score for each in frozen.scores} == {0.0, 1.0}


def test_anchors_hold_no_word_of_people_and_no_evaluation(judged: Court) -> None:
    people = (EvalMetrics(name="correctness", label="correct", explanation="a note"),)
    judged.watch(0, samples=[each.model_copy(update={"annotations": people}) for each in outputs(0)])
    frozen = judged.log.anchors("correctness", judged.judge.fingerprint, WHENEVER)
    assert frozen
    assert {(each.sample.evals, each.sample.annotations) for each in frozen.scores} == {((), ())}


def test_a_steady_judge_is_seen_steady(judged: Court) -> None:
    judged.watch(0)
    second = judged.watch(1)
    assert (second.anchors, second.anchored_in) == (30, week(0).key)
    assert (second.shift, second.disagreement, second.noise) == (0, 0, 0)
    assert not second.drifted
    assert second.reason.startswith("correctness is steady: its mean score of 30 anchors moved by +0.00")


def test_a_judge_that_becomes_lenient_is_found_out_in_that_week_and_marked_since(judged: Court) -> None:
    found = []
    for number in range(6):
        judged.opinion[0] = lenient if 3 <= number < 5 else honest
        found.append(judged.watch(number))
    assert [each.drifted for each in found] == [False, False, False, True, True, False]
    assert [each.since for each in found[2:]] == [(), (week(3).key,), (week(3).key, week(4).key), ()]
    drifted = found[3]
    assert drifted.shift is not None
    assert drifted.shift > 0.1
    assert drifted.ci_low is not None
    assert drifted.ci_low > 0
    assert f"since window {week(0).key}" in drifted.reason
    assert JudgeReport(loop="desk", window=week(3), judges=(found[2], drifted)).drifted == (drifted,)


def test_noise_over_twenty_weeks_is_not_taken_for_drift(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with court(tmp_path, flipping(0.05, "year")) as noisy:
        quiet = noisy.with_watch(probes=0)
        found = [quiet.watch(number) for number in range(20)]
    alarms = sum(each.drifted for each in found)
    record_property("false drift alarms in 20 windows, 5 % flips", alarms)
    assert all(each.anchors == 30 for each in found[1:])
    assert sum(each.disagreement or 0 for each in found) > 0
    assert alarms == 0


def test_a_window_sees_no_anchors_that_were_frozen_after_its_end(judged: Court) -> None:
    judged.watch(0, at=week(1).end)
    assert judged.watch(1).reason == NOTHING_FROZEN
    assert judged.watch(2).anchored_in == week(0).key


def test_windows_of_history_in_any_order_and_twice_are_the_same(tmp_path: Path) -> None:
    now = week(9).end
    found = []
    for name, order in (("ordered", (0, 1, 2)), ("reversed", (2, 1, 0)), ("twice", (1, 0, 2, 0, 1, 2))):
        with court(tmp_path / name) as default:
            judged = default.with_watch(anchors=12, probes=4)
            watched = {number: judged.watch(number, at=now) for number in order}
        found.append([watched[number].model_dump_json() for number in range(3)])
    assert found[0] == found[1] == found[2]


def test_what_a_window_finds_does_not_depend_on_whether_it_froze_anchors(probed: Court) -> None:
    froze = probed.look(0).value[0]
    probed.watch(1, at=week(9).end)
    did_not = probed.look(0).value[0]
    assert (len(froze.frozen), did_not.frozen) == (30, ())
    assert froze.judge == did_not.judge


def test_a_repeated_window_asks_nothing_anew_and_changes_nothing(probed: Court) -> None:
    probed.watch(0)
    once = probed.watch(1)
    asked, files = len(probed.server.requests), written(probed)
    assert probed.watch(1, at=week(1).end + NOON) == once
    assert probed.watch(0).reason == NOTHING_FROZEN
    assert (len(probed.server.requests), written(probed)) == (asked, files)


def written(court: Court) -> dict[str, bytes]:
    """The files of the gate's log."""
    return {str(path): path.read_bytes() for path in (court.folder / ".sia").rglob("*.json")}


def test_history_is_not_paid_for_anchors_twice(probed: Court) -> None:
    now = week(9).end
    probed.watch(0, at=now)
    asked = len(probed.server.requests)
    probed.watch(1, at=now)
    probes = 2 * 20
    assert asked == 2 * 30 + probes
    assert len(probed.server.requests) - asked == probes


def test_every_window_asks_the_judge_anew(probed: Court) -> None:
    asked = []
    for number in range(3):
        probed.watch(number, samples=outputs(0))
        asked.append(len(probed.server.requests))
    assert [after - before for before, after in itertools.pairwise(asked)] == [30 + 40, 30 + 40]


def test_a_reset_lets_the_next_window_freeze_and_the_one_after_compare(judged: Court) -> None:
    judged.watch(0)
    judged.opinion[0] = lenient
    assert judged.watch(1).drifted
    record = reset_anchors(judged.log, judged.judge, at=week(1).end + NOON, by="Ada", note="the new model is right")
    assert record
    assert (record.scores, record.by, record.window) == ((), "Ada", week(0))
    assert judged.watch(2).reason == NOTHING_FROZEN
    third = judged.watch(3)
    assert (third.anchored_in, third.drifted, third.since) == (week(2).key, False, ())


def test_a_window_that_ended_before_the_reset_keeps_its_anchors_and_freezes_new_ones(judged: Court) -> None:
    judged.watch(0)
    judged.opinion[0] = lenient
    late = week(1).end + NOON
    reset_anchors(judged.log, judged.judge, at=late, by="Ada", note="")
    assert judged.watch(1, at=late + NOON).drifted
    second = judged.watch(2)
    assert (second.anchored_in, second.drifted) == (week(1).key, False)


def test_there_is_nothing_to_reset_before_anchors_and_after_a_reset(judged: Court) -> None:
    assert reset_anchors(judged.log, judged.judge, at=week(0).end, by="Ada", note="") is None
    judged.watch(0)
    assert reset_anchors(judged.log, judged.judge, at=week(1).end, by="Ada", note="") is not None
    assert reset_anchors(judged.log, judged.judge, at=week(1).end, by="Bo", note="") is None
    newest = judged.log.anchors("correctness", judged.judge.fingerprint, WHENEVER)
    assert newest
    assert newest.by == "Ada"


def test_another_judge_has_anchors_of_its_own(judged: Court) -> None:
    judged.watch(0)
    changed = {**CORRECTNESS, "model": "another-judge"}
    other = Court(judged.folder, judged.server, judged.opinion, judged_loop(evaluators=[changed, IS_BRIEF]))
    assert other.watch(1).reason == NOTHING_FROZEN
    assert judged.watch(2).anchored_in == week(0).key
    assert other.watch(2).anchored_in == week(1).key


def test_a_record_of_other_anchors_says_nothing_of_these(judged: Court) -> None:
    judged.watch(0)
    judged.opinion[0] = lenient
    judged.watch(1)
    reset_anchors(judged.log, judged.judge, at=week(1).end + NOON, by="Ada", note="")
    judged.watch(2)
    assert judge_history(judged.log, judged.judge, week(3)).records == ()
    judged.opinion[0] = honest
    assert judged.watch(3).since == (week(3).key,)


def failing(share: int) -> Callable[[str, object], str]:
    """Honest, but off its rails for one output in `share`."""
    return lambda output, _: "neither" if number_of(output) % share == 0 else honest(output, ())


def test_a_judge_that_mostly_fails_could_not_be_watched(probed: Court) -> None:
    probed.watch(0)
    probed.opinion[0] = failing(2)
    found = probed.watch(1)
    assert (found.anchors, found.shift, found.drifted, found.since) == (30, None, False, ())
    assert "could not be watched" in found.reason
    assert "'neither' is not one of the rails" in found.reason
    assert not found.is_conclusive


def test_a_window_that_says_nothing_does_not_end_a_drift(judged: Court) -> None:
    judged.watch(0)
    judged.opinion[0] = lenient
    judged.watch(1)
    judged.opinion[0] = failing(2)
    found = judged.watch(2)
    assert found.since == (week(1).key, week(2).key)
    assert (found.drifted, found.shift) == (True, None)
    given = CriteriaInput(
        comparisons=(), rule=ComparisonRule(), conversations=9, candidate_changed=True, watch=(found,)
    )
    assert decide(given).void
    judged.opinion[0] = honest
    assert (judged.watch(3).since, judged.watch(3).drifted) == ((), False)


def test_a_few_failures_are_left_out(judged: Court) -> None:
    judged.watch(0)
    judged.opinion[0] = failing(15)
    found = judged.watch(1)
    assert found.anchors == 30
    assert found.shift == 0
    assert "of 30 anchors" not in found.reason
    assert found.is_conclusive


def test_outputs_that_the_judge_fails_on_do_not_become_anchors(tmp_path: Path) -> None:
    with court(tmp_path, failing(9)) as judged:
        judged.watch(0)
        frozen = judged.log.anchors("correctness", judged.judge.fingerprint, WHENEVER)
    assert frozen
    assert 24 <= len(frozen.scores) < 30
    assert all(number_of(each.sample.output) % 9 for each in frozen.scores)


def test_a_judge_that_fails_often_for_once_is_not_watched_on_a_handful_for_good(judged: Court) -> None:
    judged.opinion[0] = failing(2)
    judged.watch(0)
    assert judged.log.anchors("correctness", judged.judge.fingerprint, WHENEVER) is None
    judged.opinion[0] = honest
    judged.watch(1)
    assert (judged.watch(2).anchors, judged.watch(2).anchored_in) == (30, week(1).key)


@pytest.mark.parametrize("count", [0, 4])
def test_a_window_with_hardly_any_output_leaves_the_freezing_to_a_later_one(probed: Court, count: int) -> None:
    assert probed.watch(0, samples=outputs(0)[:count]).reason == (NOTHING_FROZEN if count else NO_ANSWERS)
    assert probed.log.anchors("correctness", probed.judge.fingerprint, WHENEVER) is None
    assert len(probed.server.requests) == 2 * count
    probed.watch(1)
    assert probed.watch(2).anchored_in == week(1).key


def test_just_enough_outputs_become_anchors(judged: Court) -> None:
    judged.watch(0, samples=outputs(0)[:MIN_CONVERSATIONS])
    frozen = judged.log.anchors("correctness", judged.judge.fingerprint, WHENEVER)
    assert frozen
    assert len(frozen.scores) == MIN_CONVERSATIONS


def test_a_window_without_answers_asks_no_judge(judged: Court) -> None:
    judged.watch(0)
    asked = len(judged.server.requests)
    assert judged.watch(1, samples=()).reason == NO_ANSWERS
    assert len(judged.server.requests) == asked
    assert judged.watch(2).anchored_in == week(0).key


def test_anchors_that_all_failed_twice_are_not_kept(tmp_path: Path) -> None:
    with court(tmp_path, failing(1)) as judged:
        judged.watch(0)
        assert judged.log.anchors("correctness", judged.judge.fingerprint, WHENEVER) is None


def test_without_anchors_no_judge_is_watched(judged: Court) -> None:
    judged.watch(0)
    asked = len(judged.server.requests)
    off = judged.with_watch(anchors=0, probes=0)
    assert off.watch(1) == JudgeWatch(evaluator="correctness", fingerprint=judged.judge.fingerprint, reason=NOT_ASKED)
    assert len(judged.server.requests) == asked


def test_a_fair_judge_passes_both_probes(probed: Court) -> None:
    probes = probed.watch(0).probes
    assert [(each.kind, each.n, each.shift, each.biased) for each in probes] == [
        ("position", 20, 0.0, False),
        ("verbosity", 20, 0.0, False),
    ]


def test_a_judge_that_takes_the_first_label_goes_by_position(tmp_path: Path) -> None:
    with court(tmp_path, lambda output, labels: labels[0] if number_of(output) % 2 else honest(output, ())) as judged:
        position, verbosity = judged.watch(0).probes
    assert (position.biased, verbosity.biased) == (True, False)
    assert position.shift is not None
    assert position.shift < 0


def test_the_position_probe_offers_the_labels_in_reverse_and_is_no_anchor(probed: Court) -> None:
    probed.watch(0)
    offered = [tuple(labels_of(body)) for body in probed.server.requests]
    assert offered.count(("incorrect", "correct")) == 20
    assert offered.count(("correct", "incorrect")) == 2 * 30 + 20


def test_a_judge_that_likes_length_is_biased(tmp_path: Path) -> None:
    with court(tmp_path, lambda output, _: "correct" if "\n\n" in output else honest(output, ())) as judged:
        samples = outputs(0, bad=2)
        position, verbosity = judged.watch(0, samples=samples).probes
        doubled = [body for body in judged.server.requests if "\n\n" in output_of(body)]
    assert (position.biased, verbosity.biased) == (False, True)
    assert len(doubled) == 20


def test_agreement_with_people_is_reported(judged: Court) -> None:
    assert judged.watch(0).kappa is None
    samples = outputs(1)
    people = [
        each.model_copy(update={"annotations": (EvalMetrics(name="correctness", label=honest(each.output, ())),)})
        for each in samples
    ]
    assert judged.watch(1, samples=people).kappa == 1


def test_functions_are_not_watched(probed: Court) -> None:
    only = Court(
        probed.folder,
        probed.server,
        probed.opinion,
        judged_loop(evaluators=[IS_BRIEF], validation={"primary": "is_brief"}),
    )
    assert only.look(0).value == ()
    assert probed.server.requests == []


def test_spend_and_rows_are_told(probed: Court) -> None:
    outcome = probed.look(0)
    assert (outcome.rows.done, outcome.rows.of, outcome.rows.failed) == (100, 100, 0)
    assert sum(spend.calls for spend in outcome.spend.values()) == 100
    probed.opinion[0] = failing(2)
    assert probed.look(1).rows.failed > 0


def test_an_endpoint_that_refuses_the_key_stops_the_stage(tmp_path: Path) -> None:
    with ScriptedServer(lambda body, n: refusal(401, "no such key")) as server:
        refused = Court(tmp_path, server, [honest])
        with pytest.raises(EndpointRefused):
            refused.watch(0)
    assert not (tmp_path / ".sia").exists()


def test_rules_are_those_of_the_configuration() -> None:
    loop = judged_loop(watch={"anchors": 7, "tolerance": 0.2, "probes": 3})
    assert WatchRules.of(loop, "2026-09-28", workers=4) == WatchRules(
        window="2026-09-28", anchors=7, probes=3, tolerance=0.2, max_unscored_share=0.2, workers=4
    )


def test_an_output_said_by_two_calls_is_two_witnesses(judged: Court) -> None:
    same = [sample("good 1", span_id=f"s{n}", evals=(EvalMetrics(name="correctness", score=1.0),)) for n in range(6)]
    judged.with_watch(probes=0).watch(0, samples=same)
    assert len(judged.server.requests) == 2 * 6


def test_the_anchors_that_changed_are_told_with_both_words(judged: Court) -> None:
    judged.watch(0)
    assert judged.look(0).value[0].changed == judged.look(1).value[0].changed == ()
    judged.opinion[0] = lenient
    (found,) = judged.look(2).value
    assert found.changed
    assert all(number_of(each.was.sample.output) % 2 == 0 for each in found.changed)
    assert {(each.was.first.label, each.now.label) for each in found.changed} == {("incorrect", "correct")}
    assert len(found.changed) == 30 * (found.judge.disagreement or 0)
