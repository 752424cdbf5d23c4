"""The demo's weeks through the loop itself: real trace source, real client, simulated provider."""

import asyncio
from importlib import resources
from pathlib import Path

import yaml

from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.config.loop import ProjectConfig
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.openinference.samples import MappedSpans, samples_from_rows
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.traffic.baseline import build_baseline
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.customers import INJECTED_LINE
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster.demo.simulation_rules import ELEMENTS
from sia_dagster.demo.traffic import WEEKS, week_windows, write_traffic
from sia_dagster.wiring.loop_session import ChatSettings, LoopSession
from sia_dagster.wiring.session import eval_constants
from sia_dagster.wiring.stages import evaluate_window, search_window, validate_window

IMPROVED = BASE_POLICY.model_copy(
    update={"system_prompt": "\n".join([BASE_POLICY.system_prompt, *(element.firm for element in ELEMENTS[:2])])}
)


def configuration() -> ProjectConfig:
    text = resources.files("sia_dagster.demo").joinpath("sia.yaml").read_text(encoding="utf-8")
    return ProjectConfig.model_validate(yaml.safe_load(text))


def read_week(folder: Path, number: int, actions: Actions | None) -> MappedSpans:
    window, (loop,) = week_windows()[number], configuration().loops
    write_traffic(folder, window, actions, WEEKS[number])
    query = SpanQuery(window=window, where=loop.traces.where, sample_limit=loop.sample_limit)
    rows = [row for batch in LocalTraces(folder).spans(query) for row in batch.to_pylist()]
    return samples_from_rows(row for row in rows if row["sampled"])


def run_week(
    folder: Path, number: int, actions: Actions | None = None
) -> tuple[StateActions, PolicyUpdate, ValidationReport]:
    """What the stages of the job find in one week, with `actions` in force."""
    spans, config, window = read_week(folder / "traces", number, actions), configuration(), week_windows()[number]
    (loop,) = config.loops
    with SimulatedProvider() as provider:
        llm = config.llm.model_copy(update={"base_url": provider.base_url})
        chat = ChatSettings(llm=llm, completions=folder / "completions.sqlite", endpoint="simulated")
        session = LoopSession(loop=loop, window=window, chat=chat, folder=folder)
        return asyncio.run(stages(session, spans, window, actions))


async def stages(
    session: LoopSession, spans: MappedSpans, window: TimeWindow, actions: Actions | None
) -> tuple[StateActions, PolicyUpdate, ValidationReport]:
    name = session.loop.name
    evals = (await evaluate_window(session, spans.samples)).value
    promoted = (
        [PolicyVersion(version=1, loop=name, kind="promote", actions=actions, at=window.start)] if actions else []
    )
    constants = eval_constants(session.loop, session.folder)
    state = build_baseline(name, window, spans, evals, constants, promoted)
    update = (await search_window(session, state)).value
    return state, update, (await validate_window(session, Trial(state=state, update=update))).value


def test_traffic_is_read_without_loss(tmp_path: Path) -> None:
    for number in (0, 2):
        spans = read_week(tmp_path, number, None)
        assert not spans.skipped
        assert len(spans.samples) == 120
        assert {sample.system_prompt for sample in spans.samples} == {BASE_POLICY.system_prompt}
        assert {sample.model for sample in spans.samples} == {BASE_POLICY.model}
        assert any(message.parts for sample in spans.samples for message in sample.messages)
        assert any(len(sample.messages) == 3 for sample in spans.samples)


def test_small_week_decides_nothing(tmp_path: Path) -> None:
    number = next(number for number, plan in enumerate(WEEKS) if 0 < plan.conversations < 20)
    _, _, report = run_week(tmp_path, number, IMPROVED)
    assert report.verdict == "inconclusive"
    assert report.samples_needed


def test_note_reaches_the_optimizer_and_is_stopped_by_the_guard(tmp_path: Path) -> None:
    """Under the first policy; under a promoted one it does in test_run.py."""
    number = next(number for number, plan in enumerate(WEEKS) if plan.injected)
    _, update, report = run_week(tmp_path, number)
    stopped = [candidate for candidate in update.candidates if candidate.status == "stopped_by_guard"]
    assert stopped
    assert all(INJECTED_LINE in candidate.actions.system_prompt for candidate in stopped)
    assert any("URL" in reason for candidate in stopped for reason in candidate.reasons)
    assert update.candidate
    assert INJECTED_LINE not in update.candidate.system_prompt
    assert report.candidate is None or INJECTED_LINE not in report.candidate.system_prompt


def test_late_week_leaves_the_policy(tmp_path: Path) -> None:
    _, _, report = run_week(tmp_path, len(WEEKS) - 1, IMPROVED)
    assert report.verdict == "inconclusive", report.reasons
