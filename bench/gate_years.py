"""The table of loops over a year: what pooling, carrying and a larger limit find, and how often noise is promoted."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.gate_cells import ALPHA, RULES, WEEKLY, Share
from bench.gate_loops import Plan, any_of, expected, mixed, no_better, one_gain, proposed_once, years


def year_of(plan: Plan, loops: int, seed: int) -> dict[str, Any]:
    """Loops over a year: promotions of what is no better, of what is, and what they gained."""
    parts = [years(np.random.default_rng([seed, part]), min(250, loops), plan) for part in range(-(-loops // 250))]
    found = {name: np.concatenate([getattr(part, name) for part in parts]) for name in parts[0]._fields}
    caught = found["promoted"] > found["false"]
    return {
        "false_a_year": expected(found["false"]),
        "any_false": Share.of(any_of(found["false"]))._asdict(),
        "promoted_a_year": float(found["promoted"].mean()),
        "caught": Share.of(caught)._asdict(),
        "gained": float(found["gained"].mean()),
        "naive_a_year": float(found["naive"].mean()),
        "calls": float(found["calls"].mean()),
        "median_week": float(np.median(found["first"][caught])) if caught.any() else None,
    }


def year_plans() -> Mapping[str, Plan]:
    nothing = {f"nothing is better, n = {n}": Plan(no_better, n=n) for n in (20, 40, 80, 160)}
    gains = {
        f"+0.10 from week 4 on, n = {n}, pool {pool}, carry {carry}": Plan(
            one_gain(0.10, 4), n=n, pool=pool, carry=carry, weeks=12
        )
        for n in (20, 40, 80)
        for pool, carry in ((0, 1), (4, 1), (0, 4), (4, 4))
    }
    once = {
        f"+0.10 proposed in week 4 alone, n = {n}, pool {pool}, carry {carry}": Plan(
            proposed_once(0.10, 4), n=n, pool=pool, carry=carry, weeks=9
        )
        for n in (20, 40, 80)
        for pool, carry in ((0, 1), (4, 1), (0, 4), (4, 4))
    }
    grows = {
        f"+0.10 from week 4 on, n = {n}, limit {limit}{', grows' * grow}": Plan(
            one_gain(0.10, 4), n=n, limit=limit, grows=grow, weeks=12
        )
        for n in (40, 80)
        for limit, grow in ((160, True), (320, False))
    }
    unpaid = {
        "nothing is better, n = 40, 0.05 each week": Plan(no_better, alpha=ALPHA),
        "nothing is better, n = 80, limit 160, grows": Plan(no_better, n=80, grows=True),
    }
    come_back = {
        f"nothing is better, four of each user, n = {n}, {how}": Plan(no_better, n=n, per_user=4, by_group=by_group)
        for n in (80, 160)
        for by_group, how in ((False, "each counts"), (True, "groups"))
    }
    return {
        **nothing,
        **come_back,
        **unpaid,
        **grows,
        **gains,
        **once,
        "a mixed year, n = 40": Plan(mixed),
        "a mixed year, n = 80": Plan(mixed, n=80),
    }


BUDGETS = (0.5, 0.35, 0.25, 0.15, 0.1, 0.05)
GAIN, MONTH = 0.08, 4


def frontier(loops: int, seed: int) -> dict[str, Any]:
    """By budget: false promotions a year, and how soon a gain that is proposed from week 4 on is in force."""
    result: dict[str, Any] = {}
    for number, budget in enumerate(BUDGETS):
        alpha = WEEKLY * budget / RULES.false_promotions_a_year
        for n in (40, 80):
            nothing = year_of(Plan(no_better, n=n, alpha=alpha), loops, seed + 10 * number)
            since = 4
            plan = Plan(one_gain(GAIN, since), n=n, alpha=alpha, weeks=since + 3 * MONTH)
            parts = [
                years(np.random.default_rng([seed + number, part]), min(250, loops), plan)
                for part in range(-(-loops // 250))
            ]
            first = np.concatenate([np.where(part.gained > GAIN / 2, part.first, np.inf) for part in parts])
            waited = first - since
            result[f"{budget}, n = {n}"] = {
                "false_a_year": nothing["false_a_year"],
                "within_a_month": Share.of(waited < MONTH)._asdict(),
                "median_weeks": float(np.median(waited)) + 1,
                "by_week": [float((waited <= week).mean()) for week in range(3 * MONTH)],
            }
    return result


def told(found: Mapping[str, Any]) -> list[str]:
    """The columns of one row."""
    mean, low, high = found["false_a_year"]
    return [
        f"false {mean:.2f} [{low:.2f}, {high:.2f}]",
        f"any {found['any_false']['share']:.2f}",
        f"caught {found['caught']['share']:.2f}, gained {found['gained']:+.3f}",
        f"median week {found['median_week']}",
        f"naive {found['naive_a_year']:.1f}",
    ]
