"""What an application gets from `load_policy`, and what it never pays for."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sia_dagster import load_policy
from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.adapters.files.storage import storage_root
from sia_dagster.core.errors import ConfigError, PolicyError, PolicyNotFound
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion

START = Actions(system_prompt="Start.", model="small")


def put(storage: str, folder: Path, prompt: str, version: int = 1) -> None:
    PolicyFiles(storage_root(storage, folder), "desk").append(
        PolicyVersion(
            version=version,
            loop="desk",
            kind="promote",
            actions=Actions(system_prompt=prompt, model="small", variables=("name",)),
            at=datetime(2026, 10, version, tzinfo=UTC),
            parent=version - 1 or None,
        )
    )


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and no settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIA_STORAGE", raising=False)
    monkeypatch.delenv("SIA_CONFIG", raising=False)
    return tmp_path


def test_the_newest_policy_is_loaded_and_fills_in(here: Path) -> None:
    put("store", here, "Hello {name}.")
    put("store", here, "Dear {name}.", version=2)
    actions = load_policy("desk", "store")
    assert actions.messages({"name": "Ann"}) == [{"role": "system", "content": "Dear Ann."}]


def test_a_later_call_sees_a_newer_policy(here: Path) -> None:
    put("store", here, "One.")
    assert load_policy("desk", "store").system_prompt == "One."
    put("store", here, "Two.", version=2)
    assert load_policy("desk", "store").system_prompt == "Two."


def test_the_default_stands_until_a_policy_is_promoted(here: Path) -> None:
    assert load_policy("desk", "store", default=START) == START
    put("store", here, "Promoted.")
    assert load_policy("desk", "store", default=START).system_prompt == "Promoted."


def test_without_a_policy_and_a_default_the_error_says_what_to_do() -> None:
    with pytest.raises(PolicyNotFound) as caught:
        load_policy("desk", "store")
    message = str(caught.value)
    for part in ("'desk'", "store", "sia policy promote --loop desk", "$SIA_STORAGE", "`default`"):
        assert part in message


def test_a_broken_registry_is_an_error_even_with_a_default(here: Path) -> None:
    put("store", here, "One.")
    (here / "store" / "policies" / "desk" / "000001.json").write_text("{", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"000001\.json"):
        load_policy("desk", "store", default=START)


def test_the_storage_is_the_argument_then_the_variable_then_the_file_then_the_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for storage in (".sia", "from-file", "from-variable", "from-argument"):
        put(storage, here, storage)
    assert load_policy("desk").system_prompt == ".sia"
    (here / "sia.yaml").write_text("storage: from-file\nllm: {api_key: '${NEVER_SET_HERE}'}\n", encoding="utf-8")
    assert load_policy("desk").system_prompt == "from-file"
    monkeypatch.setenv("SIA_STORAGE", "from-variable")
    assert load_policy("desk").system_prompt == "from-variable"
    assert load_policy("desk", "from-argument").system_prompt == "from-argument"


def test_a_configuration_elsewhere_has_its_storage_beside_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "project").mkdir()
    (here / "project" / "loops.yaml").write_text("storage: store\n", encoding="utf-8")
    put("store", here / "project", "Beside the file.")
    monkeypatch.setenv("SIA_CONFIG", "project/loops.yaml")
    assert load_policy("desk").system_prompt == "Beside the file."


def test_a_broken_configuration_is_said(here: Path) -> None:
    (here / "sia.yaml").write_text("storage: [\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="invalid YAML"):
        load_policy("desk")


def test_any_fsspec_url_is_a_storage(here: Path) -> None:
    url = f"memory://load{here.name}"
    put(url, here, "From a URL.")
    assert load_policy("desk", url).system_prompt == "From a URL."


@pytest.mark.parametrize(("url", "says"), [("nosuch://bucket/x", "nosuch"), ("s3://bucket/x", "s3fs")])
def test_a_url_that_cannot_be_opened_says_what_is_missing(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"^storage: a URL that begins with") as caught:
        load_policy("desk", url)
    assert says in str(caught.value)


HEAVY = {"dagster", "pandas", "arize", "openai", "duckdb", "numpy", "scipy", "pyarrow", "fsspec", "yaml", "aiohttp"}
CHECK = f"""
import sys
from sia_dagster import load_policy
actions = load_policy("desk", sys.argv[1])
assert actions.system_prompt == "Hello.", actions
print(sorted({HEAVY!r} & set(sys.modules)))
"""


def test_an_application_imports_nothing_heavy(here: Path) -> None:
    put("store", here, "Hello.")
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(here / "store")], capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.stdout) == ("", "[]\n")
