"""The rules of one validation, from the loop's configuration."""

from typing import Literal

from pydantic import Field

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.config.validation import SliceDimension
from sia_dagster.core.gate.error_budget import window_alpha
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics import DESIGNS, ComparisonRule

FEW_REPEATS = 3
"""Replays of each sample where conversations are so few that repeats keep within `max_conversations` replays."""


class ValidationRules(Value):
    """How the held-out conversations are replayed and what counts as better."""

    rule: ComparisonRule = ComparisonRule()
    """Its levels are the whole window's; each look spends a part of them."""
    repeats: int | None = Field(default=None, ge=1)
    """None: FEW_REPEATS where conversations are few, else 1."""
    looks: Literal[1, 2, 4, 5] = 5
    in_batches: bool = False
    """Whether answers come in batches: all looks' requests go out at once, so more than two looks save nothing."""
    max_conversations: int = 160
    carry_windows: int = 4
    noise_conversations: int = 20
    slices: tuple[SliceDimension, ...] = ()
    """The dimensions that slice the traffic; each slice is compared on the last look's rows."""
    slice_conversations: int = 20
    workers: int = 32

    @classmethod
    def of(cls, loop: LoopConfig, *, workers: int, window: TimeWindow, in_batches: bool = False) -> "ValidationRules":
        """The rules of a configured loop: the primary evaluator's level is what this window may spend."""
        given = loop.validation
        return cls(
            rule=ComparisonRule.of(loop).model_copy(update={"alpha": window_alpha(given, window)}),
            repeats=given.repeats,
            looks=given.looks,
            in_batches=in_batches,
            max_conversations=given.max_conversations,
            carry_windows=given.carry_windows,
            noise_conversations=given.noise_conversations,
            slices=given.slices,
            slice_conversations=given.slice_conversations,
            workers=workers,
        )

    def repeats_for(self, conversations: int) -> int:
        """Replays of each sample, fixed before any score is known; more than one only where conversations are few."""
        if self.repeats is not None:
            return self.repeats
        return FEW_REPEATS if FEW_REPEATS * conversations <= self.max_conversations else 1

    def most_repeats(self, conversations: int) -> int:
        """Replays of each sample if no look decides before the last."""
        return self.repeats_for(conversations) + DESIGNS[self.looks_for(conversations)].second_answers

    def looks_for(self, conversations: int) -> Literal[1, 2, 4, 5]:
        """The looks that are planned; without a second answer where the number of replays is given, or above one."""
        if self.in_batches:
            return 1 if self.looks == 1 else 2
        settled = self.repeats is not None or self.repeats_for(conversations) > 1
        return 4 if self.looks == 5 and settled else self.looks
