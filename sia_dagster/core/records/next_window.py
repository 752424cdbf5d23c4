"""The result of a next-window check, as frozen values."""

from typing import ClassVar

from sia_dagster.core.records.document import Document
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import Value


class NextWindowComparison(Value):
    """Both policies under one evaluator on the next window's traffic, in its own units."""

    evaluator: str
    primary: bool
    n: int
    conversations: int | None = None
    baseline_mean: float | None = None
    candidate_mean: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None


class NextWindowResults(Document):
    """The candidate of the window before, on this window's traffic, before anything was learned from it."""

    renamed_in_2: ClassVar[dict[str, str]] = {"exam": "comparisons"}

    loop: str
    window: TimeWindow
    found_in: TimeWindow | None = None
    """The window that found the candidate; None where there is no window before."""
    verdict: str = ""
    """That window's verdict; empty where it had no candidate."""
    promoted_version: int | None = None
    """The registry's version that it was promoted as before this window's end."""
    promised: float | None = None
    """The lower end of the gain at its verdict, in the evaluator's own units."""
    comparisons: tuple[NextWindowComparison, ...] = ()
    cumulative_gain: float | None = None
    """Of the policy in force over the loop's first policy, on this window's traffic, as a share of the primary
    evaluator's range; 0 before any promotion; None where the traffic does not tell."""
    cumulative_low: float | None = None
    cumulative_high: float | None = None
    conversations: int = 0
    unscored_share: float = 0.0
    """Of the samples, those without a score of the primary evaluator under one of the policies."""
    lost: bool = False
    """Whether these are too many to show anything."""
    falls_short: bool = False
    """Whether the candidate is shown to gain less than it promised, or a guardrail to fall."""
    rollback_to: int | None = None
    """The version to go back to; None where nothing is proposed."""
    reason: str = ""
