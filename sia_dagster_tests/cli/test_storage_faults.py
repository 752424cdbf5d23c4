"""A storage that is down, missing or closed is one sentence of every command that needs it, without a traceback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from sia_dagster_tests.worlds import verdicts
from sia_dagster_tests.worlds.cli_world import FIRST, NEW, NOWHERE, OLD, Sia, configure, loop_entry, registry, version

COMMANDS = [
    ("policy", "list"),
    ("policy", "show"),
    ("policy", "rollback"),
    ("policy", "promote", "--window", FIRST.key),
    ("report",),
]


class ClientError(Exception):
    """As botocore's: no OSError."""


def _does_not_answer(*_: Any, **__: Any) -> Any:
    raise ClientError("Could not connect to the endpoint URL: 'http://127.0.0.1:9/bucket'\nand a second line")


def _has_no_bucket(*_: Any, **__: Any) -> Any:
    raise FileNotFoundError("The specified bucket does not exist")


CALLS = ("ls", "info", "makedirs", "mkdir", "pipe_file", "cat_file", "_open", "open")
Down = type("Down", (MemoryFileSystem,), {"protocol": "s3", **dict.fromkeys((*CALLS, "exists"), _does_not_answer)})
"""An object store that does not answer."""
NoBucket = type(
    "NoBucket",
    (MemoryFileSystem,),
    {"protocol": "s3", "exists": lambda *_, **__: False, **dict.fromkeys(CALLS, _has_no_bucket)},
)
"""An object store without that bucket."""


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[type]:
    """The `s3` of this test."""
    kind: type = request.param
    known = _registry.get("s3")
    fsspec.register_implementation("s3", kind, clobber=True)
    yield kind
    _registry.pop("s3", None)
    if known:
        fsspec.register_implementation("s3", known, clobber=True)


@pytest.mark.parametrize(
    ("store", "says"),
    [(Down, "Could not connect to the endpoint"), (NoBucket, "there is no bucket 'bucket'")],
    indirect=["store"],
)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_store_that_is_down_or_has_no_such_bucket(
    sia: Sia, folder: Path, store: type, says: str, command: tuple[str, ...]
) -> None:
    path = configure(folder, NOWHERE)
    path.write_text(f"storage: s3://bucket/sia\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    refused = sia(*command)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.count("\n") == 1
    assert refused.err.startswith("Error: ")
    known = says in refused.err or (store is NoBucket and command[:2] == ("policy", "promote"))
    assert known, refused.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_storage_that_is_no_folder(sia: Sia, folder: Path, command: tuple[str, ...]) -> None:
    configure(folder, NOWHERE)
    (folder / ".sia").write_text("a file where the storage should be", encoding="utf-8")
    refused = sia(*command)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("Error: ")
    assert refused.err.count("\n") == 1
    assert "storage" in refused.err or "has not run" in refused.err


def test_a_report_that_is_not_there_says_what_makes_one(sia: Sia, folder: Path) -> None:
    configure(folder, NOWHERE)
    assert sia("report").err == "Error: no window of desk has a report yet; `sia run --window KEY` makes one\n"


@pytest.mark.parametrize("change", [("start: 2026-09-14", "start: 2026-09-15"), ("window: weekly", "window: daily")])
def test_a_window_that_is_none_any_more_is_not_decided(sia: Sia, folder: Path, change: tuple[str, str]) -> None:
    path = configure(folder, NOWHERE, loops=[loop_entry()])
    verdicts.store(folder, verdicts.report(FIRST, OLD, NEW))
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    for command in ("promote", "reject"):
        refused = sia("policy", command, "--window", FIRST.key, "--by", "Ada")
        assert (refused.code, refused.out) == (1, "")
        assert refused.err == (
            f"Error: window '{FIRST.key}' of desk ran, but is not one of its windows now: `start`, `window` or "
            "`timezone` has changed since; set them back to decide on it, or decide on a later window\n"
        )
    assert registry(folder).versions() == ()


def test_both_of_two_people_who_roll_back_are_told(sia: Sia, folder: Path) -> None:
    configure(folder, NOWHERE)
    registry(folder, version(1, NEW), version(2, OLD))
    assert (
        sia("policy", "rollback", "--by", "Ada").out == "desk: version 3 is in force, the policy of version 1 again\n"
    )
    second = sia("policy", "rollback", "--by", "Bo")
    assert second.code == 1
    assert "Ada rolled back to version 1 at " in second.err
    same = sia("policy", "rollback", "--by", "Bo", "--to", "1")
    assert same.code == 0
    assert "desk: version 3 is in force, the policy of version 1 again; Ada had rolled back to it already" in same.out
    assert len(registry(folder).versions()) == 3
