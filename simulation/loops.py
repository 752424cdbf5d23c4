"""Small loops for the tests of the Dagster layer: some tens of conversations, the demo's models, the real job.

`python -m simulation.loops FOLDER BASE_URL WINDOW LOOP` runs one window of the loop in FOLDER in a
process of its own: it says `ready`, waits for a line, and runs.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import pyarrow.parquet as pq
from pydantic import BaseModel

from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.config.loop import LoopConfig, ProjectConfig
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import JsonObject
from sia_dagster.defs.jobs import QUIET
from sia_dagster.defs.loop_definitions import build_loop
from sia_dagster.defs.names import STAGES
from sia_dagster.defs.resources import Clock
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.server import MODELS
from sia_dagster.demo.traffic import WeekPlan, write_traffic
from sia_dagster.demo.wire import completion
from simulation.servers import Answer, Body, ScriptedServer

Document = TypeVar("Document", bound=BaseModel)


ROOT = Path(__file__).parents[1]


NAME = "desk"


_START = datetime(2026, 9, 28, tzinfo=UTC)


WEEKS = tuple(
    TimeWindow(
        key=f"{_START + timedelta(weeks=n):%Y-%m-%d}",
        start=_START + timedelta(weeks=n),
        end=_START + timedelta(weeks=n + 1),
    )
    for n in range(4)
)


FIRST, SECOND, THIRD = (week.key for week in WEEKS[:3])


PRICES = {model: Price(input=1.0, output=1.0) for model in MODELS}


CORRECTNESS = {
    "name": "correctness",
    "kind": "llm_classify",
    "model": "simulated-judge",
    "template": "correctness",
    "rails": {"correct": 1, "incorrect": 0},
}


IS_BRIEF = {"name": "is_brief", "kind": "code", "function": "sia_dagster.demo.checks:is_brief"}


def simulated(body: Body, _: int = 0) -> Body:
    """What the demo's models answer, for a scripted server that keeps the requests."""
    return completion(body["model"], body["messages"], MODELS[body["model"]](body))


def loop_config(**changes: Any) -> LoopConfig:
    """The loop of these tests, which asks for few calls a window; `changes` replace top-level keys."""
    entry: JsonObject = {
        "name": NAME,
        "traces": {"source": "local", "path": "traces", "where": "name = 'ChatCompletion'"},
        "start": FIRST,
        "sample_limit": 60,
        "evaluators": [CORRECTNESS, IS_BRIEF],
        "policy": {"model": "simulated-optimizer", "candidates": 2},
        "watch": {"anchors": 8, "probes": 4},
        "validation": {"primary": "correctness", "guardrail_margin": 0.2, "repeats": 1, "noise_conversations": 5},
        "promotion": "auto",
    }
    return LoopConfig.model_validate({**entry, **changes})


@dataclass(frozen=True)
class Desk:
    """A loop over a folder: its traces, its storage `.sia`, and its job."""

    folder: Path
    base_url: str
    loop: LoopConfig = field(default_factory=loop_config)
    llm: Mapping[str, Any] = field(default_factory=dict)
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    clock: str = "window_end"
    """Each window is decided as it closed, as in a loop that has run all along; `now` makes it history."""

    def with_loop(self, **changes: Any) -> "Desk":
        """The same folder under another configuration."""
        return Desk(self.folder, self.base_url, loop_config(**changes), self.llm, self.instance, self.clock)

    def with_llm(self, **llm: Any) -> "Desk":
        """The same folder with other settings of the endpoint."""
        return Desk(self.folder, self.base_url, self.loop, llm, self.instance, self.clock)

    @cached_property
    def config(self) -> ProjectConfig:
        settings = {"base_url": self.base_url, "max_concurrency": 8, "max_attempts": 2, "prices": PRICES}
        return ProjectConfig(llm=LLMConfig.model_validate({**settings, **self.llm}), loops=(self.loop,))

    @cached_property
    def definitions(self) -> dg.Definitions:
        clock = {"clock": Clock(at=self.clock)}
        return dg.Definitions.merge(
            build_loop(self.loop, llm=self.config.llm, folder=self.folder, resources=clock),
            dg.Definitions(executor=dg.in_process_executor),
        )

    def write(self, number: int = 0, actions: Actions | None = None, **plan: Any) -> None:
        """Week `number` of the demo's traffic under `actions`."""
        write_traffic(self.folder / "traces", WEEKS[number], actions, WeekPlan(**{"conversations": 44, **plan}))

    def run(self, window: str = FIRST, *stages: str, config: JsonObject | None = None) -> dg.ExecuteInProcessResult:
        """The loop's job, or `stages` alone as the UI materialises them; a failure is in the result.

        `config` is of the one asset in `stages`.
        """
        name, keys = f"{self.loop.name}_improvement", [dg.AssetKey([self.loop.name, stage]) for stage in stages]
        if stages:
            name = self.definitions.resolve_implicit_global_asset_job_def().name
        ops = {"ops": {f"{self.loop.name}__{stages[0]}": {"config": config}}} if config else {}
        return self.definitions.resolve_job_def(name).execute_in_process(
            partition_key=window,
            instance=self.instance,
            raise_on_error=False,
            run_config={**QUIET, **ops},
            asset_selection=keys or None,
        )

    def file(self, stage: str, window: str = FIRST) -> Path:
        extension = "parquet" if stage in {"traces", "eval_results"} else "json"
        return self.folder / ".sia" / "assets" / self.loop.name / stage / f"{window}.{extension}"

    def document(self, stage: str, model: type[Document], window: str = FIRST) -> Document:
        return model.model_validate_json(self.file(stage, window).read_bytes())

    def rows(self, stage: str, window: str = FIRST) -> list[JsonObject]:
        rows: list[JsonObject] = pq.read_table(self.file(stage, window)).to_pylist()
        return rows

    def contents(self, window: str = FIRST) -> dict[str, object]:
        """By stage, the bytes of a document or the rows of a table; without promoted_policy, which names the folder."""
        found: dict[str, object] = {}
        for stage in STAGES[:-1]:
            table = stage in STAGES[:2]
            found[stage] = self.rows(stage, window) if table else self.file(stage, window).read_bytes()
        return found

    def put_in_force(self, prompt: str, at: datetime, *variables: str) -> PolicyVersion:
        """Write the demo's first policy with another prompt to the registry."""
        actions = BASE_POLICY.model_copy(update={"system_prompt": prompt, "variables": variables})
        parent = self.versions[-1].version if self.versions else None
        entry = PolicyVersion(version=1, loop=self.loop.name, kind="promote", actions=actions, at=at, parent=parent)
        return PolicyFiles(self.folder / ".sia", self.loop.name).append(entry)

    @property
    def versions(self) -> Sequence[PolicyVersion]:
        return PolicyFiles(self.folder / ".sia", self.loop.name).versions()


@contextmanager
def desk(
    folder: Path, answer: Answer = simulated, *, clock: str = "window_end", **changes: Any
) -> Iterator[tuple[Desk, ScriptedServer]]:
    """A loop over an endpoint that answers by `answer`, and the server that kept the requests."""
    with ScriptedServer(answer) as server, dg.DagsterInstance.ephemeral() as instance:
        yield Desk(folder, server.base_url, loop_config(**changes), instance=instance, clock=clock), server


def metadata(result: dg.ExecuteInProcessResult, stage: str) -> dict[str, Any]:
    """What an asset's materialisation shows."""
    return {name: value.value for name, value in materialization(result, stage).metadata.items()}


def materialization(result: dg.ExecuteInProcessResult, stage: str) -> dg.AssetMaterialization:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key and e.asset_key.path[-1] == stage]
    return event.step_materialization_data.materialization


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    """The stages that were stored in this run."""
    return {e.asset_key.path[-1] for e in result.get_asset_materialization_events() if e.asset_key}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The claims that were looked at, by name."""
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """The first stage that failed and what it says."""
    event, *_ = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data
    told = data.user_failure_data.description if data.user_failure_data else None
    return str(event.step_key).split("__")[-1], told or (data.error.message if data.error else "")


def start(found: Desk, window: str = FIRST) -> "subprocess.Popen[str]":
    """A process that says `ready`, waits for a line, and runs one window of the same folder."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(found.folder), found.base_url, window, found.loop.model_dump_json()],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def let_go(child: "subprocess.Popen[str]") -> str:
    """Wait until it is ready and let it run; what it said."""
    assert child.stdin
    assert child.stdout
    said = child.stdout.readline()
    child.stdin.write("go\n")
    child.stdin.flush()
    return said


def _main(folder: str, base_url: str, window: str, loop: str) -> int:
    with dg.DagsterInstance.ephemeral() as instance:
        found = Desk(Path(folder), base_url, LoopConfig.model_validate_json(loop), instance=instance)
        assert found.definitions
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        return 0 if found.run(window).success else 1


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
