"""Which files a path names: regular ones, a bounded number, each once; what cannot be read is named."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sia_dagster.adapters.local.paths import files_of
from sia_dagster.core.errors import TraceFileError


def lines(path: Path) -> bool:
    return path.suffix == ".jsonl"


def tree(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["a.jsonl", "dt=1/b.jsonl", "dt=1/x/c.jsonl", "e[1].jsonl"]),
        ("*.jsonl", ["a.jsonl", "e[1].jsonl"]),
        ("dt=*/b.jsonl", ["dt=1/b.jsonl"]),
        ("**/*.jsonl", ["a.jsonl", "dt=1/b.jsonl", "dt=1/x/c.jsonl", "e[1].jsonl"]),
        ("dt=1/**", ["dt=1/b.jsonl", "dt=1/x/c.jsonl"]),
        ("**/x/?.jsonl", ["dt=1/x/c.jsonl"]),
        ("[!b-z].jsonl", ["a.jsonl"]),
        ("e[1].jsonl", ["e[1].jsonl"]),
        (".hidden/d.jsonl", [".hidden/d.jsonl"]),
        ("notes.txt", ["notes.txt"]),
        ("nothing/*.jsonl", []),
    ],
)
def test_a_file_a_folder_or_a_glob(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    tree(tmp_path, "a.jsonl", "dt=1/b.jsonl", "dt=1/x/c.jsonl", ".hidden/d.jsonl", "e[1].jsonl", "notes.txt")
    found = files_of(str(tmp_path / pattern), lines)
    assert [str(file.relative_to(tmp_path)) for file in found.files] == expected
    assert found.unreadable == {}


@pytest.mark.parametrize(
    "path", ["/proc/**", "/proc", "/sys/kernel/*", "/dev/null", "/dev/fd/0", "../" * 40 + "proc/**"]
)
def test_what_the_kernel_makes_up_is_refused(path: str) -> None:
    with pytest.raises(TraceFileError, match=r"/(proc|sys|dev) holds what the system is doing"):
        files_of(path, lambda _: True)


def test_links_are_read_once_and_never_into_the_system(tmp_path: Path) -> None:
    tree(tmp_path, "data/a.jsonl")
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "again.jsonl").symlink_to(tmp_path / "data" / "a.jsonl")
    (tmp_path / "data" / "itself").symlink_to(tmp_path / "data" / "itself")
    (tmp_path / "data" / "gone.jsonl").symlink_to(tmp_path / "gone")
    (tmp_path / "data" / "system").symlink_to("/proc/self")
    os.mkfifo(tmp_path / "data" / "pipe.jsonl")
    found = files_of(str(tmp_path), lines)
    assert [str(file.relative_to(tmp_path)) for file in found.files] == ["data/a.jsonl"]
    assert sorted(Path(name).name for name in found.unreadable) == ["gone.jsonl", "itself", "system"]
    with pytest.raises(TraceFileError, match="/proc holds"):
        files_of(str(tmp_path / "data" / "system"), lines)


def test_more_files_than_the_bound_are_a_sentence(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{number}.jsonl" for number in range(4)))
    assert len(files_of(str(tmp_path), lines, most=4).files) == 4
    with pytest.raises(TraceFileError, match=r"more than 3 files; set `traces\.path` to a folder or glob of fewer"):
        files_of(str(tmp_path), lines, most=3)


def test_what_may_not_be_read_is_named() -> None:
    """Run as a user without rights, since root may read everything."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        tree(root, "open.jsonl", "closed.jsonl", "shut/b.jsonl")
        (root / "closed.jsonl").chmod(0)
        (root / "shut").chmod(0)
        script = (
            "import os, sys\n"
            "from sia_dagster.adapters.local.paths import files_of\n"
            "if os.geteuid() == 0: os.setuid(65534)\n"
            f"found = files_of({name!r}, lambda path: True)\n"
            "print([file.name for file in found.files], sorted(found.unreadable.items()))"
        )
        seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        (root / "shut").chmod(0o755)
    assert seen.stdout.startswith("['open.jsonl'] "), seen.stderr
    assert f"{name}/closed.jsonl', 'the file may not be read" in seen.stdout
    assert f"{name}/shut', 'the folder cannot be read (Permission denied)" in seen.stdout
