"""Which files are read: folders, globs, URLs, what lies beside them, and what their folders' names say."""

import shutil
from pathlib import Path

import fsspec
import pytest

from sia_dagster.core.errors import TraceFileError
from sia_dagster_tests.adapters.local.test_traces import funnel, ids, read, span, write_lines, write_parquet


def test_files_at_a_url_are_read_as_those_of_a_folder(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [span(1)])
    write_lines(tmp_path / "tenant=acme" / "b.jsonl", [span(2)])
    write_lines(tmp_path / "_temporary" / "c.jsonl", [span(3)])
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path), "/bucket/traces", recursive=True)
    for url in ("memory://bucket/traces", "memory://bucket/traces/"):
        assert ids(read(url)) == ["0001", "0002"]
        assert ids(read(url, "tenant = 'acme'")) == ["0002"]
    assert ids(read("memory://bucket/traces/*.parquet")) == ["0001"]
    assert ids(read("memory://bucket/traces/a.parquet")) == ["0001"]
    assert ids(read(f"file://{tmp_path}")) == ["0001", "0002"]


@pytest.mark.parametrize("url", ["memory://bucket/nothing-here", "no-such-protocol://bucket/traces"])
def test_a_url_that_cannot_be_read_is_named(url: str) -> None:
    with pytest.raises(TraceFileError) as raised:
        read(url)
    assert raised.value.path == url


def test_what_engines_and_tools_leave_beside_the_files_is_left_out_or_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "part-0.snappy.parquet", [span(1)])
    for name in ("_delta_log/0.json", "_temporary/0/part.parquet", "_SUCCESS", ".part-0.snappy.parquet.crc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"add": {"path": "part-0.snappy.parquet"}}')
    (tmp_path / "README.md").write_text("# The traces of last year\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert ids(read(tmp_path)) == ["0001"]
    assert {loss.example for loss in funnel(tmp_path).losses} == {"README.md"}
    assert [loss.records for loss in funnel(tmp_path).losses] == [2]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_names_of_folders_are_columns_of_the_condition(tmp_path: Path, kind: str) -> None:
    write = write_lines if kind == "jsonl" else write_parquet
    for number, tenant in enumerate(("acme", "globex", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / f"tenant={tenant}"
        folder.mkdir()
        write(folder / f"a.{kind}", [span(number)])
        write(folder / f"b.{kind}", [span(number + 10, tenant="of the file")])
    assert ids(read(tmp_path, "tenant = 'acme'")) == ["0000"]
    assert ids(read(tmp_path, "tenant = 'of the file'")) == ["0010", "0011", "0012"]
    assert ids(read(tmp_path, "tenant IS NULL")) == ["0002"]


def test_a_copied_url_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    memory = fsspec.filesystem("memory")
    with memory.open("/left/a.jsonl", "w") as file:
        file.write("")
    assert read("memory://left") == []
    assert list(tmp_path.iterdir()) == []
    shutil.rmtree(tmp_path)
