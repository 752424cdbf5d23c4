"""A scripted judge over real sockets, and a loop's windows as the watch of the judges sees them."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.judge_watch.history import record_watch
from sia_dagster.core.judge_watch.watch import WatchResult
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.judge_report import JudgeReport, JudgeWatch
from sia_dagster.core.records.sample import Sample, TimeWindow
from sia_dagster.core.records.value import JsonObject
from sia_dagster.demo.quotes import read
from sia_dagster.demo.wire import texts
from sia_dagster.wiring.loop_session import ChatSettings, LoopSession, StageResult
from sia_dagster.wiring.session import eval_constants
from sia_dagster.wiring.stages import watch_window
from sia_dagster_tests.worlds.evaluation_samples import classified, sample
from sia_dagster_tests.worlds.weeks import week
from simulation.loops import CORRECTNESS, IS_BRIEF
from simulation.servers import Body, Reply, ScriptedServer, completion

Opinion = Callable[[str, Sequence[str]], str]
"""From an output and the labels in the order in which they were offered, the label; or what is no label."""


def judged_loop(**changes: Any) -> LoopConfig:
    """A loop with one judge and one function; `changes` replace top-level keys."""
    entry: JsonObject = {
        "name": "desk",
        "traces": {"source": "local", "path": "traces"},
        "start": "2026-09-28",
        "evaluators": [CORRECTNESS, IS_BRIEF],
        "policy": {"model": "optimizer"},
        "validation": {"primary": "correctness"},
    }
    return LoopConfig.model_validate({**entry, **changes})


def honest(output: str, _: Sequence[str]) -> str:
    """Outputs say themselves what they are: `good 12`, `bad 3`."""
    return "correct" if output.startswith("good") else "incorrect"


def lenient(output: str, labels: Sequence[str]) -> str:
    """Lets every second bad output pass."""
    return "correct" if number_of(output) % 2 == 0 else honest(output, labels)


def number_of(output: str) -> int:
    """Of `bad 3`, 3, however often it is said."""
    return int(output.split()[1])


def outputs(week_number: int, count: int = 60, bad: int = 4) -> list[Sample]:
    """A week's outputs as an honest judge scored them, one in `bad` of them bad; texts differ from week to week."""
    found = []
    for place in range(count):
        number = week_number * count + place
        output = f"{'bad' if place % bad == 0 else 'good'} {number}"
        label = honest(output, ())
        said = EvalMetrics(name="correctness", label=label, score=float(label == "correct"), source="llm_classify")
        found.append(sample(output, span_id=f"s{number}", conversation_id=f"c{number}", evals=(said,)))
    return found


@dataclass
class Court:
    """One loop with its judge, its answers and its log, in a folder."""

    folder: Path
    server: ScriptedServer
    opinion: list[Opinion]
    """The last is what the judge thinks now."""
    loop: LoopConfig = field(default_factory=judged_loop)

    @property
    def log(self) -> GateFiles:
        return GateFiles(self.folder / ".sia", self.loop.name)

    @property
    def judge(self) -> EvalConstant:
        return next(c for c in eval_constants(self.loop, self.folder) if c.name == "correctness")

    def with_watch(self, **watch: Any) -> "Court":
        """The same folder under other settings of the section `watch`."""
        loop = judged_loop(watch=watch)
        return Court(self.folder, self.server, self.opinion, loop)

    def session(self, window: TimeWindow) -> LoopSession:
        llm = LLMConfig(base_url=self.server.base_url, max_attempts=1, timeout_seconds=20)
        chat = ChatSettings(llm=llm, completions=self.folder / "completions.sqlite")
        return LoopSession(self.loop, window, chat, self.folder)

    def look(self, number: int, samples: Sequence[Sample] | None = None) -> StageResult[tuple[WatchResult, ...]]:
        """Watch week `number` without leaving anything in the log."""
        given = outputs(number) if samples is None else samples
        return asyncio.run(watch_window(self.session(week(number)), given, self.log))

    def watch(self, number: int, at: datetime | None = None, samples: Sequence[Sample] | None = None) -> JudgeWatch:
        """Watch week `number` as the asset does, by default just as it ends."""
        outcome = self.look(number, samples)
        window = week(number)
        report = JudgeReport(loop=self.loop.name, window=window, judges=tuple(w.judge for w in outcome.value))
        record_watch(self.log, report, outcome.value, at or window.end)
        (judge,) = report.judges
        return judge


@contextmanager
def court(folder: Path, opinion: Opinion = honest) -> Iterator[Court]:
    """A court whose judge answers over loopback by its opinion; `court.opinion[0] = ...` changes its mind."""
    mind = [opinion]

    def answer(body: Body, _: int) -> Reply | Body:
        label = mind[0](output_of(body), labels_of(body))
        return completion(classified(label))

    with ScriptedServer(answer) as server:
        yield Court(folder, server, mind)


def output_of(body: Body) -> str:
    """What the request asks the judge about."""
    return read("\n".join(texts(body["messages"]))).quotes["output"]


def labels_of(body: Body) -> list[str]:
    """The labels that the request offers, in its order."""
    labels: list[str] = body["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"]
    return labels


def flipping(share: float, seed: str) -> Opinion:
    """Honest, but wrong in that share of its answers; each time that it is asked it is drawn anew."""
    asked: Counter[str] = Counter()

    def opinion(output: str, labels: Sequence[str]) -> str:
        asked[output] += 1
        digest = hashlib.sha256(f"{seed}/{output}/{asked[output]}".encode()).digest()
        said = honest(output, labels)
        wrong = int.from_bytes(digest[:8], "big") / 2**64 < share
        return next(label for label in labels if label != said) if wrong else said

    return opinion
