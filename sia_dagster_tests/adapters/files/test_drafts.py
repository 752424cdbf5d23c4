"""Drafts and temporary folders of killed runs are swept; what a run may still write, and all else, stays."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sia_dagster.adapters.files.drafts import UNUSED_AFTER, sweep
from sia_dagster.adapters.files.storage import storage_root

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def write(path: Path, age: timedelta) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    written = (NOW - age).timestamp()
    for each in (path, path.parent):
        os.utime(each, (written, written))
    return path


OLD, YOUNG = UNUSED_AFTER + timedelta(seconds=1), UNUSED_AFTER - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("path", "age", "swept"),
    [
        (".sia/policies/desk/.000003.json.ab12_cd3.tmp", OLD, True),
        (".sia/policies/desk/decisions/.000001.json.abcdefgh.tmp", OLD, True),
        (".sia/assets/desk/traces/.2026-11-09.parquet.sia_spans_abcdefgh", OLD, True),
        (".sia/gate/desk/looks/.2026-11-09.json.abcdefgh.tmp", OLD, True),
        ("tmp/sia_spans_abcdefgh/spans.parquet", OLD, True),
        ("tmp/sia-spans-abcdefgh/part.duckdb", OLD, True),
        (".sia/policies/desk/.000003.json.ab12_cd3.tmp", YOUNG, False),
        ("tmp/sia_spans_abcdefgh/spans.parquet", YOUNG, False),
        (".sia/policies/desk/000003.json", OLD, False),
        (".sia/policies/desk/.hidden", OLD, False),
        (".sia/policies/other/.000003.json.ab12_cd3.tmp", OLD, False),
        ("tmp/sia_notes/mine.txt", OLD, False),
        ("tmp/sia_spans_abcdefgh.txt/mine.txt", OLD, False),
    ],
)
def test_what_is_swept(tmp_path: Path, path: str, age: timedelta, *, swept: bool) -> None:
    written = write(tmp_path / path, age)
    removed = sweep(tmp_path / ".sia", "desk", NOW, temporary=tmp_path / "tmp")
    assert written.exists() is not swept
    assert len(removed) == swept


def test_a_link_is_not_followed_and_a_url_has_no_drafts(tmp_path: Path) -> None:
    kept = write(tmp_path / "elsewhere" / "mine.txt", OLD)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "sia_spans_abcdefgh").symlink_to(kept.parent, target_is_directory=True)
    url = storage_root(f"memory://drafts{tmp_path.name}", tmp_path)
    assert sweep(url, "desk", NOW, temporary=tmp_path / "tmp") == ()
    assert sweep(url, "desk", NOW, temporary=tmp_path / "nothing") == ()
    assert kept.exists()
