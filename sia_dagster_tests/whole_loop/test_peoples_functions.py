"""A window whose evaluators raise, return and print whatever people's functions can: each costs its row alone."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from sia_dagster.core.records.report import ValidationReport
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster_tests.worlds.cli_world import FIRST, Sia, configure, loop_entry, write_week
from sia_dagster_tests.worlds.hostile_functions import CASES

EVALUATORS = """\
      - {name: in_turn, kind: code, function: "sia_dagster_tests.worlds.hostile_functions:in_turn"}
      - name: on_even
        kind: code
        function: sia_dagster_tests.worlds.hostile_functions:on_even
        not_applicable: allowed
"""


def test_a_window_survives_its_functions_and_counts_what_they_did(
    sia: Sia, folder: Path, provider: SimulatedProvider
) -> None:
    entry = loop_entry().replace("    policy:", f"{EVALUATORS}    policy:")
    entry = entry.replace("primary: correctness", "primary: correctness, max_unscored_share: 1")
    configure(folder, provider.base_url, loops=[entry])
    write_week(folder, 60)
    run = sia("run", "--window", FIRST.key, "--json")
    assert run.code == 0, run.err
    assert json.loads(run.out)["verdict"] == "inconclusive", "what the functions print is not in the JSON"
    assets = folder / ".sia" / "assets" / "desk"
    rows = pq.read_table(assets / "eval_results" / f"{FIRST.key}.parquet").to_pylist()
    hostile = [row for row in rows if row["evaluator"] == "in_turn"]
    assert len(hostile) > CASES
    assert all(row["error"] and row["score"] is None for row in hostile)
    even = Counter((row["label"], row["score"], row["error"]) for row in rows if row["evaluator"] == "on_even")
    assert set(even) == {("true", 1.0, None), ("not_applicable", None, None)}
    stored = (assets / "validation_results" / f"{FIRST.key}.json").read_bytes()
    compared = {c.evaluator: c for c in ValidationReport.model_validate_json(stored).comparisons}
    assert compared["on_even"].unscored == 0
    assert compared["on_even"].not_applicable > 0
    assert compared["in_turn"].unscored == compared["in_turn"].samples
    assert compared["correctness"].unscored == 0
    page = (folder / ".sia" / "reports" / "desk" / f"{FIRST.key}.html").read_text(encoding="utf-8")
    assert f"does not apply to {compared['on_even'].not_applicable} sample" in page
    paid = sum(provider.calls.values())
    assert sia("run", "--window", FIRST.key, "--json").code == 0
    assert sum(provider.calls.values()) == paid, "a function that fails costs its row, and nothing is paid twice"
    assert (assets / "validation_results" / f"{FIRST.key}.json").read_bytes() == stored
