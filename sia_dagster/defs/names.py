"""The names of a loop's definitions: keys of assets and resources, its windows and its stages."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import dagster as dg

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.defs.partitions import partitions_of, window_of

STAGES = (
    "traces",
    "eval_results",
    "judge_watch",
    "baseline_state_actions",
    "next_window_results",
    "updated_policy",
    "validation_results",
    "promoted_policy",
)
"""The stages of every loop, in order."""


@dataclass(frozen=True)
class LoopNames:
    """One loop and the names under which its parts find each other.

    Resource keys carry the loop's name, so that loops with other endpoints or stores live in one code location.
    """

    loop: LoopConfig
    folder: Path = field(default_factory=Path)
    """Where relative paths of the configuration start."""

    @property
    def name(self) -> str:
        """The loop's name: key prefix and group of its assets."""
        return self.loop.name

    @property
    def job(self) -> str:
        """The name of the job that improves the policy."""
        return f"{self.name}_improvement"

    @property
    def stages(self) -> tuple[str, ...]:
        """The loop's assets: those of every loop, then what this one writes back to its platform."""
        asked = {
            "written_evaluations": self.loop.write_back,
            "published_validation": "arize_experiments" in self.loop.publish,
        }
        return (*STAGES, *(stage for stage, wanted in asked.items() if wanted))

    @property
    def job_stages(self) -> tuple[str, ...]:
        """The stages of the job: `promoted_policy` only where promotion is automatic."""
        automatic = self.loop.promotion == "auto"
        return tuple(stage for stage in self.stages if automatic or stage != "promoted_policy")

    @cached_property
    def partitions(self) -> dg.TimeWindowPartitionsDefinition:
        """The loop's windows."""
        return partitions_of(self.loop)

    def asset(self, stage: str) -> dg.AssetKey:
        """The key of a stage's asset."""
        return dg.AssetKey([self.name, stage])

    def resource(self, role: str) -> str:
        """The key of a resource."""
        return f"{self.name}__{role}"

    def next_window_end(self, window: TimeWindow) -> datetime:
        """When the window after `window` closes."""
        following = self.partitions.get_next_partition_window(window.end)
        return following.end if following else datetime.max.replace(tzinfo=UTC)

    def following_window(self, window: TimeWindow) -> TimeWindow | None:
        """The window after, if it has closed."""
        after = self.partitions.get_next_partition_window(window.end)
        return self._of_bounds(after.start) if after else None

    def previous_window(self, window: TimeWindow) -> TimeWindow | None:
        """The window before; None for the loop's first."""
        before = self.partitions.get_prev_partition_window(window.start)
        return self._of_bounds(before.start) if before else None

    def _of_bounds(self, start: datetime) -> TimeWindow:
        return self.window(self.partitions.get_partition_key_for_timestamp(start.timestamp()))

    def window(self, key: str) -> TimeWindow:
        """The window of a partition key."""
        return window_of(self.partitions, key)
