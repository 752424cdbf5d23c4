"""The loop from Python: the seed's names and arguments, over real files and the simulated provider."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.errors import ConfigError, EndpointRefused, EvaluatorError, SiaError
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import FunnelCount
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster.demo.traffic import WeekPlan, week_windows, write_traffic
from sia_dagster.runners import CodeConfig, LLMConfig, LocalTracesConfig, Models, PlatformConfig, WorkflowOrchestrator
from sia_dagster.runners.orchestrator import UNRECORDED
from sia_dagster.runners.windows import window_between
from simulation.servers import ScriptedServer, refusal

WEEK = week_windows()[0]
DATES: dict[str, Any] = {"start_date": WEEK.start, "end_date": WEEK.end}
SIMULATED = Models(judge="simulated-judge", updater="simulated-optimizer")
PROMPT = BASE_POLICY.system_prompt + "\nName the customer's order number in every answer."
SECRET = "sk-very-secret-4711"


def is_brief(sample: Sample) -> bool:
    return len(sample.output.split()) <= 80


def always_fails(sample: Sample) -> float:
    raise ValueError(f"cannot read {sample.span_id}")


BRIEF = CodeConfig(name="is_brief", kind="code", function=f"{__name__}:is_brief")
FAILING = CodeConfig(name="failing", kind="code", function=f"{__name__}:always_fails")


@dataclass(frozen=True)
class Desk:
    """A folder with a small week's traces in `traces/`, and the simulated provider."""

    folder: Path
    provider: SimulatedProvider

    def orchestrator(self, **given: Any) -> WorkflowOrchestrator:
        settings = {
            "llm": LLMConfig(base_url=self.provider.base_url),
            "models": SIMULATED,
            "evaluators": (BRIEF, FAILING),
            "storage": str(self.folder / "storage"),
        }
        return WorkflowOrchestrator(self.folder / "traces", **{**settings, **given})

    @property
    def paid(self) -> int:
        return self.provider.calls.total()


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic")
    write_traffic(folder, WEEK, None, WeekPlan(conversations=36, errors=1))
    return folder


@pytest.fixture
def desk(traffic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("OPENAI_API_KEY", "SIA_TRACES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "traces").symlink_to(traffic)
    with SimulatedProvider() as provider:
        yield Desk(tmp_path, provider)


def baseline_of(desk: Desk, *names: str, **given: Any) -> StateActions:
    orchestrator = desk.orchestrator(**given)
    return orchestrator.validate_baseline(**DATES, evaluator_names=names or ["correctness"], limit=30)


def test_the_workflow_returns_what_the_contract_names(desk: Desk) -> None:
    results = desk.orchestrator().run_complete_workflow(
        start_date=WEEK.start, end_date=WEEK.end, evaluator_names=["correctness", "is_brief"], limit=30
    )
    baseline, report = results["baseline_state_actions"], results["updated_validation_results"]
    assert len(baseline.samples) == 30
    assert baseline.actions == BASE_POLICY
    assert [(c.name, c.primary) for c in baseline.eval_constants] == [("correctness", True), ("is_brief", False)]
    assert all(sample.score("is_brief") is not None for sample in baseline.samples)
    assert results["policy_update"].changed
    assert results["updated_actions"] == results["policy_update"].candidate == report.candidate
    assert [(c.evaluator, c.role) for c in report.comparisons] == [
        ("correctness", "primary"),
        ("is_brief", "guardrail"),
    ]
    assert report.verdict in {"accept", "inconclusive"}
    assert report.spend.calls > 0
    assert not (desk.folder / "storage" / "checkpoints").exists()


def test_checkpoints_are_the_results_as_documents(desk: Desk) -> None:
    results = desk.orchestrator(name="desk").run_complete_workflow(
        **DATES, evaluator_names=["correctness"], limit=20, checkpoint=True
    )
    (folder,) = (desk.folder / "storage" / "checkpoints" / "desk").iterdir()
    assert folder.name == results["baseline_state_actions"].window.key
    read = {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert StateActions.model_validate_json(read.pop("baseline_state_actions")) == results["baseline_state_actions"]
    assert ValidationReport.model_validate_json(read.pop("validation_results")).rows
    assert PolicyUpdate.model_validate_json(read.pop("updated_policy")).candidate == results["updated_actions"]
    assert read == {}


def test_the_same_window_twice_gives_the_same_and_pays_for_nothing(desk: Desk) -> None:
    first = desk.orchestrator().run_complete_workflow(**DATES, evaluator_names=["correctness"], limit=20)
    paid = desk.paid
    assert paid > 0
    again = desk.orchestrator().run_complete_workflow(**DATES, evaluator_names=["correctness"], limit=20)
    assert desk.paid == paid
    assert again["baseline_state_actions"] == first["baseline_state_actions"]
    assert again["policy_update"].model_dump_json() == first["policy_update"].model_dump_json()
    assert (
        again["updated_validation_results"].model_dump_json() == first["updated_validation_results"].model_dump_json()
    )


def test_stage_by_stage_is_the_whole(desk: Desk) -> None:
    orchestrator = desk.orchestrator()
    whole = orchestrator.run_complete_workflow(**DATES, evaluator_names=["correctness"], limit=20)
    baseline = orchestrator.validate_baseline(**DATES, evaluator_names=["correctness"], limit=20)
    assert baseline == whole["baseline_state_actions"]
    assert orchestrator.update_policy(state_actions=baseline) == whole["updated_actions"]
    report = orchestrator.validate_updated_policy(state_actions=baseline, updated_actions=orchestrator.search(baseline))
    assert report.rows == whole["updated_validation_results"].rows
    assert report.verdict == whole["updated_validation_results"].verdict


def test_it_works_inside_a_running_loop_as_in_a_notebook(desk: Desk) -> None:
    async def cell() -> str:
        orchestrator = desk.orchestrator()
        results = orchestrator.run_complete_workflow(**DATES, evaluator_names=["correctness"], limit=12)
        return results["updated_validation_results"].verdict

    assert asyncio.run(cell()) == "inconclusive"


def test_a_window_without_traffic_decides_nothing_and_asks_nobody(desk: Desk) -> None:
    results = desk.orchestrator().run_complete_workflow(
        start_date="2020-01-06", end_date="2020-01-13", evaluator_names=["correctness"]
    )
    assert results["baseline_state_actions"].samples == ()
    assert results["updated_actions"] is None
    assert results["updated_validation_results"].verdict == "inconclusive"
    assert desk.paid == 0


def test_the_registry_of_the_same_name_says_what_is_in_force(desk: Desk) -> None:
    promoted = BASE_POLICY.model_copy(update={"system_prompt": PROMPT})
    entry = PolicyVersion(version=1, loop="desk", kind="promote", actions=promoted, at=WEEK.start + timedelta(days=3))
    PolicyFiles(desk.folder / "storage", "desk").append(entry)
    state = baseline_of(desk, name="desk")
    assert (state.actions, state.policy_version, state.policy_share) == (promoted, 1, 0.0)
    assert baseline_of(desk, name="another").actions == BASE_POLICY


def test_a_policy_written_by_hand_is_validated(desk: Desk) -> None:
    state = baseline_of(desk)
    by_hand = BASE_POLICY.model_copy(update={"system_prompt": PROMPT})
    report = desk.orchestrator().validate_updated_policy(state_actions=state, updated_actions=by_hand)
    assert report.candidate == by_hand
    assert report.primary is not None
    assert report.primary.difference is not None
    assert report.primary.difference > 0
    assert len(report.rows) == report.repeats * len(state.of("holdout"))
    assert report.reasons[-1] == UNRECORDED
    assert not report.carries_on


@pytest.mark.parametrize("given", [None, BASE_POLICY], ids=["none", "the same"])
def test_the_policy_in_force_given_again_stays_without_a_call(desk: Desk, given: Actions | None) -> None:
    state = baseline_of(desk, "is_brief")
    report = desk.orchestrator().validate_updated_policy(state_actions=state, updated_actions=given)
    assert report.verdict == "inconclusive"
    assert report.reasons[0] == "the policy stays: no other policy was given"
    assert report.candidate is None
    assert report.baseline == BASE_POLICY
    assert desk.paid == 0


def test_a_policy_without_a_model_is_refused_before_any_call(desk: Desk) -> None:
    state = baseline_of(desk, "is_brief")
    with pytest.raises(ConfigError, match="names no model; change the one in force by copy"):
        desk.orchestrator().validate_updated_policy(
            state_actions=state, updated_actions=Actions(system_prompt="Be brief.")
        )
    assert desk.paid == 0


def test_too_many_unscored_rows_stop_before_the_search_and_are_kept(desk: Desk) -> None:
    orchestrator = desk.orchestrator()
    with pytest.raises(EvaluatorError) as raised:
        orchestrator.run_complete_workflow(**DATES, evaluator_names=["is_brief", "failing"], limit=20, checkpoint=True)
    message = str(raised.value)
    assert message.startswith("100% of the evaluations by failing have no score (allowed: 20%)")
    assert "by failing" in message
    assert "raised ValueError: cannot read " in message
    (document,) = (desk.folder / "storage" / "checkpoints" / "workflow").rglob("*.json")
    kept = StateActions.model_validate_json(document.read_text(encoding="utf-8"))
    assert kept.samples[0].score("is_brief") is not None
    assert desk.paid == 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "a list of at least one name"),
        ("correctness", "a list of at least one name"),
        (["corectness"], "there is no evaluator 'corectness'; known: is_brief, failing, csat, correctness, "),
        (["is_brief", "is_brief"], "named twice"),
        (["csat"], "validation.primary: 'csat' is a platform score"),
    ],
)
def test_evaluator_names_that_cannot_be_used_are_named(desk: Desk, names: Any, message: str) -> None:
    evaluators = (BRIEF, FAILING, PlatformConfig(name="csat", kind="platform"))
    with pytest.raises(ConfigError) as raised:
        desk.orchestrator(evaluators=evaluators).validate_baseline(**DATES, evaluator_names=names)
    assert message in str(raised.value)


def test_an_evaluator_given_goes_before_the_ready_made_judge_of_its_name(desk: Desk) -> None:
    own = CodeConfig(name="correctness", kind="code", function=f"{__name__}:is_brief")
    state = baseline_of(desk, evaluators=(own,))
    assert [constant.kind for constant in state.eval_constants] == ["code"]
    assert desk.paid == 0


@pytest.mark.parametrize("limit", [0, -3, "many"])
def test_a_limit_that_is_none_is_refused(desk: Desk, limit: Any) -> None:
    with pytest.raises(ConfigError, match="sample_limit"):
        desk.orchestrator().validate_baseline(**DATES, evaluator_names=["is_brief"], limit=limit)


def test_a_name_that_trace_stores_would_drop_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="'my-loop' must be letters, digits and underscores"):
        desk.orchestrator(name="my-loop")


def test_without_traces_it_says_what_to_give(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIZE_API_KEY", SECRET)
    with pytest.raises(ConfigError) as raised:
        WorkflowOrchestrator()
    for word in ("traces=", "SIA_TRACES", "Parquet", "ARIZE_API_KEY", "ARIZE_MODEL_ID"):
        assert word in str(raised.value)
    assert SECRET not in str(raised.value)


def test_traces_may_be_named_by_the_environment_or_by_a_file_of_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    query = SpanQuery(window=WEEK, sample_limit=5)
    monkeypatch.setenv("SIA_TRACES", "traces")
    assert len(WorkflowOrchestrator().spans(query).samples) == 5
    monkeypatch.delenv("SIA_TRACES")
    (desk.folder / ".env").write_text("SIA_TRACES=nowhere\n")
    with pytest.raises(SiaError, match="nowhere"):
        WorkflowOrchestrator().spans(query)


def test_the_condition_of_the_traces_holds_unless_the_query_has_one(desk: Desk) -> None:
    config = LocalTracesConfig(source="local", path="traces", where="name = 'nothing has this name'")
    orchestrator = WorkflowOrchestrator(config)
    assert orchestrator.spans(SpanQuery(window=WEEK)).samples == ()
    assert orchestrator.spans(SpanQuery(window=WEEK, where="name = 'ChatCompletion'")).samples


def test_a_source_of_ones_own_is_asked(desk: Desk) -> None:
    class Own:
        def __init__(self) -> None:
            self.asked: list[SpanQuery] = []

        def spans(self, query: SpanQuery, funnel: FunnelCount | None = None) -> Iterator[pa.RecordBatch]:
            self.asked.append(query)
            return LocalTraces(desk.folder / "traces").spans(query, funnel)

    source = Own()
    state = WorkflowOrchestrator(source, evaluators=(BRIEF,), llm=LLMConfig()).validate_baseline(
        **DATES, evaluator_names=["is_brief"], limit=7
    )
    assert len(state.samples) == 7
    assert [(query.window.start, query.sample_limit) for query in source.asked] == [(WEEK.start, 7)]


def test_relative_paths_keep_their_meaning_when_the_working_folder_changes(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrator = WorkflowOrchestrator("traces", evaluators=(BRIEF,), llm=LLMConfig())
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert orchestrator.validate_baseline(**DATES, evaluator_names=["is_brief"], limit=3).samples
    assert (desk.folder / ".sia" / "completions.sqlite").is_file()


def test_storage_may_be_a_url_and_answers_stay_in_a_local_file(desk: Desk) -> None:
    results = desk.orchestrator(storage="memory://sia-orchestrator").run_complete_workflow(
        **DATES, evaluator_names=["is_brief"], limit=6, checkpoint=True
    )
    assert results["baseline_state_actions"].samples
    assert (desk.folder / ".sia" / "completions.sqlite").is_file()


def keys_sent(desk: Desk, **given: Any) -> set[str | None]:
    """What the endpoint gets as `Authorization` when a judge is asked."""
    with ScriptedServer(lambda body, n: refusal(401, "Incorrect API key provided.")) as server:
        llm = given.pop("llm", LLMConfig()).model_copy(update={"base_url": server.base_url})
        with pytest.raises(EndpointRefused) as raised:
            baseline_of(desk, llm=llm, **given)
        assert SECRET not in str(raised.value)
        return {headers.get("authorization") for headers in server.headers}


def test_a_key_given_as_argument_is_sent_and_never_shown(desk: Desk) -> None:
    assert keys_sent(desk, api_key=SECRET) == {f"Bearer {SECRET}"}
    orchestrator = desk.orchestrator(api_key=SECRET)
    assert SECRET not in repr(vars(orchestrator))
    stored = [path.read_bytes() for path in (desk.folder / "storage").rglob("*") if path.is_file()]
    assert stored
    assert not any(SECRET.encode() in content for content in stored)


def test_a_key_given_as_argument_goes_before_the_variable(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_KEY", "key-of-environment")
    llm = LLMConfig(api_key="DESK_KEY")
    assert keys_sent(desk, llm=llm, api_key=SECRET) == {f"Bearer {SECRET}"}
    assert keys_sent(desk, llm=llm) == {"Bearer key-of-environment"}


def test_no_key_is_sent_to_an_endpoint_that_was_given_without_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    assert keys_sent(desk) == {None}


def test_without_an_endpoint_it_is_openai_with_the_usual_variable(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="the environment variable OPENAI_API_KEY is not set"):
        baseline_of(desk, llm=None)


@pytest.mark.parametrize("key", [SECRET, "gsk_abcdef4711"])
def test_a_key_where_a_variables_name_belongs_is_refused_unseen(desk: Desk, key: str) -> None:
    with pytest.raises(ConfigError) as raised:
        desk.orchestrator(llm=LLMConfig(api_key=key))
    assert key not in str(raised.value)
    assert "api_key=..." in str(raised.value)


def test_a_variable_may_have_any_name_that_is_set(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("desk_key", "key-of-environment")
    assert keys_sent(desk, llm=LLMConfig(api_key="desk_key")) == {"Bearer key-of-environment"}


@pytest.mark.parametrize(
    "start",
    [
        "2026-09-14",
        "2026-09-14T02:00+02:00",
        date(2026, 9, 14),
        datetime(2026, 9, 14),  # noqa: DTZ001  without a zone it is UTC
        datetime(2026, 9, 14, tzinfo=UTC),
        datetime(2026, 9, 14, 2, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_moments_are_utc_and_name_the_window(start: Any) -> None:
    window = window_between(start, "2026-09-21")
    assert (window.start, window.end) == (WEEK.start, WEEK.end)
    assert window.key == "2026-09-14T000000_2026-09-21T000000"


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("2026-09-21", "2026-09-14", "the window is empty: it starts at 2026-09-21"),
        ("2026-09-14", "2026-09-14", "the window is empty"),
        ("last week", "2026-09-14", "'last week' is not a date or time"),
        (20260914, "2026-09-21", "20260914 is not a date or time"),
    ],
)
def test_windows_that_are_none_are_refused(start: Any, end: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        window_between(start, end)
    assert message in str(raised.value)
