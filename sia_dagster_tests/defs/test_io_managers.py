"""Where assets are kept and what comes back, on a folder and on a URL."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from upath import UPath

from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.defs.io_managers import Documents, Tables
from sia_dagster.defs.jobs import QUIET
from sia_dagster.defs.loop_definitions import build_loop
from sia_dagster.defs.resources import Clock
from sia_dagster.defs.table_types import eval_results_frame
from sia_dagster.demo.server import SimulatedProvider
from simulation.loops import FIRST, NAME, WEEKS, Desk, desk, failure, loop_config, materialization

REPORT = ValidationReport(loop=NAME, window=WEEKS[0], verdict="inconclusive", reasons=("too few",))
PARTITIONS = dg.WeeklyPartitionsDefinition(start_date=FIRST, day_offset=1)


def stored(value: Any, role: str, root: str, annotation: Any) -> Any:
    """`value` through the I/O manager of `role`, as a downstream asset with this annotation sees it."""
    seen: list[Any] = []

    @dg.asset(key=dg.AssetKey([NAME, "kept"]), partitions_def=PARTITIONS, io_manager_key=role)
    def kept() -> Any:
        return value

    def reads(kept: Any) -> None:
        seen.append(kept)

    reads.__annotations__["kept"] = annotation
    reader = dg.asset(partitions_def=PARTITIONS, ins={"kept": dg.AssetIn(key=kept.key)})(reads)
    resources = {"documents": Documents(root=root), "tables": Tables(root=root)}
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([kept, reader], partition_key=FIRST, instance=instance, resources=resources, run_config=QUIET)
    return seen[0]


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else f"memory://{uuid.uuid4().hex}"


def test_a_document_comes_back_as_its_model(root: str) -> None:
    assert stored(REPORT, "documents", root, ValidationReport) == REPORT
    text = (UPath(root) / NAME / "kept" / f"{FIRST}.json").read_text()
    assert ValidationReport.model_validate_json(text) == REPORT
    assert text.endswith("}\n")


@pytest.mark.parametrize("annotation", [Any, dict[str, Any]])
def test_a_document_comes_back_as_plain_json_for_who_knows_no_model(root: str, annotation: Any) -> None:
    assert stored(REPORT, "documents", root, annotation) == REPORT.model_dump(mode="json")


def test_a_table_comes_back_as_a_frame(root: str) -> None:
    evals = EvalMetrics(name="correctness", score=1.0), EvalMetrics(name="correctness", error="no answer")
    frame = eval_results_frame({"a": evals[:1], "b": evals[1:]})
    pd.testing.assert_frame_equal(stored(frame, "tables", root, Any), frame)
    assert (UPath(root) / NAME / "kept" / f"{FIRST}.parquet").exists()


def test_a_document_of_another_shape_is_named(tmp_path: Path) -> None:
    with pytest.raises(dg.Failure) as caught:
        stored(Actions(system_prompt="a"), "documents", str(tmp_path), ValidationReport)
    message = str(caught.value.description)
    assert str(tmp_path / NAME / "kept" / f"{FIRST}.json") in message
    assert "ValidationReport" in message
    assert "materialise its asset again" in message


@pytest.mark.parametrize("stage", ["traces", "eval_results"])
def test_a_table_that_is_cut_off_fails_the_next_stage_by_its_name(tmp_path: Path, stage: str) -> None:
    with desk(tmp_path) as (found, _):
        found.write(conversations=4)
        assert found.run().success
        path = found.file(stage)
        path.write_bytes(path.read_bytes()[:-20])
        result = found.run(FIRST, "baseline_state_actions")
    failed, message = failure(result)
    assert failed == "baseline_state_actions"
    assert str(path) in message


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("io")) as (found, _):
        found.write(conversations=10)
        assert found.run().success
        yield found


def test_assets_are_loaded_by_key_and_window(ran: Desk) -> None:
    def loaded(stage: str, **options: Any) -> Any:
        key = dg.AssetKey([NAME, stage])
        return ran.definitions.load_asset_value(key, partition_key=FIRST, instance=ran.instance, **options)

    report = ran.document("validation_results", ValidationReport)
    assert loaded("validation_results", python_type=ValidationReport) == report
    assert loaded("validation_results") == report.model_dump(mode="json")
    assert list(loaded("traces")["span_id"]) == [row["span_id"] for row in ran.rows("traces")]
    assert len(loaded("eval_results")) == 2 * len(loaded("traces"))


def test_a_loop_keeps_all_on_a_url_but_its_completion_store(tmp_path: Path) -> None:
    storage = f"memory://{uuid.uuid4().hex}"
    with SimulatedProvider() as provider, dg.DagsterInstance.ephemeral() as instance:
        here = Desk(tmp_path, provider.base_url, loop_config(), instance=instance)
        here.write()
        llm = LLMConfig(base_url=provider.base_url)
        clock = {"clock": Clock(at="window_end")}
        definitions = build_loop(here.loop, llm=llm, storage=storage, folder=tmp_path, resources=clock)
        result = definitions.resolve_job_def(f"{NAME}_improvement").execute_in_process(
            partition_key=FIRST, instance=instance, run_config=QUIET
        )
    root = UPath(storage)
    report = ValidationReport.model_validate_json((root / f"assets/{NAME}/validation_results/{FIRST}.json").read_text())
    assert (report.verdict, report.window) == ("accept", WEEKS[0])
    assert (root / f"policies/{NAME}/000001.json").exists()
    assert (root / f"reports/{NAME}/{FIRST}.html").exists()
    assert pd.read_parquet((root / f"assets/{NAME}/traces/{FIRST}.parquet").open("rb")).shape[0] > 0
    link = materialization(result, "validation_results").metadata["report"]
    assert link == dg.MetadataValue.url(f"{storage}/reports/{NAME}/{FIRST}.html")
    kept = sorted(path.name for path in (tmp_path / ".sia").iterdir())
    assert kept[0] == "completions.sqlite"
    assert all(name.startswith("completions.sqlite") for name in kept)
