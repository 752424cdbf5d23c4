"""A judge's history in the gate's log: reading its anchors, recording a watch, resetting."""

from collections.abc import Sequence
from datetime import datetime

from sia_dagster.core.judge_watch.watch import JudgeHistory, WatchResult
from sia_dagster.core.ports.stores import GateLog
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.gate import WHENEVER
from sia_dagster.core.records.judge_report import Anchors, JudgeReport, WatchRecord
from sia_dagster.core.records.sample import TimeWindow


def judge_history(log: GateLog, judge: EvalConstant, window: TimeWindow) -> JudgeHistory:
    """The history of a judge as far as the window may see it. Raises GateLogError."""
    seen = log.anchors(judge.name, judge.fingerprint, window.end)
    newest = log.anchors(judge.name, judge.fingerprint, WHENEVER)
    if seen is None or not seen.scores:
        return JudgeHistory(needs_anchors=not (newest and newest.scores))
    of_these = (judge.name, judge.fingerprint, seen.window.key)
    records = (
        record
        for record in log.watches(window.end)
        if (record.judge.evaluator, record.judge.fingerprint, record.judge.anchored_in) == of_these
    )
    return JudgeHistory(anchors=seen, records=tuple(records), needs_anchors=not (newest and newest.scores))


def record_watch(log: GateLog, report: JudgeReport, results: Sequence[WatchResult], at: datetime) -> None:
    """Record the results of the anchors for later windows, and this window's outputs as anchors where there were none.

    The first record of each stands, so a repeated window changes nothing. Raises GateLogError.
    """
    of_window = {"loop": report.loop, "window": report.window, "at": at}
    for found in results:
        judge = found.judge
        if judge.anchors:
            log.record_watch(WatchRecord(**of_window, judge=judge))
        if found.frozen:
            anchors = {"evaluator": judge.evaluator, "fingerprint": judge.fingerprint, "scores": found.frozen}
            log.freeze(Anchors(**of_window, **anchors))


def reset_anchors(log: GateLog, judge: EvalConstant, *, at: datetime, by: str, note: str) -> Anchors | None:
    """Reset the judge's anchors: the next window that runs freezes new ones.

    Windows that ended before `at` keep the old ones. None, and nothing is written, where there is nothing to reset.
    Raises GateLogError.
    """
    newest = log.anchors(judge.name, judge.fingerprint, WHENEVER)
    if newest is None or not newest.scores:
        return None
    record = newest.model_copy(update={"at": at, "by": by, "note": note, "scores": ()})
    log.freeze(record)
    return record
