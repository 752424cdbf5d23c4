"""The judges' watch as people read it."""

from typing import Any

from sia_dagster.core.judge_watch.watch import ChangedAnchor, WatchResult
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.judge_report import AnchorScore, JudgeReport, JudgeWatch, Probe
from sia_dagster.reports.markdown.judges import (
    SHOWN,
    changed_table,
    fair_sentence,
    judges_table,
    probes_table,
    since_text,
    steady_sentence,
)
from sia_dagster_tests.worlds.evaluation_samples import sample
from sia_dagster_tests.worlds.weeks import week

STEADY = JudgeWatch(
    evaluator="correctness",
    fingerprint="f",
    anchors=30,
    anchored_in="2026-09-28",
    shift=0.01,
    ci_low=-0.1,
    ci_high=0.12,
    disagreement=0.05,
    noise=0.07,
    kappa=0.61,
    reason="correctness is steady: it moved by +0.01",
)
PROBE = Probe(kind="position", n=20, shift=0.3, ci_low=0.1, ci_high=0.5, biased=True)


def report(*judges: JudgeWatch) -> JudgeReport:
    return JudgeReport(loop="desk", window=week(1), judges=judges)


def judge(**fields: Any) -> JudgeWatch:
    return STEADY.model_copy(update=fields)


def test_a_loop_without_a_judge_says_so() -> None:
    assert judges_table(report()) == steady_sentence(report()) == "No evaluator of this loop is a judge."
    assert probes_table(report()).startswith("No judge was probed")
    assert fair_sentence(report()) == "no probes found no bias beyond the tolerance."


def test_a_row_has_every_number() -> None:
    _, _, row, _, text = judges_table(report(STEADY)).splitlines()
    for part in ("correctness", "30 of 2026\\-09\\-28", "0\\.01", "5 %", "7 %", "0.61"):
        assert part in row
    assert text.startswith("- ")
    assert "is steady" in text


def test_a_drift_stands_out_and_says_since_when() -> None:
    drifted = judge(drifted=True, shift=0.4, since=("2026-10-05", "2026-10-12"), reason="correctness drifted")
    assert "**\\+0\\.40" in judges_table(report(drifted))
    assert steady_sentence(report(drifted)) == (
        "correctness drifted; not steady in 2 windows (2026-10-05 to 2026-10-12)."
    )


def test_a_reason_that_does_not_name_its_judge_gets_the_name() -> None:
    bare = JudgeWatch(evaluator="tone", fingerprint="f", reason="no anchors were frozen")
    assert steady_sentence(report(STEADY, bare)).endswith("+0.01. tone: no anchors were frozen.")
    assert "| 0 | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} |" in judges_table(report(bare))


def test_text_from_a_failed_judgement_is_no_markup() -> None:
    hostile = judge(reason="the judge could not be watched: <b>x</b> | [y](http://example.com)")
    text = judges_table(report(hostile))
    assert "<b>" not in text
    assert "](http" not in text
    assert text.splitlines()[2].count(" | ") == 5


def test_probes_say_what_was_done_and_which_are_biased() -> None:
    fair = Probe(kind="verbosity", n=4)
    rows = probes_table(report(judge(probes=(PROBE, fair)))).splitlines()[2:]
    assert "the labels in reverse order" in rows[0]
    assert rows[0].endswith("| **yes** |")
    assert "the answer repeated twice | 4 |" in rows[1]
    assert rows[1].endswith("| no |")


def test_the_check_names_the_bias() -> None:
    biased = report(judge(probes=(PROBE,)))
    assert fair_sentence(biased) == (
        "correctness: the labels in reverse order moved its mean score of 20 answers by +0.30 [+0.10, +0.50]."
    )
    fair = report(judge(probes=(PROBE.model_copy(update={"biased": False}),)))
    assert fair_sentence(fair) == "1 probe found no bias beyond the tolerance."


def test_since_is_told_in_windows() -> None:
    assert since_text(()) == "\N{EN DASH}"
    assert since_text(("a",)) == "1 window (a to a)"


def test_anchors_that_are_judged_otherwise_stand_with_both_words() -> None:
    was = EvalMetrics(name="correctness", label="incorrect", score=0.0, explanation="No <b>date</b>.")
    now = EvalMetrics(name="correctness", score=0.5)
    anchor = ChangedAnchor(AnchorScore(sample=sample("Yes | no."), first=was, second=was), now)
    rows = changed_table([WatchResult(STEADY, (), (anchor,) * (SHOWN + 5))]).splitlines()
    assert len(rows) == 2 + SHOWN
    assert rows[2].startswith("| correctness | When does my parcel come? | Yes \\| no\\. | incorrect\\: No ")
    assert rows[2].endswith("| 0\\.50 |")
    assert "<b>" not in rows[2]
    assert changed_table([WatchResult(STEADY, ())]) == "Every anchor is judged as when it was frozen."
