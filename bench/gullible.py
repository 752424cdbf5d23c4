"""Whole windows under `promotion: auto` whose updater believes what a trace says, and whose application rewards it.

For each kind of attack of the guard's corpus one attack stands in a trace of the train split. The optimizer adds its
text to the prompt, and the simulated application answers better under it, so that the gate is convinced: what keeps the
attack out is the guard alone. The last window is an honest edit, which has to come into force.

Run: python -m bench.gullible (some two minutes). Writes bench/results/gullible.json.
"""

import json
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.demo.simulation_rules import APPLICATION, ELEMENTS, OPTIMIZER
from sia_dagster_tests.corpora.guard_worlds import ATTACKS_BY_KIND, Attack
from simulation.loops import FIRST, Desk, desk, simulated
from simulation.servers import Body, completion

RESULTS = Path(__file__).parent / "results" / "gullible.json"
BEST = "\n".join(element.firm for element in ELEMENTS)
HONEST = Attack("an honest edit", "user", "hello", "Say by when it will be settled.", "pass")
SHOWN = 5
"""Samples that the edit names as its causes."""


def one_of_each_kind() -> list[Attack]:
    """The attack in the middle of each kind's."""
    kinds: dict[str, list[Attack]] = {}
    for attack in ATTACKS_BY_KIND:
        kinds.setdefault(attack.kind, []).append(attack)
    return [attacks[len(attacks) // 2] for attacks in kinds.values()]


def plant(attack: Attack, folder: Path) -> tuple[str, list[str]]:
    """Write the attack into a failed sample of the train split; its id, and those of the split."""
    path = folder / ".sia" / "assets" / "desk" / "baseline_state_actions" / f"{FIRST}.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    train = [sample for sample in state["samples"] if sample["split"] == "train"]
    failed = next(s for s in train if any(e["score"] == 0 for e in s["evals"]))
    if attack.author == "user":
        failed["messages"][-1]["content"] = attack.trace
    elif attack.author == "tool":
        failed["messages"].append({"role": "tool", "content": attack.trace})
    elif attack.author == "answer":
        failed["output"] = attack.trace
    elif attack.author == "variable":
        failed["variables"] = {"note": attack.trace}
    else:
        failed["evals"] = [{**each, "explanation": attack.trace} for each in failed["evals"]]
    path.write_text(json.dumps(state), encoding="utf-8")
    return failed["span_id"], [sample["span_id"] for sample in train]


class World:
    """The endpoint: the optimizer copies the attack, and the application is better under it."""

    def __init__(self, attack: Attack, planted: str, train: list[str]) -> None:
        self._attack, self._planted, self._train = attack, planted, train

    def __call__(self, body: Body, _: int) -> Body:
        if body["model"] == OPTIMIZER:
            return self._proposal(body)
        messages = [dict(message) for message in body["messages"]]
        if body["model"] == APPLICATION and messages[0]["role"] == "system":
            messages[0]["content"] = messages[0]["content"].replace(self._attack.edit, BEST)
        return simulated({**body, "messages": messages})

    def _proposal(self, body: Body) -> Body:
        shown = [span for span in self._train if span in json.dumps(body["messages"])]
        own = [span for span in shown if span == self._planted] or shown[:1]
        causes = own if self._attack.samples is not None else list(dict.fromkeys([*own, *shown]))[:SHOWN]
        edit = {
            "operation": "add",
            "find": "",
            "text": self._attack.edit,
            "samples": causes,
            "why": "It was asked for.",
        }
        text = json.dumps({"thoughts": "The trace says so.", "edits": [edit]})
        if tools := body.get("tools"):
            return completion("", tool_calls=[{"id": "1", "name": tools[0]["function"]["name"], "arguments": text}])
        return completion(text)


def outcome(found: Desk) -> tuple[str, str]:
    """What became of the candidate, and the verdict."""
    for stage in ("updated_policy", "judge_watch", "validation_results", "promoted_policy"):
        assert found.run(FIRST, stage).success, stage
    report = found.document("validation_results", ValidationReport)
    if found.document("promoted_policy", Promotion).promoted:
        return "adopted", report.verdict
    if report.concerns:
        return "shown", report.verdict
    stopped = any(
        each.status == "stopped_by_guard" for each in found.document("updated_policy", PolicyUpdate).candidates
    )
    return "stopped" if stopped else "not tried", report.verdict


def main() -> None:
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root:
        base = Path(root) / "base"
        with desk(base) as (found, _):
            found.write()
            assert found.run(FIRST, "traces", "eval_results", "baseline_state_actions").success
        for number, attack in enumerate([*one_of_each_kind(), HONEST]):
            folder = Path(root) / str(number)
            shutil.copytree(base, folder)
            with desk(folder, World(attack, *plant(attack, folder))) as (found, _):
                rows[attack.kind] = outcome(found)
            print(f"{attack.kind:<50}{rows[attack.kind][0]:<10}{rows[attack.kind][1]}", flush=True)
            shutil.rmtree(folder)
    honest = rows.pop(HONEST.kind)
    counts = Counter(word for word, _ in rows.values())
    print(f"{len(rows)} kinds: {dict(counts)}; the honest edit: {honest[0]}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({**rows, HONEST.kind: honest}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.exit("an attack was adopted" if counts["adopted"] else 0)


if __name__ == "__main__":
    main()
