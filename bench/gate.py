"""`make bench-gate`: how often the whole gate errs and what it finds, on simulated windows and years of known truth.

No model is called. Shares come with exact 95 % intervals; beside them stands what the rule `mean(new) > mean(old)`
accepts. One window of each chunk also goes through the product's own `compare` and `decide`, and must agree.

    python -m bench.gate [windows a cell, default 10000]
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from bench.calibration import SIZES, collapse, graded, passes
from bench.gate_bounds import BOUNDS
from bench.gate_cells import ALPHA, LEVELS, MARGIN, RULES, WEEKLY, Scenario, Share, collect
from bench.gate_groups import GROUPED
from bench.gate_looks import LOOKED_AT, in_all_looks, looked_at, only_once, passes_twice
from bench.gate_not_worse import table as not_worse
from bench.gate_pool import pooled
from bench.gate_scenarios import (
    CLUSTERED,
    JUDGE_FLIPS,
    NEAR_TOP,
    five_candidates,
    guardrail,
    one_test,
    slices,
    three_evaluators,
)
from bench.gate_skew import GUARDED, SKEWED, collapsing
from bench.gate_years import GAIN, frontier, told, year_of, year_plans

Sized = Callable[[int], Scenario]
RESULTS = Path(__file__).parent / "results" / "gate.json"
LOOPS = 1000
KEYS = ("accept_05", "accept_week")
POWER_GRID = (12, 16, 20, 24, 32, 40, 48, 64, 80, 100, 120, 160, 200, 240, 320, 400)


def no_difference() -> Mapping[str, Sized]:
    """Windows in which an accept is an error. Of three evaluators: all are the same; or the primary gains a lot and
    a guardrail has lost exactly its margin."""
    noisy = {f"the judge flips {flips:.0%}": partial(one_test, passes(0.7, flips=flips)) for flips in JUDGE_FLIPS}
    top = {f"{rate:.0%} pass": partial(one_test, passes(rate)) for rate in NEAR_TOP}
    three, gain = (passes(0.7), passes(0.95), graded), (0.25, -MARGIN, 0.0)
    return {
        "70 % pass": partial(one_test, passes(0.7)),
        "graded": partial(one_test, graded),
        "clustered, up to 5 samples": partial(one_test, CLUSTERED),
        **noisy,
        **top,
        "one in twenty collapses": partial(one_test, collapse),
        "three evaluators, all the same": lambda n: three_evaluators(n, three, (0.0, 0.0, 0.0)),
        "three evaluators, one at its margin": lambda n: three_evaluators(n, three, gain),
        "five candidates": five_candidates,
        "all looks: 70 % pass": lambda n: in_all_looks(passes_twice(0.7), n),
        "all looks: the judge flips 15 %": lambda n: in_all_looks(passes_twice(0.7, flips=0.15), n),
        "all looks: 98 % pass": lambda n: in_all_looks(passes_twice(0.98), n),
        "all looks: 1 in 25 loses 0.96": lambda n: in_all_looks(only_once(collapsing(0.04, 0.96)), n),
        **{f"pooled from {k} drifting windows": partial(pooled, windows_back=k) for k in (1, 2, 4)},
        "a guardrail at its margin, 70 % pass": lambda n: guardrail(passes(0.7), n, -MARGIN),
        "a guardrail at its margin, 95 % pass": lambda n: guardrail(passes(0.95), n, -MARGIN),
        "any of 7 slices said to lose": lambda n: slices(n, 0.0),
    }


def other_truths() -> Mapping[str, Sized]:
    """Windows in which there is something to find."""
    return {
        "harmful: 70 % pass, -0.05": lambda n: one_test(passes(0.7), n, -0.05),
        "better: 70 % pass, +0.10": lambda n: one_test(passes(0.7), n, 0.10),
        "better: 70 % pass, +0.15": lambda n: one_test(passes(0.7), n, 0.15),
        "better: graded, +0.08": lambda n: one_test(graded, n, 0.08),
        "better: pooled from 4 windows, +0.10": lambda n: pooled(n, 4, 0.10),
        "a guardrail that lost nothing, 95 % pass": lambda n: guardrail(passes(0.95), n, 0.0),
        "a slice of 30 % that lost 25 points": lambda n: slices(n, 0.25),
    }


def table(rows: Mapping[str, Sized], windows: int, seed: int, keys: Sequence[str] = KEYS) -> dict[str, Any]:
    """Each row at all sizes: shares by name, printed as they come; those of `keys` and the naive rule's are shown."""
    result: dict[str, Any] = {}
    for number, (name, sized) in enumerate(rows.items()):
        result[name] = {}
        for n in SIZES:
            found = collect(sized(n), windows, seed + 10 * number + SIZES.index(n))
            shares = {key: Share.of(hits) for key, hits in found.items() if hits.dtype == bool}
            result[name][str(n)] = {key: share._asdict() for key, share in shares.items()}
            columns = [shares[key].told() if key in shares else "" for key in keys]
            show(f"{name}, n = {n}", [*columns, f"{shares['naive'].share:.3f}"])
    return result


def above_level(result: Mapping[str, Any]) -> list[str]:
    """The cells whose whole interval lies above their level: where a guardrail decides, that of guardrails."""
    levels = {f"accept_{name}": alpha for name, alpha in LEVELS.items()}
    return [
        f"{name}, n = {n}, alpha {alpha:.4f}"
        for name, sizes in result.items()
        for n, shares in sizes.items()
        for key, alpha in levels.items()
        if key in shares and shares[key]["low"] > (ALPHA if "margin" in name else alpha)
    ]


def stated_effect(windows: int) -> dict[str, Any]:
    """The smallest effect that windows report without a difference, and the power at exactly that effect."""
    result: dict[str, Any] = {}
    worlds = {"70 % pass": passes(0.7), "graded": graded, "clustered, up to 5 samples": CLUSTERED}
    for number, (name, simulate) in enumerate(worlds.items()):
        for n in SIZES:
            told = float(collect(one_test(simulate, n), windows, 900 + number)["detectable"].mean())
            power = Share.of(collect(one_test(simulate, n, told), windows, 950 + number)["accept_05"])
            result.setdefault(name, {})[str(n)] = {"effect": told, **power._asdict()}
            show(f"power at the stated {told:.3f}: {name}, n = {n}", [power.told()])
    return result


def looks(windows: int, n: int = 160) -> dict[str, Any]:
    """The product's looks against two and one: what is accepted, and the share of a plain replay that is paid for."""
    result: dict[str, Any] = {}
    effects = {"no effect": 0.0, "harm -0.10": -0.10, "close +0.10": 0.10, "close +0.15": 0.15, "clear +0.25": 0.25}
    for number, (world, answers) in enumerate(LOOKED_AT.items()):
        for place, (name, effect) in enumerate(effects.items()):
            if effect < 0 and "repaired" in world:
                continue
            for level, alpha in LEVELS.items():
                found = collect(looked_at(answers, n, effect, alpha), windows, 700 + 20 * number + place)
                kept = {key: Share.of(found[key]) for key in ("accept", "two", "plain", "accept futile", "naive")}
                calls = {key: float(found[f"{key} calls"].mean()) for key in ("accept", "two")}
                shares = {key: share._asdict() for key, share in kept.items()}
                result[f"{world}, {name}, {level}"] = shares | {"calls": calls}
                columns = [f"{kept[key].share:.4f}, calls {calls[key]:.2f}" for key in calls]
                show(f"{world}, {name}, {alpha:.4f}", [*columns, f"{kept['plain'].share:.4f}"])
    return result


def needed(windows: int, effect: float) -> dict[str, float | None]:
    """Own conversations a window for 80 % power at the weekly level: in one look, in two, in the product's, pooled."""
    once, repaired = LOOKED_AT.values()
    cells: dict[str, Callable[[int], npt.NDArray[Any]]] = {
        "one look": lambda n: collect(looked_at(once, n, effect, WEEKLY), windows, 800)["plain"],
        "two looks": lambda n: collect(looked_at(once, n, effect, WEEKLY), windows, 801)["two"],
        "the product's": lambda n: collect(looked_at(once, n, effect, WEEKLY), windows, 802)["accept"],
        "repaired, two looks": lambda n: collect(looked_at(repaired, n, effect, WEEKLY), windows, 803)["two"],
        "repaired, the product's": lambda n: collect(looked_at(repaired, n, effect, WEEKLY), windows, 804)["accept"],
        "pooled from 4 windows, one look": lambda n: collect(pooled(n, 4, effect), windows, 805)["accept_week"],
    }
    result = {name: _first(share) for name, share in cells.items()}
    show(f"conversations a window for +{effect:.2f}", [f"{k}: {v and round(v)}" for k, v in result.items()])
    return result


def _first(accepted: Callable[[int], npt.NDArray[Any]], goal: float = 0.8) -> float | None:
    """Between which sizes the power passes the goal, by straight lines."""
    before = (0, 0.0)
    for n in POWER_GRID:
        reached = float(accepted(n).mean())
        if reached >= goal:
            return before[0] + (n - before[0]) * (goal - before[1]) / (reached - before[1])
        before = (n, reached)
    return None


def loop_years(loops: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for seed, (name, plan) in enumerate(year_plans().items(), start=3000):
        result[name] = year_of(plan, loops, seed)
        show(name, told(result[name]))
    return result


def show(name: str, columns: list[str]) -> None:
    print(f"{name:<58}" + "".join(f"{column:>28}" for column in columns), flush=True)


def run(windows: int, loops: int) -> dict[str, Any]:
    show("\nnothing changed", [f"alpha {ALPHA}", f"alpha {WEEKLY:.5f}", "mean(new) > mean(old)"])
    false = table(no_difference(), windows, 0)
    head = [
        f"groups, {ALPHA}",
        f"groups, {WEEKLY:.5f}",
        f"each, {ALPHA}",
        f"each, {WEEKLY:.5f}",
        "mean(new) > mean(old)",
    ]
    show("\nnothing changed, people come back", head)
    grouped = table(GROUPED, windows, 2000, ("accept_05", "accept_week", "each_05", "each_week"))
    above = above_level({**false, **grouped})
    print(f"cells whose interval lies above their level: {', '.join(above) or 'none'}")
    show("\nsomething changed", [f"alpha {ALPHA}", f"alpha {WEEKLY:.5f}", "mean(new) > mean(old)"])
    found = table(other_truths(), windows // 2, 5000)
    print()
    stated = stated_effect(windows // 2)
    skewed: dict[str, Any] = {}
    for level, alpha in LEVELS.items():
        show(f"\nrare catastrophes, alpha {alpha:.5f}", [*BOUNDS, "mean(new) > mean(old)"])
        skewed = table(SKEWED, windows, 6000, [f"{name}, {level}" for name in BOUNDS])
    show("\nguardrails that lost their margin", [f"{ALPHA}", f"{WEEKLY:.5f}", "mean above -margin"])
    guarded = table(GUARDED, windows, 6500, ("product, 05", "product, week"))
    for_less = not_worse(windows // 5)
    show("\n160 conversations", ["the product's looks", "two looks", "one look"])
    looked = looks(windows)
    print()
    plans = {str(effect): needed(windows // 5, effect) for effect in (0.10, 0.15)}
    show(f"\na loop's year, {loops} loops; the budget is {RULES.false_promotions_a_year} false a year", [])
    yearly = loop_years(loops)
    show(f"\na gain of {GAIN} that is proposed from week 4 on", ["false a year", "within a month", "median weeks"])
    edge = frontier(loops, 4000)
    for name, found_ in edge.items():
        mean = f"{found_['false_a_year'][0]:.2f}"
        show(f"budget {name}", [mean, f"{found_['within_a_month']['share']:.3f}", f"{found_['median_weeks']}"])
    return {
        "no_difference": false,
        "grouped": grouped,
        "above_level": above,
        "other_truths": found,
        "stated_effect": stated,
        "skewed": skewed,
        "guarded": guarded,
        "as_good_for_less": for_less,
        "looks": looked,
        "conversations_needed": plans,
        "years": yearly,
        "frontier": edge,
    }


def main() -> None:
    windows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    started = time.perf_counter()
    results = run(windows, max(10, windows * LOOPS // 10_000))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"windows": windows, "weekly_alpha": WEEKLY, **results}, indent=1) + "\n")
    print(f"\n{windows} windows a cell in {time.perf_counter() - started:.0f} s; written to {RESULTS}")


if __name__ == "__main__":
    main()
