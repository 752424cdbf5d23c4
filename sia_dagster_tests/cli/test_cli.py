"""The command as such: help, exit codes, `init`, and which loop a command is about."""

import subprocess
import sys
from pathlib import Path

import pytest

from sia_dagster.adapters.config.file import load_config
from sia_dagster.cli.open_project import open_project, open_projects
from sia_dagster.core.errors import ConfigError
from sia_dagster_tests.worlds.cli_world import FIRST, NOWHERE, Sia, configure, loop_entry


def test_help_names_every_command(sia: Sia) -> None:
    seen = sia("--help")
    assert seen.code == 0
    assert all(name in seen.out for name in ("check", "demo", "init", "policy", "report", "run"))


def test_version_is_told(sia: Sia) -> None:
    assert "version" in sia("--version").out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cheque"], "No such command 'cheque'"),
        (["run"], "Missing option '--window'"),
        (["policy", "rollback", "--to", "last"], "Invalid value for '--to'"),
    ],
)
def test_wrong_use_is_exit_code_2(sia: Sia, arguments: list[str], sentence: str) -> None:
    seen = sia(*arguments)
    assert (seen.code, seen.out) == (2, "")
    assert sentence in seen.err


def test_our_errors_are_one_sentence_and_exit_code_1(sia: Sia, folder: Path) -> None:
    configure(folder, NOWHERE)
    seen = sia("run", "--loop", "dsk", "--window", FIRST.key)
    assert (seen.code, seen.out) == (1, "")
    assert seen.err == "Error: there is no loop 'dsk'; the configuration has: desk\n"


def test_the_installed_command_and_the_module_are_the_same(folder: Path) -> None:
    configure(folder, NOWHERE)
    script = Path(sys.executable).with_name("sia")
    calls = [[str(script)], [sys.executable, "-m", "sia_dagster"]]
    seen = [
        subprocess.run([*call, "report"], capture_output=True, text=True, check=False, cwd=folder) for call in calls
    ]
    assert {done.returncode for done in seen} == {1}
    assert {done.stderr for done in seen} == {
        "Error: no window of desk has a report yet; `sia run --window KEY` makes one\n"
    }


def test_help_and_the_registry_cost_no_import_of_dagster(folder: Path) -> None:
    configure(folder, NOWHERE)
    code = (
        "import sys; from sia_dagster.cli import main; "
        "main(['--help']); main(['policy', 'list']); print(sorted({'dagster', 'pandas', 'openai'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.endswith("\n[]\n")


def test_an_interrupted_command_ends_with_130(sia: Sia, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "interrupting.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    evaluator = "\n      - {name: slow, kind: code, function: interrupting:score}\n    policy:"
    configure(folder, NOWHERE, loops=[loop_entry().replace("\n    policy:", evaluator)])
    assert sia("check").code == 130


def test_init_writes_a_file_that_loads(sia: Sia, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    seen = sia("init")
    assert seen.code == 0
    assert str(folder / "sia.yaml") in seen.out
    assert "OPENAI_API_KEY, which is not set" in seen.out
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    loaded = load_config(folder / "sia.yaml")
    assert loaded.config.llm.base_url == "http://127.0.0.1:9/v1"
    assert "a-key" not in (folder / "sia.yaml").read_text(encoding="utf-8")


def test_init_keeps_what_is_there_unless_forced(sia: Sia, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    path = folder / "sia.yaml"
    path.write_text("mine", encoding="utf-8")
    refused = sia("init")
    assert (refused.code, path.read_text(encoding="utf-8")) == (1, "mine")
    assert "`sia init --force` replaces it" in refused.err
    forced = sia("init", "--force")
    assert forced.code == 0
    assert "not set" not in forced.out
    assert load_config(path).config.loops[0].name == "my_application"


def test_init_writes_where_the_configuration_is_read(sia: Sia, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_CONFIG", str(folder / "deep" / "loops.yaml"))
    assert sia("init").code == 0
    assert (folder / "deep" / "loops.yaml").is_file()


def test_init_says_where_it_cannot_write(sia: Sia, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("SIA_CONFIG", str(folder / "file" / "sia.yaml"))
    seen = sia("init")
    assert seen.code == 1
    assert "cannot be written" in seen.err


def test_the_only_loop_needs_no_name_and_several_do(folder: Path) -> None:
    configure(folder, NOWHERE)
    assert open_project(None).loop.name == "desk"
    configure(folder, NOWHERE, loops=[loop_entry("desk"), loop_entry("office", "daily")])
    assert open_project("office").loop.window == "daily"
    assert [project.loop.name for project in open_projects()] == ["desk", "office"]
    with pytest.raises(ConfigError, match="name a loop with --loop; the configuration has: desk, office"):
        open_project(None)


@pytest.mark.usefixtures("folder")
def test_without_a_configuration_it_is_the_demos_loop() -> None:
    project = open_project(None)
    assert project.is_demo
    assert project.loop.name == "message_desk"


def test_windows_are_the_closed_ones(folder: Path) -> None:
    configure(folder, NOWHERE)
    project = open_project(None)
    keys = project.names.partitions.get_partition_keys()
    assert project.window(FIRST.key) == FIRST
    assert project.window().key == keys[-1]
    with pytest.raises(ConfigError, match=f"'2026-01-01' is not a closed window of desk; the latest are: .*{keys[-1]}"):
        project.window("2026-01-01")


def test_a_loop_that_has_not_begun_has_no_window(folder: Path) -> None:
    configure(folder, NOWHERE, loops=[loop_entry().replace(FIRST.key, "2999-01-01")])
    with pytest.raises(ConfigError, match="no window of desk has closed yet: its first begins on 2999-01-01"):
        open_project(None).window()
