"""The judges' watch in plain words, as Markdown."""

from collections.abc import Sequence

from sia_dagster.core.judge_watch import ChangedAnchor, Watched
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.judge_report import JudgeReport, JudgeWatch, Probe
from sia_dagster.core.text import count
from sia_dagster.reports.markdown.tables import CELL
from sia_dagster.reports.wording import NOTHING, escape, interval, number, share, signed, trimmed

SHOWN = 20
"""Changed anchors of a judge."""


_PROBED = {"position": "the labels in reverse order", "verbosity": "the answer said twice"}


def judges_table(report: JudgeReport) -> str:
    """A row a judge: what its anchors say and how it agrees with people; below it what was found, in words."""
    if not report.judges:
        return "No evaluator of this loop is a judge."
    head = ("judge", "anchors", "mean moved by", "judged otherwise", "its own noise", "kappa")
    rows = [head, ("---",) * len(head), *(_row(judge) for judge in report.judges)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([table, "", *(f"- {escape(found_sentence(judge))}" for judge in report.judges)])


def probes_table(report: JudgeReport) -> str:
    """A row a probe of each judge; says so where none was made."""
    probed = [(judge, probe) for judge in report.judges for probe in judge.probes]
    if not probed:
        return "No judge was probed: `watch.probes` is 0, or no answer of the window has a score."
    head = ("judge", "probe", "answers", "mean moved by", "biased")
    rows = [head, ("---",) * len(head), *(_probe_row(judge, probe) for judge, probe in probed)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def changed_table(watched: Sequence[Watched]) -> str:
    """A row for each anchor that is judged otherwise now, at most SHOWN a judge: what was said then, and now."""
    changed = [(found.judge, anchor) for found in watched for anchor in found.changed[:SHOWN]]
    if not changed:
        return "No anchor is judged otherwise than when it was frozen."
    head = ("judge", "request", "answer", "then", "now")
    rows = [head, ("---",) * len(head), *(_changed_row(judge, anchor) for judge, anchor in changed)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def steady_sentence(report: JudgeReport) -> str:
    """What the anchors of all judges say, a sentence each, and since when one drifts."""
    return " ".join(f"{found_sentence(judge)}" for judge in report.judges) or "No evaluator of this loop is a judge."


def fair_sentence(report: JudgeReport) -> str:
    """Which probes moved which judge."""
    biased = [(judge, probe) for judge in report.judges for probe in judge.probes if probe.biased]
    if biased:
        return " ".join(
            f"{judge.evaluator}: {_PROBED[probe.kind]} moved its mean score of {count(probe.n, 'answer')} by "
            f"{signed(probe.shift)} {interval(probe.ci_low, probe.ci_high)}."
            for judge, probe in biased
        )
    return f"{count(sum(len(judge.probes) for judge in report.judges), 'probe')} found no bias beyond the tolerance."


def found_sentence(judge: JudgeWatch) -> str:
    """What the watch found of a judge, and since when it is not steady; it begins with the judge's name."""
    since = f"; not seen steady in {since_text(judge.since)}" if judge.since else ""
    named = judge.reason if judge.reason.startswith(judge.evaluator) else f"{judge.evaluator}: {judge.reason}"
    return f"{named}{since}."


def since_text(judges: Sequence[str]) -> str:
    """`2 windows (2026-10-05 to 2026-10-12)` of the keys of windows; a dash for none."""
    return f"{count(len(judges), 'window')} ({judges[0]} to {judges[-1]})" if judges else NOTHING


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
    return (*map(escape, texts), escape(_word(anchor.was.first)), escape(_word(anchor.now)))


def _word(said: EvalMetrics) -> str:
    word = said.label or number(said.score)
    return trimmed(f"{word}: {said.explanation}" if said.explanation else word, CELL)


def _probe_row(judge: JudgeWatch, probe: Probe) -> tuple[str, ...]:
    return (
        escape(judge.evaluator),
        f"{probe.kind}: {_PROBED[probe.kind]}",
        str(probe.n),
        escape(f"{signed(probe.shift)} {interval(probe.ci_low, probe.ci_high)}".rstrip()),
        "**yes**" if probe.biased else "no",
    )
