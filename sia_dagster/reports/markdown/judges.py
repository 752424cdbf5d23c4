"""The judge watch as sentences and Markdown tables."""

from collections.abc import Sequence

from sia_dagster.core.judge_watch import ChangedAnchor, WatchResult
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.judge_report import JudgeReport, JudgeWatch, Probe
from sia_dagster.core.text import count
from sia_dagster.reports.markdown.tables import CELL, table
from sia_dagster.reports.wording import NOTHING, escape, interval, number, share, signed, trimmed

SHOWN = 20
"""Changed anchors shown for each judge."""
_PROBED = {"position": "the labels in reverse order", "verbosity": "the answer repeated twice"}


def judges_table(report: JudgeReport) -> str:
    """One row for each judge: its anchors and its agreement with people; below the table the finding as a sentence."""
    if not report.judges:
        return "No evaluator of this loop is a judge."
    head = ("judge", "anchors", "mean moved by", "changed labels", "judge noise", "kappa")
    rows = table(head, map(_row, report.judges))
    return "\n".join([rows, "", *(f"- {escape(found_sentence(judge))}" for judge in report.judges)])


def probes_table(report: JudgeReport) -> str:
    """One row for each probe of each judge; a sentence where none was made."""
    probed = [(judge, probe) for judge in report.judges for probe in judge.probes]
    if not probed:
        return "No judge was probed: `watch.probes` is 0, or no answer of the window has a score."
    head = ("judge", "probe", "answers", "mean moved by", "biased")
    return table(head, (_probe_row(judge, probe) for judge, probe in probed))


def changed_table(watched: Sequence[WatchResult]) -> str:
    """One row for each anchor whose label or score changed, at most SHOWN a judge: the old and the new one."""
    changed = [(found.judge, anchor) for found in watched for anchor in found.changed[:SHOWN]]
    if not changed:
        return "Every anchor is judged as when it was frozen."
    head = ("judge", "request", "answer", "then", "now")
    return table(head, (_changed_row(judge, anchor) for judge, anchor in changed))


def steady_sentence(report: JudgeReport) -> str:
    """The finding on every judge's anchors, a sentence each, and since when one drifts."""
    return " ".join(found_sentence(judge) for judge in report.judges) or "No evaluator of this loop is a judge."


def fair_sentence(report: JudgeReport) -> str:
    """The probes that moved a judge's mean score."""
    biased = [(judge, probe) for judge in report.judges for probe in judge.probes if probe.biased]
    if biased:
        return " ".join(
            f"{judge.evaluator}: {_PROBED[probe.kind]} moved its mean score of {count(probe.n, 'answer')} by "
            f"{signed(probe.shift)} {interval(probe.ci_low, probe.ci_high)}."
            for judge, probe in biased
        )
    return f"{count(sum(len(judge.probes) for judge in report.judges), 'probe')} found no bias beyond the tolerance."


def found_sentence(judge: JudgeWatch) -> str:
    """The finding for a judge, and since when it is not steady; begins with the judge's name."""
    since = f"; not steady in {since_text(judge.since)}" if judge.since else ""
    named = judge.reason if judge.reason.startswith(judge.evaluator) else f"{judge.evaluator}: {judge.reason}"
    return f"{named}{since}."


def since_text(windows: Sequence[str]) -> str:
    """`2 windows (2026-10-05 to 2026-10-12)` for these keys of windows; a dash for none."""
    return f"{count(len(windows), 'window')} ({windows[0]} to {windows[-1]})" if windows else NOTHING


def _row(judge: JudgeWatch) -> tuple[str, ...]:
    moved = f"{signed(judge.shift)} {interval(judge.ci_low, judge.ci_high)}".rstrip()
    return (
        escape(judge.evaluator),
        f"{judge.anchors} of {escape(judge.anchored_in)}" if judge.anchored_in else "0",
        f"**{escape(moved)}**" if judge.drifted else escape(moved),
        escape(share(judge.disagreement)),
        escape(share(judge.noise)),
        number(judge.kappa),
    )


def _changed_row(judge: JudgeWatch, anchor: ChangedAnchor) -> tuple[str, ...]:
    sample = anchor.was.sample
    texts = (judge.evaluator, trimmed(sample.request, CELL), trimmed(sample.output, CELL))
    return (*map(escape, texts), escape(_judgement(anchor.was.first)), escape(_judgement(anchor.now)))


def _judgement(metrics: EvalMetrics) -> str:
    word = metrics.label or number(metrics.score)
    return trimmed(f"{word}: {metrics.explanation}" if metrics.explanation else word, CELL)


def _probe_row(judge: JudgeWatch, probe: Probe) -> tuple[str, ...]:
    return (
        escape(judge.evaluator),
        f"{probe.kind}: {_PROBED[probe.kind]}",
        str(probe.n),
        escape(f"{signed(probe.shift)} {interval(probe.ci_low, probe.ci_high)}".rstrip()),
        "**yes**" if probe.biased else "no",
    )
