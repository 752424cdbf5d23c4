"""A loop of the benchmark's years: the real job in process over the world's endpoint, and what each window decided."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from bench.year_world import World, weeks
from sia_dagster.core.records.judge_report import JudgeReport
from sia_dagster.core.records.next_window import NextWindowResults
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import JsonObject
from sia_dagster.demo.traffic import WeekPlan, write_traffic
from simulation.loops import Desk, Document, checks, failure, loop_config, materialized, metadata
from simulation.servers import ScriptedServer

CONVERSATIONS = 150
PAID = ("judge_watch", "next_window_results", "updated_policy", "validation_results")
"""The stages of a window that replay or judge anew."""


@dataclass(frozen=True)
class Week:
    """What one window decided."""

    window: TimeWindow
    report: ValidationReport
    promotion: Promotion | None
    """None where people promote."""
    exam: NextWindowResults | None
    watch: JudgeReport
    claims: Mapping[str, bool]
    calls: Mapping[str, int]
    """Model calls by stage; those that the completion store answered are none."""
    asked: int
    """What the endpoint answered in all."""


@dataclass(frozen=True)
class Loop:
    """One loop in a folder of its own."""

    desk: Desk
    world: World
    windows: tuple[TimeWindow, ...]

    def write(self, week: int, conversations: int = CONVERSATIONS) -> None:
        """The week's traffic under the policy that was in force by its end."""
        window, traces = self.windows[week], self.desk.folder / "traces"
        versions = [version for version in self.desk.versions if version.at < window.end]
        actions = versions[-1].actions if versions else None
        write_traffic(traces, window, actions, WeekPlan(conversations=conversations))

    def run(self, week: int) -> Week:
        """The whole job of one window. Raises AssertionError with the stage that failed."""
        window, self.world.week = self.windows[week], week
        before = self.world.total(week)
        result = self.desk.run(window.key)
        if not result.success:
            raise AssertionError(f"window {window.key}: {': '.join(failure(result))}")
        ran = materialized(result)
        return Week(
            window=window,
            report=self.desk.document("validation_results", ValidationReport, window.key),
            promotion=self._if("promoted_policy", Promotion, window.key, ran),
            exam=self._if("next_window_results", NextWindowResults, window.key, ran),
            watch=self.desk.document("judge_watch", JudgeReport, window.key),
            claims={name: check.passed for name, check in checks(result).items()},
            calls={stage: _calls(result, stage) for stage in PAID if stage in ran},
            asked=self.world.total(week) - before,
        )

    def _if(self, stage: str, model: type[Document], window: str, ran: set[str]) -> Document | None:
        return self.desk.document(stage, model, window) if stage in ran else None

    def fill_exam(self, week: int) -> bool:
        """Materialise the exam of the window after, which ran before this one; False where it is there, or not due."""
        if week + 1 >= len(self.windows):
            return False
        key = self.windows[week + 1].key
        ran = self.desk.file("validation_results", key).exists()
        if not ran or self.desk.file("next_window_results", key).exists():
            return False
        return self.desk.run(key, "next_window_results").success

    def year(self, conversations: int = CONVERSATIONS) -> Iterator[Week]:
        """Week after week: traffic under what is in force, then the job."""
        for number in range(len(self.windows)):
            self.write(number, conversations)
            yield self.run(number)


def _calls(result: dg.ExecuteInProcessResult, stage: str) -> int:
    return int(metadata(result, stage).get("model_calls_paid_in_this_run", 0))


@contextmanager
def loop_of(world: World, count: int, *, clock: str = "window_end", **changes: Any) -> Iterator[Loop]:
    """A loop over `count` windows; `changes` replace top-level keys of its configuration."""
    with TemporaryDirectory() as name, ScriptedServer(world.answer) as server, dg.DagsterInstance.ephemeral() as own:
        windows = tuple(weeks(count))
        settings: JsonObject = {
            "start": windows[0].key,
            "sample_limit": CONVERSATIONS,
            "validation": {"primary": "correctness"},
            **changes,
        }
        desk = Desk(Path(name), server.base_url, loop_config(**settings), instance=own, clock=clock)
        yield Loop(desk, world, windows)
