"""The same window in the forms of other tools: the same candidate, the same comparison, the same verdict."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster_tests.worlds.window_forms import WRITERS
from simulation.loops import FIRST, Desk, desk, failure
from simulation.servers import ScriptedServer

TRACES = {"source": "local", "path": "traces"}
CONVERSATIONS = 60


class Reference(NamedTuple):
    """The window as Arize exports it, run."""

    desk: Desk
    server: ScriptedServer

    @property
    def rows(self) -> list[dict[str, Any]]:
        (path,) = (self.desk.folder / "traces").iterdir()
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    with desk(tmp_path_factory.mktemp("arize"), traces=TRACES, sample_limit=CONVERSATIONS) as (found, server):
        found.write(conversations=CONVERSATIONS, errors=2)
        result = found.run()
        assert result.success, failure(result)
        yield Reference(found, server)


def calls(found: Desk) -> list[dict[str, Any]]:
    """What the loop learned from, without the names of the spans, which each tool chooses."""
    samples = found.document("baseline_state_actions", StateActions).samples
    return [sample.model_dump(exclude={"name"}) for sample in samples]


@pytest.mark.parametrize("form", WRITERS)
def test_the_verdict_is_the_same_whatever_tool_wrote_the_calls(form: str, reference: Reference, tmp_path: Path) -> None:
    """The answers of the reference's run are in the store: a request that differs in anything would be a new one."""
    arize, server = reference
    assert arize.document("validation_results", ValidationReport).verdict == "accept"
    found, asked = replace(arize, folder=tmp_path), len(server.requests)
    (tmp_path / ".sia").mkdir()
    (tmp_path / "traces").mkdir()
    shutil.copy(arize.folder / ".sia" / "completions.sqlite", tmp_path / ".sia")
    WRITERS[form](reference.rows, tmp_path / "traces")
    result = found.run()
    assert result.success, failure(result)
    assert len(server.requests) == asked
    assert calls(found) == calls(arize)
    for stage in ("updated_policy", "validation_results"):
        assert found.file(stage).read_bytes() == arize.file(stage).read_bytes()
    assert found.versions[-1].actions == arize.versions[-1].actions
    assert found.rows("eval_results", FIRST) == arize.rows("eval_results", FIRST)
