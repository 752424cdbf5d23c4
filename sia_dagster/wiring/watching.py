"""The judges' watch over a model session and the gate's log: what a window sees of it, and what it leaves in it."""

from collections.abc import Sequence
from datetime import datetime

from sia_dagster.core.config import LLMClassifyConfig
from sia_dagster.core.evidence import WHENEVER
from sia_dagster.core.judge_watch import Memory, Watched, WatchedJudge, WatchRules, watch_judges
from sia_dagster.core.models import EvalConstant, Sample, TimeWindow
from sia_dagster.core.ports import ChatModel, Evaluator, GateLog, Progress
from sia_dagster.core.watch_results import Anchors, JudgeReport, WatchRecord
from sia_dagster.wiring.stages import LoopSession, Outcome, eval_constants, run_stage


async def watch_window(session: LoopSession, samples: Sequence[Sample], log: GateLog) -> Outcome[tuple[Watched, ...]]:
    """Watch every judge of the loop, in the order of the configuration; the log is read, not written.

    `samples` are the window's with what the evaluators said of them. A function that asks a model itself is not
    watched. Raises as `evaluate_window`, and GateLogError.
    """
    memories = {judge.name: memory_of(log, judge, session.window) for judge in judges_of(session)}
    rules = WatchRules.of(session.loop, session.window.key, workers=session.workers)

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> tuple[Watched, ...]:
        turned = _turned(session, chat)
        judges = [
            WatchedJudge(judge, turned[judge.constant.name], memories[judge.constant.name])
            for judge in evaluators
            if judge.constant.name in turned
        ]
        return await watch_judges(judges, samples, rules=rules, progress=progress)

    return await run_stage(session, work)


def judges_of(session: LoopSession) -> tuple[EvalConstant, ...]:
    """The loop's judges, without a call. Raises ConfigError."""
    constants = eval_constants(session.loop, session.folder)
    return tuple(constant for constant in constants if constant.kind == "llm_classify")


def memory_of(log: GateLog, judge: EvalConstant, window: TimeWindow) -> Memory:
    """What the log knows of a judge as far as the window may see it. Raises GateLogError."""
    seen = log.anchors(judge.name, judge.fingerprint, window.end)
    newest = log.anchors(judge.name, judge.fingerprint, WHENEVER)
    if seen is None or not seen.scores:
        return Memory(wanted=not (newest and newest.scores))
    of_these = (judge.name, judge.fingerprint, seen.window.key)
    watched = (
        record
        for record in log.watches(window.end)
        if (record.judge.evaluator, record.judge.fingerprint, record.judge.anchored_in) == of_these
    )
    return Memory(anchors=seen, watched=tuple(watched), wanted=not (newest and newest.scores))


def remember(log: GateLog, report: JudgeReport, watched: Sequence[Watched], at: datetime) -> None:
    """Leave to later windows what the anchors said, and this window's outputs as anchors where there were none.

    Of each the first record stands, so that a repeated window changes nothing. Raises GateLogError.
    """
    of_window = {"loop": report.loop, "window": report.window, "at": at}
    for found in watched:
        judge = found.judge
        if judge.anchors:
            log.record_watch(WatchRecord(**of_window, judge=judge))
        if found.frozen:
            anchors = {"evaluator": judge.evaluator, "fingerprint": judge.fingerprint, "scores": found.frozen}
            log.freeze(Anchors(**of_window, **anchors))


def reset(log: GateLog, judge: EvalConstant, *, at: datetime, by: str, note: str) -> Anchors | None:
    """Say that the judge's anchors count no more: the next window that runs freezes new ones.

    Windows that ended before `at` go on with the old ones. None where there is nothing to reset, and then nothing is
    written. Raises GateLogError.
    """
    newest = log.anchors(judge.name, judge.fingerprint, WHENEVER)
    if newest is None or not newest.scores:
        return None
    record = newest.model_copy(update={"at": at, "by": by, "note": note, "scores": ()})
    log.freeze(record)
    return record


def _turned(session: LoopSession, chat: ChatModel) -> dict[str, Evaluator]:
    """Every judge with its labels in reverse order, by name. Their scores are a probe's and are never stored as its."""
    from sia_dagster.adapters.config_references import read_template
    from sia_dagster.core.evaluators import build_evaluator

    judges = [evaluator for evaluator in session.loop.evaluators if isinstance(evaluator, LLMClassifyConfig)]
    return {
        judge.name: build_evaluator(
            judge.model_copy(update={"rails": dict(reversed(judge.rails.items()))}),
            chat=chat,
            template=read_template(judge.template, session.folder),
            primary=False,
        )
        for judge in judges
    }
