"""The rules of one validation, from the loop's configuration."""

from pydantic import Field

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.config.validation import SliceDimension
from sia_dagster.core.gate.error_budget import window_alpha
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics import ComparisonRule, comparison_rule

FEW_REPEATS = 3
"""Replays of each sample where conversations are so few that it takes no more calls than the most that are allowed."""


class ValidationRules(Value):
    """How the held-out conversations are replayed and what counts as better."""

    rule: ComparisonRule = ComparisonRule()
    """Its levels are the whole window's; each look has a part of them."""
    repeats: int | None = Field(default=None, ge=1)
    """None: FEW_REPEATS where conversations are few, else 1."""
    looks: int = Field(default=2, ge=1, le=2)
    max_conversations: int = 160
    carry_windows: int = 4
    noise_conversations: int = 20
    slices: tuple[SliceDimension, ...] = ()
    """The dimensions by which conversations are parted; each part's comparison is made with the last look's rows."""
    slice_conversations: int = 20
    workers: int = 32

    @classmethod
    def of(cls, loop: LoopConfig, *, workers: int, window: TimeWindow) -> "ValidationRules":
        """The rules of a configured loop: the primary evaluator's level is what this window may spend."""
        given = loop.validation
        return cls(
            rule=comparison_rule(loop).model_copy(update={"alpha": window_alpha(given, window)}),
            repeats=given.repeats,
            looks=given.looks,
            max_conversations=given.max_conversations,
            carry_windows=given.carry_windows,
            noise_conversations=given.noise_conversations,
            slices=given.slices,
            slice_conversations=given.slice_conversations,
            workers=workers,
        )

    def repeats_for(self, conversations: int) -> int:
        """Replays of each sample, said before any score is seen: more of them only where more conversations lack."""
        if self.repeats is not None:
            return self.repeats
        return FEW_REPEATS if FEW_REPEATS * conversations <= self.max_conversations else 1
