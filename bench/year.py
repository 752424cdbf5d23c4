"""`make bench-year`: whole years of windows through the real assets, over a simulated endpoint whose truth is known.

Nothing is better; one thing is; the judge drifts; what looked good fails a week later; windows in any order, and
twice; and what the gate's calls cost beside a plain replay of both policies.

    python -m bench.year [part ...]
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.year_loop import CONVERSATIONS, PAID, Loop, Week, loop_of
from bench.year_world import World

RESULTS = Path(__file__).parent / "results" / "year.json"
GAIN = 0.25
PLAIN: Mapping[str, Any] = {
    "validation": {
        "primary": "correctness", "looks": 1, "pool_windows": 0, "noise_conversations": 0, "repeats": 1,
        "carry_windows": 1,
    },
    "watch": {"anchors": 0, "probes": 0},
}  # fmt: skip
"""Both policies on the window's own holdout, once."""
BARE: Mapping[str, Any] = {
    "validation": {"primary": "correctness", "noise_conversations": 0},
    "watch": {"anchors": 0, "probes": 0},
}
"""The gate without what only describes noise and judges."""


def told(weeks: Iterator[Week]) -> list[Week]:
    """All weeks, each with a line as it ends."""
    found = []
    for number, week in enumerate(weeks):
        found.append(week)
        report = week.report
        looks = "/".join(look.outcome for look in report.interim_analyses) or "-"
        version = week.promotion.promoted if week.promotion else None
        left = f"{report.error_budget.left:.3f}" if report.error_budget else "-"
        promoted = f"v{version.version}" if version else ""
        print(
            f"  week {number:2d} {report.verdict:<13}{looks:<20}{report.conversations:>4} conversations "
            f"{week.asked:>5} calls  budget left {left:<7}{promoted}",
            flush=True,
        )
    return found


def promotions(weeks: list[Week]) -> list[int]:
    """The weeks in which a policy was put in force."""
    return [n for n, week in enumerate(weeks) if week.promotion and week.promotion.promoted]


def nothing_is_better(count: int) -> dict[str, Any]:
    """Every proposal changes the answers and none changes how good they are."""
    with loop_of(World(), count) as loop:
        weeks = told(loop.year())
    tested = [week for week in weeks if week.report.primary]
    up = [week for week in tested if ((week.report.primary and week.report.primary.difference) or 0.0) > 0]
    return {"weeks": count, "tested": len(tested), "mean_went_up": len(up), "promotions": promotions(weeks)}


def one_gain(count: int, at: int) -> dict[str, Any]:
    """From week `at` on the optimizer knows the one sentence that helps."""
    world = World(helps=lambda week: GAIN, proposed=lambda week: week >= at)
    with loop_of(world, count) as loop:
        weeks = told(loop.year())
    gains = {n: week.exam.cumulative_gain for n, week in enumerate(weeks) if week.exam}
    return {"weeks": count, "possible_from": at, "promotions": promotions(weeks), "cumulative_gain": gains}


def judge_drifts(count: int, at: int) -> dict[str, Any]:
    """From week `at` on the judge passes half of what it failed before; proposals go on."""
    with loop_of(World(lenient_from=at), count) as loop:
        weeks = told(loop.year())
    drifted = [n for n, week in enumerate(weeks) if week.watch.drifted]
    return {
        "drifts_in": at,
        "false_alarms": [n for n in drifted if n < at],
        "blocked_in": next((n for n in drifted if n >= at), None),
        "promotions_since": [n for n in promotions(weeks) if n >= at],
        "verdicts_since": sorted({week.report.verdict for week in weeks[at:]}),
    }


def fails_next_week(at: int = 1) -> dict[str, Any]:
    """What helps in week `at` harms in the week after."""
    world = World(helps=lambda week: 0.3 if week <= at else -0.3, proposed=lambda week: week == at)
    with loop_of(world, at + 2) as loop:
        weeks = told(loop.year())
    exam = weeks[-1].exam
    return {
        "promotions": promotions(weeks),
        "falls_short": exam.falls_short if exam else None,
        "rollback_to": exam.rollback_to if exam else None,
        "reason": exam.reason if exam else "no exam",
        "claim_holds": weeks[-1].claims.get("promise_is_kept"),
    }


def cost(count: int = 4) -> dict[str, Any]:
    """Paid calls of a window in which a candidate is tested, by stage, against the plain replay; people promote."""
    result: dict[str, Any] = {}
    for case, gain in {"no effect": 0.0, "close": 0.10, "clear": 0.35}.items():
        for kind, changes in {"plain": PLAIN, "bare gate": BARE, "gate": {}}.items():
            with loop_of(
                World(helps=_always(gain), proposed=lambda week: True), count, promotion="manual", **changes
            ) as loop:
                weeks = [week for week in told(loop.year()) if week.report.primary]
            result.setdefault(case, {})[kind] = _calls(weeks)
        plain = result[case]["plain"]["validation_results"]
        for kind in ("bare gate", "gate"):
            found = result[case][kind]
            stages = ("judge_watch", "next_window_results", "validation_results")
            found["ratio_validation"] = found["validation_results"] / plain
            found["ratio_all"] = sum(found[stage] for stage in stages) / plain
            print(f"{case}, {kind}: {found['ratio_validation']:.2f} ({found['ratio_all']:.2f} with judges and exam)")
    return result


def _always(gain: float) -> Callable[[int], float]:
    return lambda week: gain


def _calls(weeks: list[Week]) -> dict[str, float]:
    """Means a window, the first left out: it has nothing to pool, no anchors and no exam."""
    later = weeks[1:] or weeks
    return {stage: fmean(week.calls.get(stage, 0) for week in later) for stage in PAID}


def any_order(count: int = 12, conversations: int = CONVERSATIONS) -> dict[str, Any]:
    """A backfill: in order, in reverse, and in order twice; which files are not the same, by stage."""
    forward, reverse = list(range(count)), list(reversed(range(count)))
    in_order = _backfill(count, forward, conversations)
    orders = {"reverse": reverse, "twice": [*forward, *forward]}
    others = {name: _backfill(count, order, conversations) for name, order in orders.items()}
    result = {"files": len(in_order), "stages": sorted({name.split("/")[1] for name in in_order})}
    for order, files in others.items():
        apart = sorted(name for name in in_order.keys() | files.keys() if in_order.get(name) != files.get(name))
        result[order] = apart
        print(f"{order}: {len(apart)} of {len(in_order)} files are not the same: {', '.join(apart) or 'none'}")
    return result


def _backfill(count: int, order: list[int], conversations: int) -> dict[str, bytes]:
    """The stored assets by name; traffic lies there beforehand, under the first policy, as it does in a backfill."""
    world = World(helps=lambda week: GAIN, proposed=lambda week: True, varies=False)
    with loop_of(world, count, clock="now", promotion="manual") as loop:
        for number in range(count):
            loop.write(number, conversations)
        for number in order:
            loop.run(number)
            loop.fill_exam(number)
        return stored(loop)


def stored(loop: Loop) -> dict[str, bytes]:
    """Every file of the loop's assets."""
    root = loop.desk.folder / ".sia" / "assets"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "nothing_is_better": partial(nothing_is_better, 52),
    "gain_from_the_start": partial(one_gain, 6, 0),
    "gain_from_week_8": partial(one_gain, 14, 8),
    "judge_drifts": partial(judge_drifts, 24, 20),
    "fails_next_week": fails_next_week,
    "any_order": partial(any_order, 12),
    "cost": cost,
}


def main() -> None:
    asked = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in asked if name not in PARTS]:
        sys.exit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    for name in asked:
        print(f"\n{name.replace('_', ' ')}", flush=True)
        started = time.perf_counter()
        found = PARTS[name]()
        print(f"{json.dumps(found)}\n{time.perf_counter() - started:.0f} s", flush=True)
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps({**known, name: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
