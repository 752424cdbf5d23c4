"""How a candidate is judged and how the judges are watched: the sections `validation` and `watch` of a loop."""

from typing import Literal

from pydantic import Field

from sia_dagster.core.config.fields import Name, Section

SliceDimension = Literal["model", "language", "length", "tag", "tools"]


class ValidationConfig(Section):
    """How a candidate is compared with the policy in force."""

    primary: Name
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The one-sided level of every guardrail, and the most that one window's verdict on the primary evaluator may
    spend."""
    false_promotions_a_year: float = Field(default=0.5, gt=0)
    """The error budget: how many policies that are no better a year of windows may promote, in expectation. Each
    window's verdict spends an equal part of it, and never more than `alpha`."""
    min_effect: float = Field(default=0.02, ge=0, lt=1)
    """The smallest gain worth shipping, as a share of the primary evaluator's range."""
    guardrail_margin: float = Field(default=0.05, gt=0, lt=1)
    """The largest loss of any other evaluator that must be ruled out, as a share of its range."""
    repeats: int | None = Field(default=None, ge=1, le=10)
    """Replays of each sample; by default 3 where conversations are few, else 1, and a second one at the fifth look."""
    looks: Literal[1, 2, 4, 5] = 5
    """Where a clear result stops: 1: only after all conversations; 2: after half of them, too; 4: after each quarter;
    5: after each quarter, and if it is still open all samples are replayed a second time."""
    max_conversations: int = Field(default=160, ge=1)
    """The holdout is filled up to this many from earlier windows; the window's own all count."""
    pool_windows: int = Field(default=4, ge=0, le=12)
    """How many windows back the holdout may be filled from; 0: the window's own alone."""
    carry_windows: int = Field(default=4, ge=1, le=12)
    """In how many windows an undecided candidate is tried, the first included; 1: it is dropped at once."""
    noise_conversations: int = Field(default=20, ge=0)
    """Held-out conversations on which the policy in force is replayed, and judged, a second time; 0: on none."""
    slices: tuple[SliceDimension, ...] = ("model", "language", "length", "tag", "tools")
    """The dimensions that slice the held-out conversations; no slice may be shown to lose."""
    slice_conversations: int = Field(default=20, ge=5)
    """A smaller slice is not tested, and named as not shown."""
    max_unscored_share: float = Field(default=0.2, ge=0, le=1)
    """Above this share of failed rows a stage fails, after saving its results."""


class WatchConfig(Section):
    """How the judges are watched."""

    anchors: int = Field(default=30, ge=0)
    """Outputs that every judge judges again in each window; 0: judges are not watched."""
    tolerance: float = Field(default=0.1, gt=0, lt=1)
    """How far a judge's mean score of the anchors may move, as a share of its range, before promotion is blocked."""
    probes: int = Field(default=20, ge=0)
    """Outputs that are judged once more with the labels in another order, and once more made longer; 0: none."""
