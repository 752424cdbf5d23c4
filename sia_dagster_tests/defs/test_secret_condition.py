"""A value that `traces.where` takes from the environment is in nothing that a window leaves behind or shows."""

from pathlib import Path

import pytest

from sia_dagster.demo.server import SimulatedProvider
from sia_dagster_tests.worlds.cli_world import FIRST, Sia, configure, folder, loop_entry, provider, sia, write_week

__all__ = ["folder", "provider", "sia"]

SECRET = "acme-zq7081"
PLAIN = "name = 'ChatCompletion'"


def holding(root: Path) -> list[str]:
    """The files that hold a piece of the value, as text or as UTF-16."""
    pieces = [SECRET[5:].encode(), SECRET[5:].encode("utf-16-le"), SECRET.encode()]
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) > 3
    return [str(path) for path in files if any(piece in path.read_bytes() for piece in pieces)]


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("attributes.llm.model_name <> '${TENANT}'", 0),
        ("name <> '${TENANT}' AND nosuch = 1", 1),
        ("name <> '${TENANT}' AND CAST('${TENANT}' AS INTEGER) = 1", 1),
        ("${TENANT} = name", 1),
    ],
)
def test_a_window_keeps_the_name_alone(
    sia: Sia, folder: Path, provider: SimulatedProvider, monkeypatch: pytest.MonkeyPatch, condition: str, code: int
) -> None:
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("TENANT", SECRET)
    configure(folder, provider.base_url, loops=[loop_entry().replace(PLAIN, condition)])
    write_week(folder, 4)
    check = sia("check", "--window", FIRST.key, "--json")
    run = sia("run", "--window", FIRST.key)
    assert (check.code, run.code) == (code, code), check.out + run.err
    assert "TENANT" in check.out + run.err or not code
    assert SECRET[5:] not in check.out + check.err + run.out + run.err
    assert (home / "history").is_dir()
    assert holding(folder) == []
