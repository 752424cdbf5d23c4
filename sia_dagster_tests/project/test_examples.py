"""The example runs as it stands, from any folder, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

from sia_dagster_tests.places import ROOT

EXAMPLES = ROOT / "examples"


def test_the_workflow_example_runs_as_it_stands(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "workflow_example.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "simulated" in lines[0]
    assert "Verdict: accept" in lines
    assert any(line.startswith("  +") for line in lines), "what changed in the prompt"
    (by_function,) = (line for line in lines if line.startswith("  names_an_order: "))
    (by_judge,) = (line for line in lines if line.startswith("  correctness: "))
    for line in (by_function, by_judge):
        assert line.endswith(" over 50 answers")
        assert 0.2 < float(line.split()[1]) < 0.8
    assert list(tmp_path.iterdir()) == []


def test_every_example_is_run_by_a_test() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {"workflow_example.py", "local_model"}, "see test_local_model"
