"""The code location: the demo's loop without a file, the loops of `sia.yaml` with one, and a quick import."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from sia_dagster.core.config.loop import ProjectConfig
from sia_dagster.defs.jobs import QUIET
from sia_dagster.defs.names import STAGES
from sia_dagster.defs.project_definitions import build_project
from simulation.loops import FIRST, NAME, desk, loop_config

HEAVY = ("pandas", "dagster_pandas", "duckdb", "openai", "scipy", "pyarrow", "aiohttp", "jinja2", "sqlalchemy")


_LOAD = """
import json, sys
from sia_dagster.definitions import defs
keys = sorted(key.to_user_string() for key in defs.resolve_all_asset_keys())
heavy = sorted(name for name in sys.argv[1:] if name in sys.modules)
print(json.dumps({"keys": keys, "heavy": heavy, "jobs": sorted(job.name for job in defs.jobs)}))
"""


def load(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The code location as Dagster loads it, in a process of its own with `folder` as its working folder."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _LOAD, *HEAVY],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def write_config(folder: Path, *names: str, **changes: Any) -> Path:
    entries = [
        loop_config(**changes).model_dump(mode="json", exclude={"notify", "publish"}) | {"name": name} for name in names
    ]
    path = folder / "sia.yaml"
    path.write_text(yaml.safe_dump({"loops": entries}), encoding="utf-8")
    return path


def test_without_a_file_it_is_the_demo_and_loads_nothing_heavy(tmp_path: Path) -> None:
    done = load(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["keys"] == sorted(f"message_desk/{stage}" for stage in STAGES)
    assert found["jobs"] == ["message_desk_improvement"]
    assert found["heavy"] == []
    assert list(tmp_path.iterdir()) == []


def test_the_file_in_the_working_folder_or_the_variable_s_is_taken(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    write_config(here, "first", "second")
    other = write_config(elsewhere, "third")
    assert json.loads(load(here).stdout)["jobs"] == ["first_improvement", "second_improvement"]
    assert json.loads(load(here, SIA_CONFIG=str(other)).stdout)["jobs"] == ["third_improvement"]


def test_a_bad_file_is_one_error_with_key_and_line(tmp_path: Path) -> None:
    path = write_config(tmp_path, "first")
    path.write_text(path.read_text(encoding="utf-8") + "budget: 3\n", encoding="utf-8")
    lines = len(path.read_text(encoding="utf-8").splitlines())
    done = load(tmp_path)
    assert done.returncode == 1
    assert "ConfigError: budget: unknown key; known here: executor, llm, loops, storage" in done.stderr
    assert f"[{path}:{lines}]" in done.stderr


def test_an_evaluator_that_cannot_be_imported_fails_on_load(tmp_path: Path) -> None:
    evaluators = [{"name": "ours", "kind": "code", "function": "our_checks:is_fine"}]
    write_config(tmp_path, "first", evaluators=evaluators, validation={"primary": "ours"})
    done = load(tmp_path)
    assert done.returncode == 1
    assert "loops.0.evaluators.0.function: 'our_checks:is_fine'" in done.stderr
    (tmp_path / "our_checks.py").write_text("def is_fine(sample):\n    return True\n", encoding="utf-8")
    assert load(tmp_path).returncode == 0


def test_two_loops_of_one_project_keep_apart(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        found.write(conversations=6)
        loops = (found.loop, found.loop.model_copy(update={"name": "other", "sample_limit": 3}))
        config = ProjectConfig(llm=found.config.llm, loops=loops)
        definitions = build_project(config, tmp_path)
        dg.Definitions.validate_loadable(definitions)
        for loop in loops:
            job = definitions.resolve_job_def(f"{loop.name}_improvement")
            result = job.execute_in_process(partition_key=FIRST, instance=found.instance, run_config=QUIET)
            assert {key.asset_key.path[0] for key in result.get_asset_materialization_events() if key.asset_key} == {
                loop.name
            }
    stored = {path.name for path in (tmp_path / ".sia" / "assets").iterdir()}
    assert stored == {NAME, "other"}
    assert len(found.rows("eval_results")) > 6 == len(found.with_loop(name="other").rows("eval_results"))


@pytest.mark.parametrize(
    ("executor", "expected"), [("in_process", dg.in_process_executor), ("multiprocess", dg.multiprocess_executor)]
)
def test_the_executor_is_a_setting(tmp_path: Path, executor: Any, expected: dg.ExecutorDefinition) -> None:
    config = ProjectConfig(loops=(loop_config(),), executor=executor)
    assert build_project(config, tmp_path).executor is expected


@pytest.mark.parametrize(("promotion", "last"), [("manual", "validation_results"), ("auto", "promoted_policy")])
def test_the_job_holds_what_needs_nobody(tmp_path: Path, promotion: str, last: str) -> None:
    with desk(tmp_path, promotion=promotion) as (found, _):
        job = found.definitions.resolve_job_def(f"{NAME}_improvement")
        graph = found.definitions.resolve_asset_graph()
    stages = {key.path[-1] for key in job.asset_layer.executable_asset_keys}
    assert stages == set(STAGES[: STAGES.index(last) + 1])
    assert set(graph.get_all_asset_keys()) == {dg.AssetKey([NAME, stage]) for stage in STAGES}


def test_stages_depend_on_each_other_in_their_order(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        graph = found.definitions.resolve_asset_graph()
    parents = {stage: {key.path[-1] for key in graph.get(dg.AssetKey([NAME, stage])).parent_keys} for stage in STAGES}
    assert parents == {
        "traces": set(),
        "eval_results": {"traces"},
        "baseline_state_actions": {"traces", "eval_results"},
        "judge_watch": {"traces", "eval_results"},
        "next_window_results": {"baseline_state_actions", "judge_watch", "validation_results"},
        "updated_policy": {"baseline_state_actions"},
        "validation_results": {"baseline_state_actions", "updated_policy", "judge_watch"},
        "promoted_policy": {"validation_results"},
    }


def test_no_backfill_policy_is_set_so_that_checks_keep_their_window(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        graph = found.definitions.resolve_asset_graph()
    assert {graph.get(dg.AssetKey([NAME, stage])).backfill_policy for stage in STAGES} == {None}
