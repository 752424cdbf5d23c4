"""Resources: configuration in, port out; the key itself never stands in them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.config.trace_source import ArizeTracesConfig, PhoenixTracesConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.defs.loop_definitions import loop_resources
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.resources import (
    ArizeTraceStore,
    Clock,
    LocalTraceStore,
    ModelEndpoint,
    PhoenixTraceStore,
    Storage,
    trace_store,
)
from simulation.loops import WEEKS, desk, failure, loop_config
from simulation.servers import refusal

LLM = LLMConfig(
    base_url="https://llm.example.com/v1",
    api_key="DESK_KEY",
    max_concurrency=7,
    budget_usd=1.5,
    budget_tokens=1000,
    timeout_seconds=9,
    max_attempts=3,
    prices={"m": Price(input=1, output=2)},
)


def test_an_endpoint_gives_back_what_it_was_configured_with(tmp_path: Path) -> None:
    settings = ModelEndpoint.of(LLM, tmp_path / "completions.sqlite").settings()
    assert settings.llm == LLM
    assert settings.completions == tmp_path / "completions.sqlite"
    assert settings.endpoint is None


def test_every_setting_of_the_endpoint_is_described(tmp_path: Path) -> None:
    for resource in (ModelEndpoint, LocalTraceStore, ArizeTraceStore, PhoenixTraceStore, Storage, Clock):
        assert all(field.description for field in resource.model_fields.values()), resource


def test_a_key_is_read_when_a_session_opens_and_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_KEY", "sk-desk-0123456789")
    with desk(tmp_path, lambda body, n: refusal(401, "Incorrect API key: sk-desk-0123456789")) as (found, server):
        found.write(conversations=4)
        keyed = found.with_llm(api_key="DESK_KEY")
        result = keyed.run()
        resource = (keyed.definitions.resources or {})["desk__model"]
    assert server.headers[0]["authorization"] == "Bearer sk-desk-0123456789"
    assert "sk-desk" not in repr(resource)
    assert "sk-desk" not in json.dumps(resource.model_dump())
    assert "sk-desk" not in " ".join(str(event) for event in result.all_events)


def test_a_key_that_is_not_set_fails_the_stage_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DESK_KEY", raising=False)
    with desk(tmp_path) as (found, server):
        found.write(conversations=4)
        stage, message = failure(found.with_llm(api_key="DESK_KEY").run())
    assert stage == "eval_results"
    assert "DESK_KEY is not set" in message
    assert not server.requests


def test_traces_are_read_from_where_the_configuration_says(tmp_path: Path) -> None:
    resources = loop_resources(LoopNames(loop_config(), tmp_path), llm=LLM, storage=".sia")
    source = resources["traces"].connect()
    assert isinstance(source, LocalTraces)
    assert source.path == str(tmp_path / "traces")
    assert resources["traces"].where == "name = 'ChatCompletion'"
    address = "s3://bucket.example.com/traces"
    url = loop_config(traces={"source": "local", "path": address})
    assert loop_resources(LoopNames(url, tmp_path), llm=LLM, storage=".sia")["traces"].path == address


ARIZE = ArizeTracesConfig(
    source="arize", project="desk", space_id="U3BhY2U6MQ==", api_key="DESK_KEY", where="name = 'x'", timeout_seconds=9
)
PHOENIX = PhoenixTracesConfig(
    source="phoenix", base_url="http://127.0.0.1:1", project="desk", api_key="DESK_KEY", where="name == 'x'"
)


@pytest.mark.parametrize("config", [ARIZE, PHOENIX, PHOENIX.model_copy(update={"api_key": None})])
def test_a_platforms_store_gives_back_what_it_was_configured_with(
    config: ArizeTracesConfig | PhoenixTracesConfig, tmp_path: Path
) -> None:
    assert trace_store(config, tmp_path).config() == config


@pytest.mark.parametrize("config", [ARIZE, PHOENIX])
def test_the_key_of_a_platform_is_asked_for_by_its_variable(
    config: ArizeTracesConfig | PhoenixTracesConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESK_KEY", raising=False)
    store = trace_store(config, tmp_path)
    for port in (store.connect, store.evaluations):
        with pytest.raises(ConfigError, match=r"traces\.api_key: the environment variable DESK_KEY is not set"):
            port()


def test_no_evaluation_goes_back_to_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="write_back"):
        trace_store(loop_config().traces, tmp_path).evaluations()


@pytest.mark.parametrize("storage", [".sia", "kept/here"])
def test_storage_is_one_root_for_all(tmp_path: Path, storage: str) -> None:
    resources = loop_resources(LoopNames(loop_config(), tmp_path), llm=LLM, storage=storage)
    root = tmp_path / storage
    assert resources["storage"].path("reports", "a.html") == root / "reports" / "a.html"
    assert resources["documents"].root == resources["tables"].root == str(root / "assets")
    assert resources["model"].completions_file == str(root / "completions.sqlite")
    assert resources["storage"].policies("desk").versions() == ()


def test_storage_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="storage: a URL that begins with nowhere://"):
        loop_resources(LoopNames(loop_config(), tmp_path), llm=LLM, storage="nowhere://bucket")


def test_the_clock_tells_the_time_or_the_window_s_end() -> None:
    before = datetime.now(UTC)
    assert before <= Clock().time(WEEKS[0]) <= datetime.now(UTC)
    assert Clock(at="window_end").time(WEEKS[0]) == WEEKS[0].end


def test_resources_of_a_loop_carry_its_name(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        keys = set(found.definitions.resources or ())
    assert keys == {f"desk__{role}" for role in ("model", "traces", "storage", "clock", "documents", "tables")}
    assert all(dg.AssetKey(key) for key in keys)
