"""`llm.completions`: a database by its address or by a variable, and a password nowhere but in that variable."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dagster.components.testing import create_defs_folder_sandbox
from pydantic import ValidationError

from sia_dagster.adapters.config.file import load_config
from sia_dagster.adapters.engine.store.postgres import PostgresStore
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.adapters.files.storage import storage_root
from sia_dagster.component import SelfImprovingLoop
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.defs.resources import ModelEndpoint
from sia_dagster.wiring.endpoint import open_store
from sia_dagster.wiring.loop_session import completions_file
from sia_dagster_tests.fakes.postgres import PostgresServer
from sia_dagster_tests.worlds.cli_world import configure
from simulation.loops import loop_config

NOWHERE = "http://127.0.0.1:9/v1"
OPEN = (
    "postgresql://sia@db.example.com:5433/sia?sslmode=require",
    "postgres://db.example.com/sia",
    "postgresql:///sia",
)
SECRET = (
    "postgresql://sia:wq7wq7@db.example.com/sia",
    "postgresql://sia:wq7/wq7@db.example.com/sia",
    "postgresql://sia:@wq7wq7@db.example.com/sia",
    "postgresql://sia@db.example.com/sia?password=wq7wq7",
    "postgresql://sia:wq7wq7@[db.example.com/sia",
)


def written(folder: Path, value: str) -> LLMConfig:
    """The `llm` section of a file in which that stands."""
    return load_config(configure(folder, NOWHERE, llm=[f"completions: '{value}'"])).config.llm


def test_without_it_answers_are_in_a_file_of_the_storage(tmp_path: Path) -> None:
    assert load_config(configure(tmp_path, NOWHERE)).config.llm.completions is None
    assert completions_file(storage_root("kept", tmp_path), tmp_path) == tmp_path / "kept" / "completions.sqlite"
    assert completions_file(storage_root("memory://kept", tmp_path), tmp_path) == (
        tmp_path / ".sia" / "completions.sqlite"
    )
    with closing(open_store(LLMConfig(), tmp_path / "new" / "c.sqlite")) as store:
        assert isinstance(store, SqliteStore)
        assert (store.name, store.limits) == (str(tmp_path / "new" / "c.sqlite"), tmp_path / "new" / "c.sqlite.limits")


@pytest.mark.parametrize("address", OPEN)
def test_an_address_without_a_password_may_stand_in_the_file(tmp_path: Path, address: str) -> None:
    assert written(tmp_path, address).completions == address


def test_an_address_with_a_password_is_kept_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_COMPLETIONS", SECRET[0])
    llm = written(tmp_path, "${SIA_COMPLETIONS}")
    assert llm.completions == "SIA_COMPLETIONS"
    assert "wq7wq7" not in llm.model_dump_json()


@pytest.mark.parametrize("address", [*SECRET, "postgresql://${SIA_USER}@db.example.com/sia", "sia"])
def test_a_password_in_the_file_is_refused_and_not_repeated(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=r"llm\.completions: must be exactly \$\{NAME\}") as caught:
        written(tmp_path, address)
    assert "write `completions: ${SIA_COMPLETIONS}`" in str(caught.value)
    assert "wq7" not in str(caught.value)


def test_another_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only a Postgres database can hold the answers"):
        written(tmp_path, "mysql://db.example.com/sia")


@pytest.mark.parametrize("address", [*SECRET, "wq7wq7-wq7wq7", "mysql://sia:wq7wq7@db.example.com/sia"])
def test_a_password_in_python_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LLMConfig(completions=address)
    assert "wq7" not in str(caught.value)


def component(llm: Mapping[str, Any]) -> ModelEndpoint:
    attributes = {**loop_config().model_dump(mode="json"), "llm": {"base_url": NOWHERE, **llm}}
    contents = {"type": "sia_dagster.component.SelfImprovingLoop", "attributes": attributes}
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(SelfImprovingLoop, defs_yaml_contents=contents)
        with sandbox.load_component_and_build_defs(path) as (_, definitions):
            endpoint = (definitions.resources or {})["desk__model"]
            assert isinstance(endpoint, ModelEndpoint)
            return endpoint


@pytest.mark.parametrize(("given", "kept"), [(OPEN[0], OPEN[0]), ("$${SIA_COMPLETIONS}", "SIA_COMPLETIONS")])
def test_the_resource_holds_what_people_may_see(given: str, kept: str, tmp_path: Path) -> None:
    endpoint = component({"completions": given.replace("$$", "$")})
    assert endpoint.model_dump()["completions"] == kept
    assert endpoint.settings().llm.completions == kept
    assert ModelEndpoint.of(LLMConfig(), tmp_path / "c.sqlite").settings().llm.completions is None


def test_a_component_refuses_a_password_and_does_not_repeat_it() -> None:
    with pytest.raises(Exception, match=r"defs\.yaml") as caught:
        component({"completions": SECRET[0]})
    error: BaseException | None = caught.value
    message = ""
    while error:
        message += str(error)
        error = error.__cause__
    assert "llm.completions: must be exactly ${NAME}" in message
    assert "wq7wq7" not in message


def test_the_variable_is_read_when_the_store_is_opened(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = LLMConfig(completions="SIA_COMPLETIONS")
    monkeypatch.delenv("SIA_COMPLETIONS", raising=False)
    with pytest.raises(ConfigError, match=r"llm\.completions: the environment variable SIA_COMPLETIONS is not set"):
        open_store(llm, tmp_path / "c.sqlite")
    monkeypatch.setenv("SIA_COMPLETIONS", postgres.address(postgres.new_database()))
    with closing(open_store(llm, tmp_path / "c.sqlite")) as store:
        assert isinstance(store, PostgresStore)
        assert store.limits == tmp_path / "c.sqlite.limits"
        assert "p@ss" not in store.name
        assert "p%40ss" not in store.name
    assert list(tmp_path.iterdir()) == []
