"""The page for Python users: what it shows runs, from top to bottom, and does what it says."""

import re
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest

from sia_dagster.runners import Models, WorkflowOrchestrator
from sia_dagster_tests.places import DOCS

PAGE = DOCS / "python.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_blocks_run_as_one_script(page: str, tmp_path: Path) -> None:
    script = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    (tmp_path / "page.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[0].startswith("accept (")
    assert "order number" in done.stdout
    assert "120 samples, 1.0" in printed or "120 samples, 0.0" in printed
    assert "['is_short']" in printed
    (checkpoint,) = (tmp_path / ".sia" / "checkpoints" / "workflow").iterdir()
    for document in ("baseline_state_actions", "updated_policy", "validation_results"):
        assert f"`{document}.json`" in page
        assert (checkpoint / f"{document}.json").is_file()
    assert sorted(path.name for path in (tmp_path / ".sia" / "evaluations").iterdir()) == [
        "correctness.parquet",
        "words.parquet",
    ]


def test_every_argument_of_the_orchestrator_is_named_with_its_default(page: str) -> None:
    arguments = signature(WorkflowOrchestrator).parameters
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(arguments)
    assert f"| `name` | `{arguments['name'].default}` |" in page
    assert f"| `storage` | `{arguments['storage'].default}` |" in page
    assert f"| `models` | `{Models().judge}`, `{Models().updater}` |" in page


def test_every_method_is_shown(page: str) -> None:
    methods = {name for name, value in vars(WorkflowOrchestrator).items() if callable(value) and name[0] != "_"}
    shown = set(re.findall(r"(?:orchestrator|with_guardrail)\.(\w+)\(", page))
    assert shown | {"spans"} == methods
