"""No file is passed over without a word: hidden ones, links that lead nowhere, what a table has removed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from sia_dagster.core.errors import TraceFileError
from sia_dagster_tests.adapters.local.test_traces import funnel, ids, lost, read, span, write_lines, write_parquet


@pytest.mark.parametrize("name", ["_export.jsonl", ".export.jsonl", "_temporary/0/part.jsonl"])
def test_a_hidden_file_is_named(tmp_path: Path, name: str) -> None:
    path = write_lines(tmp_path / name, [span(1)])
    with pytest.raises(TraceFileError, match=rf"no file is read: 1 file .*such as {name}; rename it"):
        read(tmp_path)
    assert ids(read(path)) == ["0001"]
    write_lines(tmp_path / "good.jsonl", [span(2)])
    assert ids(read(tmp_path)) == ["0002"]
    assert funnel(tmp_path).notes == (f"not read: 1 file with names that begin with `.` or `_`, such as {name}",)


def test_what_other_tools_leave_beside_data_is_not_spoken_of(tmp_path: Path) -> None:
    for name in ("_SUCCESS", "_metadata", "_committed_12", ".a.parquet.crc", ".DS_Store", ".git/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    write_lines(tmp_path / "good.jsonl", [span(2)])
    assert funnel(tmp_path).notes == ()


@pytest.mark.parametrize("pattern", ["_*.jsonl", ".e*.jsonl", "_x/*", "*.{json,jsonl}", "{a,b}.jsonl"])
def test_a_glob_finds_what_it_names(tmp_path: Path, pattern: str) -> None:
    for number, name in enumerate(("_export.jsonl", ".export.jsonl", "_x/c.jsonl", "a.jsonl")):
        write_lines(tmp_path / name, [span(number)])
    found = {"_*.jsonl": "0000", ".e*.jsonl": "0001", "_x/*": "0002"}
    assert ids(read(f"{tmp_path}/{pattern}")) == [found.get(pattern, "0003")]


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "gone")
    for path in (tmp_path, tmp_path / "a.jsonl"):
        with pytest.raises(TraceFileError, match=r"a\.jsonl: the link leads nowhere"):
            read(path)
    write_lines(tmp_path / "good.jsonl", [span(2)])
    assert ids(read(tmp_path)) == ["0002"]
    assert lost(tmp_path, "file") == {f"{tmp_path}/a.jsonl": 1}


@pytest.mark.parametrize("url", ["file://{}", "file://localhost{}", "local://{}"])
@pytest.mark.parametrize("name", ["plain", "a b", "100%"])
def test_a_url_of_this_machine_is_a_path(tmp_path: Path, url: str, name: str) -> None:
    write_lines(tmp_path / name / "a.jsonl", [span(1)])
    for written in (name, name.replace("%", "%25").replace(" ", "%20")):
        assert ids(read(url.format(f"{tmp_path}/{written}"))) == ["0001"]


@pytest.mark.parametrize("url", ["file:///proc/self/environ", "local:///proc/self/environ", "file://localhost/proc"])
def test_what_the_kernel_makes_up_is_refused_at_a_url(url: str) -> None:
    with pytest.raises(TraceFileError, match=r"/proc holds what the system is doing"):
        read(url)


def add(name: str) -> dict[str, Any]:
    return {"add": {"path": name.replace(" ", "%20"), "dataChange": True}}


def remove(name: str) -> dict[str, Any]:
    return {"remove": {"path": name.replace(" ", "%20"), "dataChange": True}}


def of_commits(log: Path) -> None:
    write_lines(log / f"{0:020}.json", [{"protocol": {}}, {"metaData": {}}, add("a.parquet"), add("dt=1 2/b.parquet")])
    write_lines(log / f"{1:020}.json", [{"commitInfo": {}}, remove("dt=1 2/b.parquet"), add("c.parquet")])


def of_a_checkpoint(log: Path) -> None:
    log.mkdir()
    write_parquet(log / f"{7:020}.checkpoint.parquet", [add("a.parquet"), add("dt=1 2/b.parquet"), {"add": None}])
    write_lines(log / f"{5:020}.json", [add("d.parquet")])
    write_lines(log / f"{8:020}.json", [remove("dt=1 2/b.parquet"), add("c.parquet")])


def of_what_is_left(log: Path) -> None:
    write_lines(log / f"{8:020}.json", [remove("dt=1 2/b.parquet"), add("c.parquet")])


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (of_commits, ["0001", "0003"]),
        (of_a_checkpoint, ["0001", "0003"]),
        (of_what_is_left, ["0001", "0002", "0003", "0004"]),
    ],
)
def test_files_that_a_delta_table_has_removed_are_not_read(
    tmp_path: Path, log: Callable[[Path], None], expected: list[str]
) -> None:
    table = tmp_path / "below" / "table"
    for number, name in enumerate(("a.parquet", "dt=1 2/b.parquet", "c.parquet", "d.parquet"), 1):
        (table / name).parent.mkdir(parents=True, exist_ok=True)
        write_parquet(table / name, [span(number)])
    log(table / "_delta_log")
    for path in (table, tmp_path, f"{table}/**/*.parquet"):
        assert ids(read(path)) == expected
    removed = 4 - len(expected)
    assert [note[:17] for note in funnel(table).notes] == [f"not read: {removed} files"] * bool(removed)
    remote = fsspec.filesystem("memory")
    remote.put(str(table), f"/{tmp_path.name}", recursive=True)
    assert ids(read(f"memory://{tmp_path.name}")) == expected
