"""A loop as a Dagster component: the same assets from `defs.yaml`, and errors that name the attribute."""

import datetime
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox

from sia_dagster import SelfImprovingLoop
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.defs.names import STAGES
from simulation.loops import CORRECTNESS, FIRST, IS_BRIEF, NAME, PRICES, Desk, desk

ATTRIBUTES: Mapping[str, Any] = {
    "name": NAME,
    "traces": {"source": "local", "path": "traces"},
    "start": FIRST,
    "evaluators": [CORRECTNESS, IS_BRIEF],
    "policy": {"model": "simulated-optimizer", "candidates": 2},
    "validation": {"primary": "correctness", "guardrail_margin": 0.2},
}


@contextmanager
def loaded(*loops: Mapping[str, Any]) -> Iterator[dg.Definitions]:
    """What Dagster makes of a project with one `defs.yaml` for each of `loops`, changes of ATTRIBUTES."""
    with create_defs_folder_sandbox() as sandbox:
        for number, changes in enumerate(loops):
            sandbox.scaffold_component(
                component_cls=SelfImprovingLoop,
                defs_path=f"loop_{number}",
                defs_yaml_contents={"type": "sia_dagster.SelfImprovingLoop", "attributes": {**ATTRIBUTES, **changes}},
            )
        with sandbox.build_all_defs() as definitions:
            yield definitions


def why(error: BaseException) -> str:
    """The sentence of ours beneath Dagster's account of where it happened."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ConfigError):
        found = found.__cause__
    return str(found)


def keys(definitions: dg.Definitions) -> set[dg.AssetKey]:
    return set(definitions.resolve_all_asset_keys())


def test_a_component_is_the_loop_that_the_file_would_be() -> None:
    with loaded({}) as definitions:
        assert keys(definitions) == {dg.AssetKey([NAME, stage]) for stage in STAGES}
        assert definitions.resolve_job_def(f"{NAME}_improvement")
        assert definitions.resolve_schedule_def(f"{NAME}_schedule")
        assert {sensor.name for sensor in definitions.sensors or ()} == {
            f"{NAME}_run_failed",
            f"{NAME}_proposes_rollback",
            f"{NAME}_fills_next_window_results",
            f"{NAME}_waits_for_approval",
        }
        dg.Definitions.validate_loadable(definitions)


def test_attributes_are_those_of_one_entry_of_loops() -> None:
    own = {"llm", "storage"}
    assert set(SelfImprovingLoop.model_fields) - own == set(LoopConfig.model_fields)
    assert all(field.description for field in SelfImprovingLoop.model_fields.values())


def test_a_start_without_quotes_is_a_date_too() -> None:
    with loaded({"start": datetime.date.fromisoformat(FIRST)}) as definitions:
        (partitions,) = {definitions.resolve_asset_graph().get(key).partitions_def for key in keys(definitions)}
        assert partitions
        assert partitions.get_partition_keys()[0] == FIRST


def test_loops_live_side_by_side() -> None:
    with loaded({}, {"name": "other", "window": "daily", "promotion": "auto"}) as definitions:
        assert keys(definitions) == {dg.AssetKey([name, stage]) for name in (NAME, "other") for stage in STAGES}
        dg.Definitions.validate_loadable(definitions)


def test_a_component_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("component")
    with desk(folder) as (found, server):
        found.write()
        llm = {"base_url": server.base_url, "prices": {name: price.model_dump() for name, price in PRICES.items()}}
        traces = {**ATTRIBUTES["traces"], "path": str(folder / "traces")}
        changes = {"llm": llm, "traces": traces, "storage": str(folder / ".sia")}
        with loaded(changes) as definitions:
            result = definitions.resolve_job_def(f"{NAME}_improvement").execute_in_process(
                partition_key=FIRST, instance=found.instance
            )
        assert result.success
        report = Desk(folder, server.base_url).document("validation_results", ValidationReport)
    assert report.verdict == "accept"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": "yearly"}, "window: should be 'hourly', 'daily', 'weekly' or 'monthly'"),
        ({"policy": {}}, "policy.model: this key is missing; add it"),
        ({"policy": {"modl": "m"}, "window": "yearly"}, "other errors: policy.model, policy.modl"),
        ({"validation": {"primary": "beauty"}}, "validation.primary: 'beauty' is not one of the evaluators"),
        ({"evaluators": [{**IS_BRIEF, "name": "is-brief"}]}, "evaluators.0.name: 'is-brief' must be letters"),
        (
            {"evaluators": [CORRECTNESS, {**IS_BRIEF, "function": "nowhere_to_find:it"}]},
            "evaluators.1.function: 'nowhere_to_find:it': there is no module 'nowhere_to_find'",
        ),
        ({"evaluators": [{**CORRECTNESS, "template": "gone.md"}]}, "evaluators.0.template: the template 'gone.md'"),
    ],
)
def test_an_error_names_the_attribute_and_its_line(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=r"defs\.yaml") as caught, loaded(changes):
        pass
    assert message in why(caught.value)
    assert re.search(r"defs\.yaml:\d+\]$", why(caught.value))
    assert "loops.0" not in why(caught.value)


def test_an_unknown_attribute_is_named() -> None:
    with pytest.raises(Exception, match=r"defs\.yaml") as caught, loaded({"windw": "weekly"}):
        pass
    assert "windw" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"llm": {"api_key": "sk-desk-0123456789"}}, "llm.api_key"),
        ({"llm": {"stages": {"judge": {"api_key": "sk-desk-0123456789"}}}}, "llm.stages.judge.api_key"),
        ({"notify": {"webhook": "https://hooks.example.com/sk-desk-0123456789"}}, "notify.webhook"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(changes: Mapping[str, Any], key: str) -> None:
    with pytest.raises(Exception, match=r"defs\.yaml") as caught, loaded(changes):
        pass
    assert why(caught.value).startswith(f"{key}: must be exactly ${{NAME}}")
    error: BaseException | None = caught.value
    while error:
        assert "sk-desk" not in str(error)
        error = error.__cause__


def test_a_secret_is_named_by_its_variable() -> None:
    stages = {"judge": {"api_key": "${JUDGE_KEY}"}}
    changes = {"llm": {"api_key": "${DESK_KEY}", "stages": stages}, "notify": {"webhook": "${DESK_HOOK}"}}
    with loaded(changes) as definitions:
        assert (definitions.resources or {})[f"{NAME}__model"].api_key == "DESK_KEY"
        assert (definitions.resources or {})[f"{NAME}__model"].stages == {"judge": {"api_key": "JUDGE_KEY"}}
