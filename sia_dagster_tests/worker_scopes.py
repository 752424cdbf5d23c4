"""Which test files run in one worker, and which start first, so that no worker is left with a long file at the end."""

from typing import Final

from xdist.scheduler import LoadFileScheduling

ONE_WORKER: Final[dict[str, tuple[str, ...]]] = {
    "the demo's eight windows": ("project/test_docs.py", "cli/test_run.py", "demo/test_run.py"),
    "the Phoenix server": ("/phoenix/", "test_phoenix.py", "cli/test_check_calls.py", "wiring/test_platforms.py"),
    "the Postgres server": (
        "test_postgres.py", "test_store_contract.py", "test_batch_records.py", "test_completions_setting.py",
    ),
}  # fmt: skip
"""What takes seconds to start, and parts of the paths of the files that read it: started once a run."""


START_FIRST: Final = (
    "whole_loop/", "demo/", "template_recovery/", "defs/", "bench/", "cli/", "project/", "runners/", "wiring/",
    "judge_watch/", "core/gate/", "adapters/local/",
)  # fmt: skip
"""Folders with long files, after those of `ONE_WORKER`."""


class OneWorkerAFile(LoadFileScheduling):
    """A file's tests, and those of files that share something costly, run in one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((name for name, parts in ONE_WORKER.items() if _has(file, parts)), file)


def start_rank(file: str) -> int:
    """The place of a file in the order of the run: low numbers start first."""
    groups = [*ONE_WORKER.values(), *((folder,) for folder in START_FIRST)]
    return next((place for place, parts in enumerate(groups) if _has(file, parts)), len(groups))


def _has(file: str, parts: tuple[str, ...]) -> bool:
    return any(part in file for part in parts)
