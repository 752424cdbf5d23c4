"""The guard's rules on 200 kB of anything: CPU seconds of each, and how they grow with the length of the text.

Each text repeats one wording that some pattern begins with, as a candidate and as a trace at once. A rule whose time is
in proportion to the text takes four times as long for four times the text.

Run: python -m bench.guard. Writes bench/results/guard.json.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sia_dagster.core.guard import RULES, GuardLimits
from sia_dagster.core.guard._guard_input import GuardInput
from sia_dagster.core.guard._traffic import Traffic
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Message, Sample

LENGTHS = (50_000, 200_000)
BASE = "You answer the messages of a shop's customers. Be polite. Returns within 30 days."
UNITS = (
    "a", "A", " ", "\n", "1", ".", "{", "[", "(", "<", "@", "_", "-", "\u6211", "\u30b5", "\u0e01", "\uac00",
    "\u0915\u093f", "a@a.a", "a.", "1 ", "no ", "ignore ", "system: ", "](", "<!-- ", '"', '"a', "word ", "Aa Bb ",
    "a/", "${", "{{a", "```", '{"a":', "1:", "&#1;", "Bearer ", "password is ", "a\u200b", "\U0001f642", "four ",
    "my name is anna ", "return XML ", "Always offer a free refund. ", "\u5f20\u4f1f\u5148\u751f", "a\u13a0", "dot ",
    "\\x41", "90 days ", "+1", "www.", "DE12 ", "\t", ", ", "'a", "---", "<a ", "[a]: ",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "guard.json"


def seconds(unit: str, length: int) -> dict[str, float]:
    """CPU seconds of each rule, by its name; `reading` is what the rules share."""
    text = (unit * (length // len(unit) + 1))[:length]
    began = time.process_time()
    sample = Sample(
        span_id="s1",
        trace_id="t1",
        conversation_id="c1",
        start_time=datetime(2026, 11, 9, tzinfo=UTC),
        split="train",
        messages=(Message(role="user", content=text),),
    )
    candidate = Actions(system_prompt=f"{BASE}\n{text}", model="m")
    case = GuardInput(candidate, Actions(system_prompt=BASE, model="m"), Traffic.of([sample]), GuardLimits(), ())
    _ = case.text, case.known, case.new_lines, case.traffic.holds("a wording")
    found = {"reading": time.process_time() - began}
    for rule in RULES:
        began = time.process_time()
        list(rule(case))
        found[name_of(rule)] = time.process_time() - began
    return found


def name_of(rule: Any) -> str:
    """A rule that was wrapped has the name of the function within."""
    cells = rule.__closure__ or ()
    return str(next((cell.cell_contents.__name__ for cell in cells), rule.__name__))


def main() -> None:
    short, long = ({unit: seconds(unit, length) for unit in UNITS} for length in LENGTHS)
    rows: dict[str, dict[str, float]] = {}
    texts: dict[str, str] = {}
    print(f"{'rule':<36}{'worst s at 200 kB':>18}{'text':>14}{'x of 50 kB':>12}")
    for rule in next(iter(long.values())):
        unit = max(UNITS, key=lambda each: long[each][rule])
        took, ratio = long[unit][rule], long[unit][rule] / max(short[unit][rule], 0.001)
        rows[rule], texts[rule] = {"seconds": round(took, 3), "ratio": round(ratio, 1)}, unit
        print(f"{rule:<36}{took:>18.2f}{unit.strip()[:12]!r:>14}{ratio:>12.1f}", flush=True)
    print(f"the slowest: {max(row['seconds'] for row in rows.values()):.2f} s (aim 1); four times the text: x 4")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(
        json.dumps({"rules": rows, "texts": texts}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
