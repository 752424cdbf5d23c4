"""The results of the judge watch, as frozen values."""

from datetime import datetime
from typing import Literal

from sia_dagster.core.records.document import Document
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Sample, TimeWindow
from sia_dagster.core.records.value import Value


class AnchorScore(Value):
    """One frozen output and the judge's results when it was frozen."""

    sample: Sample
    first: EvalMetrics
    second: EvalMetrics
    """A second draw of the same judgement, which measures the judge's own noise."""


class Anchors(Document):
    """The frozen outputs of one evaluator fingerprint."""

    loop: str
    evaluator: str
    fingerprint: str
    window: TimeWindow
    """The window of the outputs."""
    at: datetime
    """When they were frozen; windows that ended before do not use them."""
    by: str = ""
    """Who reset them after a drift; empty for the first."""
    note: str = ""
    scores: tuple[AnchorScore, ...] = ()


class Probe(Value):
    """A judge's scores of the same outputs under a change that should not matter."""

    kind: Literal["position", "verbosity"]
    """`position`: the labels in reverse order. `verbosity`: the output repeated."""
    n: int
    shift: float | None = None
    """Mean change of the score, in the evaluator's own units, as are the ends."""
    ci_low: float | None = None
    ci_high: float | None = None
    biased: bool = False
    """Whether the interval excludes 0 and the change is beyond the tolerance."""


class JudgeWatch(Value):
    """One judge in one window."""

    evaluator: str
    fingerprint: str
    anchors: int = 0
    """Anchors that were judged again; 0 where none were frozen before the window's end."""
    anchored_in: str | None = None
    """The key of the window whose outputs the anchors are."""
    shift: float | None = None
    """Mean change of the anchors' scores since they were frozen, in the evaluator's own units."""
    ci_low: float | None = None
    ci_high: float | None = None
    disagreement: float | None = None
    """Share of anchors that are scored differently than when they were frozen."""
    noise: float | None = None
    """Share of anchors on which the judge's first two draws differed."""
    drifted: bool = False
    since: tuple[str, ...] = ()
    """The windows, this one included, since the judge was last seen steady; empty while it is."""
    kappa: float | None = None
    """Agreement with people on this window's answers; None where too few were annotated."""
    probes: tuple[Probe, ...] = ()
    reason: str = ""
    """The result, in a sentence."""

    @property
    def is_conclusive(self) -> bool:
        """Whether the anchors gave a result; True where there were no anchors."""
        return not self.anchors or self.shift is not None


class JudgeReport(Document):
    """The asset `judge_watch`: every judge of the loop in one window."""

    loop: str
    window: TimeWindow
    judges: tuple[JudgeWatch, ...] = ()

    @property
    def drifted(self) -> tuple[JudgeWatch, ...]:
        """The judges whose scores are not comparable with those of earlier windows."""
        return tuple(judge for judge in self.judges if judge.drifted)


class WatchRecord(Document):
    """The result of the anchors in one window, for the windows after it."""

    loop: str
    window: TimeWindow
    at: datetime
    judge: JudgeWatch
