"""The gate's benchmark measures the gate: its windows are what they say, and its verdicts are those of the product."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bench.calibration import Simulation, collapse, graded, one_sample, passes
from bench.gate import above_level, looks, needed, no_difference, other_truths, stated_effect, table
from bench.gate_cells import ALPHA, LEVELS, RULES, WEEKLY, Scenario, Share, agree, collect, flip_p, scored
from bench.gate_groups import GROUPED, Traffic, copies, grouped, heavy_tail, of_four
from bench.gate_looks import Answers, Stopped, in_looks, looked_at, passes_twice
from bench.gate_loops import Plan, expected, mixed, no_better, one_gain, years
from bench.gate_not_worse import KINDS, asked, cheaper, models, not_worse
from bench.gate_not_worse import Traffic as BenchTraffic
from bench.gate_pool import kinds, pooled, post_stratified
from bench.gate_scenarios import five_candidates, guardrail, one_test, slices, three_evaluators
from bench.gate_skew import collapsing, skewed
from bench.gate_years import told, year_of, year_plans
from sia_dagster.core.gate.pooling import pool, weights_of
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Trial, analyse
from sia_dagster.core.records.gate import HeldOut
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster.core.statistics.intervals import sign_flip_p
from sia_dagster.core.traffic.groups import group_conversations
from sia_dagster_tests.core.gate.test_not_worse import cost
from sia_dagster_tests.core.gate.test_trial import UPDATE, row, trial
from sia_dagster_tests.worlds.evaluation_samples import sample
from sia_dagster_tests.worlds.search_world import CORRECTNESS, state_of
from sia_dagster_tests.worlds.search_world import sample as held_sample

WINDOWS = 500


LETTERS = "abcdefghij"


def share(scenario: Scenario, key: str, windows: int = WINDOWS) -> float:
    return float(collect(scenario, windows, 7)[key].mean())


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_week_of_the_default_budget_spends_a_fiftysecond_of_it() -> None:
    assert pytest.approx(RULES.false_promotions_a_year * 7 / 365.25) == WEEKLY


@pytest.mark.parametrize("users", [of_four, heavy_tail])
def test_groups_are_those_of_the_product(users: Any) -> None:
    traffic = Traffic(users(generator(), 30, 24), copies(generator(6), 30, 24))
    groups, kept = grouped(traffic)
    for window in range(30):
        requests = [f"About {LETTERS[asked // 10]} {LETTERS[asked % 10]}" for asked in traffic.requests[window]]
        asked = [
            sample(f"{place:02}").model_copy(
                update={
                    "span_id": f"{place:02}",
                    "conversation_id": f"{place:02}",
                    "user_id": f"user {user}",
                    "messages": (Message(role="user", content=requests[place]),),
                }
            )
            for place, user in enumerate(traffic.users[window])
        ]
        found = group_conversations(asked)
        assert [s.span_id for s in found.samples] == [f"{place:02}" for place in np.flatnonzero(kept[window])]
        units = [found.grouping.unit(s.conversation_id) for s in found.samples]
        same = [[one == other for other in units] for one in units]
        assert same == (groups[window][kept[window]][:, None] == groups[window][kept[window]]).tolist()


def test_people_who_come_back_are_no_strangers() -> None:
    crowd = collect(GROUPED["1 to 50 a user"](80), WINDOWS, 7)
    assert crowd["accept_05"].mean() <= 0.05
    assert crowd["each_05"].mean() > 0.1


@pytest.mark.parametrize("size", [8, 30])
def test_flips_are_those_of_the_product(size: int) -> None:
    differences = generator().normal(0.1, 0.4, (5, size))
    exact = [sign_flip_p(window, "any") for window in differences]
    assert flip_p(differences, generator()) == pytest.approx(exact, abs=0.02 if size > 13 else 1e-12)


def test_a_p_that_a_fine_level_turns_on_is_told_finer() -> None:
    differences = np.abs(generator().normal(0.5, 0.2, (3, 60)))
    assert flip_p(differences, generator()).max() == pytest.approx(1 / 100_000)


@pytest.mark.parametrize("simulate", [passes(0.7), passes(0.7, longest=5), graded, collapse])
@pytest.mark.parametrize("effect", [0.0, 0.3])
def test_verdicts_are_those_of_the_product(simulate: Simulation, effect: float) -> None:
    scores = simulate(generator(), (6, 30), effect)
    found = scored(scores, generator())
    for window in range(6):
        agree(scores, found, ALPHA, window=window)


def test_a_disagreement_with_the_product_is_told() -> None:
    scores = one_sample(np.zeros((1, 30)), np.full((1, 30), 0.8))
    wrong = scored(scores, generator())._replace(p=np.ones(1))
    with pytest.raises(AssertionError, match="the product"):
        agree(scores, wrong, ALPHA)


def test_equal_seeds_give_equal_windows() -> None:
    one, other = (collect(one_test(graded, 20), 60, 3) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert len(one["naive"]) == 60


def test_shares_come_with_an_exact_interval() -> None:
    found = Share.of(np.array([True] * 5 + [False] * 95))
    assert (found.share, found.windows) == (0.05, 100)
    assert (found.low, found.high) == pytest.approx((0.0164, 0.1128), abs=1e-4)
    assert found.told() == "0.0500 [0.0164, 0.1128]"


def test_nothing_changed_is_seldom_accepted_and_a_mean_goes_up_half_of_the_time() -> None:
    found = collect(one_test(passes(0.7), 60), 1000, 7)
    assert Share.of(found["accept_05"]).low <= ALPHA
    assert Share.of(found["accept_week"]).low <= WEEKLY
    assert found["naive"].mean() > 0.4
    assert found["accept_week"].sum() <= found["accept_05"].sum()


def test_a_gain_is_found_and_a_harm_is_not() -> None:
    assert share(one_test(passes(0.6), 80, 0.3), "accept_week") > 0.9
    assert share(one_test(passes(0.7), 80, -0.2), "accept_05") == 0
    assert share(one_test(passes(0.7), 80, -0.2), "reject_week") > 0.5


def test_a_guardrail_at_its_margin_seldom_passes_and_a_point_estimate_passes_often() -> None:
    assert share(guardrail(passes(0.7), 80, -0.05), "accept_05") < 0.1
    assert share(guardrail(passes(0.7), 80, -0.05), "naive") > 0.3
    assert share(guardrail(passes(0.95), 160, 0.1), "accept_05") > 0.9


def test_all_of_three_evaluators_must_hold() -> None:
    worlds = (passes(0.6), passes(0.9), graded)
    assert share(three_evaluators(160, worlds, (0.3, 0.08, 0.0)), "accept_week") > 0.85
    assert share(three_evaluators(120, worlds, (0.3, -0.3, 0.0)), "accept_week") == 0


def test_the_best_of_five_equals_is_no_better_on_a_holdout() -> None:
    assert share(five_candidates(40), "naive") > 0.7
    assert share(five_candidates(40), "accept_05") < 0.06


def test_a_slice_that_loses_is_named_and_others_are_not() -> None:
    assert share(slices(160, 0.4), "named", 100) > 0.8
    assert share(slices(160, 0.0), "accept_05", 200) < 0.09
    assert not share(slices(20, 0.0), "accept_05", 100), "too few for any slice"


def test_post_stratified_pooling_takes_away_the_bias_of_another_mix() -> None:
    found = collect(pooled(30, 4), 3000, 7)
    assert Share.of(found["accept_05"]).low <= ALPHA
    assert found["unweighted_05"].sum() > 1.3 * found["accept_05"].sum()
    assert share(pooled(30, 4, 0.2), "accept_week") > 2 * share(pooled(30, 4, 0.2), "alone_week")


def test_weights_are_those_of_the_product() -> None:
    first, own_share = kinds(generator(), 1, 40, 120)
    tags = ["one" if kind else "other" for kind in first[0]]
    own, earlier = tags[:40], tags[40:]
    rest = round(float(own_share[0]) * 120) - own.count("one")
    seen = ["one"] * rest + ["other"] * (80 - rest)
    held = pool(tagged("own", own), [("before", tagged("before", earlier))], tagged("seen", seen), limit=120)
    weights = weights_of(held, ids(held))
    found = {conversation_id: weights.get(conversation_id, 1.0) for conversation_id in ids(held)}
    expected_weights = post_stratified(first, own_share)[0]
    names = [f"own/{n}" for n in range(40)] + [f"before/{n}" for n in range(80)]
    assert [found[name] for name in names] == pytest.approx(list(expected_weights))


def ids(held: HeldOut) -> set[str]:
    return {one.conversation_id for one in held.samples}


def tagged(window: str, tags: list[str]) -> list[Sample]:
    """A conversation for each tag; numbers in letters, since digits are folded where near-duplicates are looked for."""
    spelled = ["".join(LETTERS[int(digit)] for digit in str(number)) for number in range(len(tags))]
    return [
        sample(
            span_id=f"{window}-{number}",
            conversation_id=f"{window}/{number}",
            tags=(tag,),
            messages=(Message(role="user", content=f"About {window} {word}, please: {word * 3} {window * 2}"),),
        )
        for number, (tag, word) in enumerate(zip(tags, spelled, strict=True))
    ]


def in_looks_at_once(differences: npt.NDArray[Any], looks: int) -> Stopped:
    return in_looks(Answers(differences, differences, np.ones(differences.shape)), ALPHA, generator(), looks)


def test_a_look_stops_where_it_is_clear_or_hopeless() -> None:
    for number, share_ in ((2, 0.5), (5, 0.25)):
        clear = in_looks_at_once(np.full((2, 60), 0.9), number)
        assert clear.accepted.all()
        assert clear.calls.tolist() == [share_, share_]
        hopeless = in_looks_at_once(np.tile([0.9, -0.9], (2, 30)), number)
        assert hopeless.futile.all()
        assert not hopeless.undecided.any()


@pytest.mark.parametrize("looks", [2, 5])
@pytest.mark.parametrize("size", [30, 60])
@pytest.mark.parametrize("effect", [-0.2, 0.0, 0.15, 0.3])
def test_looks_end_as_those_of_the_product(size: int, effect: float, looks: Any) -> None:
    answers = passes_twice(0.6)(generator(), (6, size), effect)
    found = in_looks(answers, ALPHA, generator(), looks)
    second = 2 * answers.twice - answers.once
    ended = [ended_in_the_product(pair, looks) for pair in zip(answers.once, second, strict=True)]
    names = ("accept", "futile", "undecided")
    told_here = zip(found.accepted, found.futile, found.undecided, found.calls, strict=True)
    assert [(*(word in names and word == said for said in names), share) for word, share in ended] == list(told_here)


def ended_in_the_product(answers: tuple[npt.NDArray[Any], npt.NDArray[Any]], looks: Any) -> tuple[str, float]:
    """How the last look that the product takes ends, and the calls by then as a share of asking all once."""
    size = len(answers[0])
    rule = ComparisonRule(alpha=ALPHA)
    tried, rules = trial(size), ValidationRules(rule=rule, looks=looks, max_conversations=size)
    for look, planned in enumerate(tried.looks(rules)):
        rows = [
            row(held, max(0.0, -answer[place]), max(0.0, answer[place])).model_copy(update={"repeat": repeat})
            for repeat, answer in list(enumerate(answers))[: planned.repeats]
            for place, held in enumerate(tried.holdout.samples[: len(planned.groups)])
        ]
        ended = analyse(tried, rows, [CORRECTNESS], rules=rules, look=look).taken.outcome
        if ended != "go_on":
            break
    return ended, len(rows) / size


@pytest.mark.parametrize(("size", "effect"), [(30, 0.0), (60, -0.2), (60, 0.0)])
def test_the_second_question_ends_as_in_the_product(size: int, effect: float) -> None:
    traffic = cheaper(models(0.9, 0.95), size, effect)(generator(), 5)
    slices_of = tuple(generator(number).random((5, size)) < 0.6 for number in (1, 2))
    traffic = traffic._replace(slices=slices_of)
    margin = 0.15
    found = in_looks(traffic.answers, ALPHA, generator(), 2, not_worse(traffic, margin))
    ended = [asked_of_the_product(traffic, window, margin) for window in range(5)]
    names = ("accept", "futile", "undecided")
    told_here = zip(found.accepted, found.futile, found.undecided, strict=True)
    assert [tuple(word == said for said in names) for word in ended] == [tuple(told) for told in told_here]


def asked_of_the_product(traffic: BenchTraffic, window: int, margin: float) -> str:
    """How the last look at one window ends in the product; its slices are tags."""
    size = len(traffic.old_cost[window])
    update = UPDATE.model_copy(update={"question": "not_worse"})
    samples = [
        held_sample(place, "holdout").model_copy(
            update={"tags": tuple(f"tag{n}" for n, each in enumerate(traffic.slices) if each[window][place])}
        )
        for place in range(size)
    ]
    held_out = HeldOut(samples=tuple(samples))
    tried = Trial(state=state_of(*samples), update=update, held_out=held_out)
    rules = ValidationRules(
        rule=ComparisonRule(alpha=ALPHA, guardrail_margin=margin), looks=2, slices=("tag",), max_conversations=size
    )
    for look, planned in enumerate(tried.looks(rules)):
        rows = []
        for place, held in enumerate(tried.holdout.samples[: len(planned.groups)]):
            answer = traffic.answers.once[window][place]
            costs = traffic.old_cost[window][place], traffic.new_cost[window][place]
            rows.append(cost(row(held, max(0.0, -answer), max(0.0, answer)), *map(float, costs)))
        ended = analyse(tried, rows, [CORRECTNESS], rules=rules, look=look).taken.outcome
        if ended != "go_on":
            break
    return ended


def test_the_second_question_errs_as_seldom_as_it_says_and_finds_what_is_as_good() -> None:
    lost = collect(asked(cheaper(KINDS["graded"], 120, -0.1), 0.1), 1000, 7)
    assert Share.of(lost["accept_05"]).low <= ALPHA
    assert Share.of(lost["accept_week"]).low <= WEEKLY
    assert lost["naive"].mean() > 0.4
    assert share(asked(cheaper(KINDS["graded"], 120, 0.0), 0.1), "accept_week") > 0.9
    assert share(asked(cheaper(KINDS["graded"], 120, 0.0, 1.0), 0.1), "accept_05") < 0.05, "it costs the same"


def test_the_looks_cost_less_where_it_is_clear_and_find_more_where_it_is_close() -> None:
    nothing = collect(looked_at(passes_twice(0.7), 80, 0.0, ALPHA), 1000, 7)
    assert Share.of(nothing["accept"]).low <= ALPHA
    assert nothing["accept calls"].mean() < 0.8
    clear = collect(looked_at(passes_twice(0.7), 80, 0.3, ALPHA), 500, 7)
    assert clear["accept calls"].mean() < 0.6
    close = collect(looked_at(passes_twice(0.7), 80, 0.1, WEEKLY), 1000, 7)
    assert close["accept"].mean() > 1.3 * close["plain"].mean()


def test_the_products_bound_keeps_the_level_where_others_do_not() -> None:
    found = collect(skewed(collapsing(0.04, 0.96), 160, 0.0), 2000, 7)
    assert Share.of(found["product, 05"]).low <= ALPHA
    assert Share.of(found["plus-two, 05"]).low > ALPHA
    assert found["betting, week"].sum() <= found["product, week"].sum()
    assert collect(skewed(collapsing(0.02, 1.0), 40, 0.0), 500, 7)["Hall alone, 05"].mean() > 0.2, "no loser was seen"


def test_a_year_without_a_better_candidate_stays_within_its_budget() -> None:
    found = years(generator(), 150, Plan(no_better, n=40))
    _, low, _ = expected(found.false)
    assert low <= RULES.false_promotions_a_year
    assert found.naive.mean() > 15
    assert (found.promoted == found.false).all()


def test_a_large_gain_is_promoted_in_its_week_and_stays() -> None:
    alone = years(generator(), 60, Plan(one_gain(0.3, 2), n=80, weeks=6, carry=1))
    assert (alone.first == 2).mean() > 0.9
    found = years(generator(), 60, Plan(one_gain(0.3, 2), n=80, weeks=6))
    assert (found.first >= 2).mean() > 0.9, "later than in its week where one that changes nothing was carried into it"
    assert found.gained.mean() == pytest.approx(0.28, abs=0.03), "the pass rate is cut at 0.98"


def test_carrying_and_pooling_find_more() -> None:
    plans = [Plan(one_gain(0.15, 4), n=30, pool=pool, carry=carry, weeks=8) for pool, carry in ((0, 1), (4, 4))]
    alone, all_of_it = (year_of(plan, 250, 3)["caught"]["share"] for plan in plans)
    assert all_of_it > alone + 0.3


def test_a_limit_that_grows_takes_in_the_windows_of_a_carried_candidate() -> None:
    plan = Plan(no_better, n=80, grows=True)
    assert [plan.back(tries) for tries in range(4)] == [2, 3, 4, 5]
    assert [Plan(no_better, n=80).back(tries) for tries in range(4)] == [2, 2, 2, 2]
    assert year_of(Plan(no_better, n=80, grows=True, weeks=6), 20, 3)["caught"]["share"] == 0


def test_harm_is_seldom_promoted_in_a_mixed_year() -> None:
    found = year_of(Plan(mixed, n=40, weeks=20), 100, 3)
    assert found["gained"] > 0.03
    assert told(found)[0].startswith("false ")
    assert found["median_week"] is not None


def test_every_row_runs_small_and_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    result = table({**no_difference(), **other_truths()}, 4, 1)
    assert {len(sizes) for sizes in result.values()} == {4}
    looked = looks(4, 40)
    kept = {"accept", "two", "plain", "accept futile", "naive", "calls"}
    assert set(looked["70 % pass, no effect, 05"]) == kept
    assert set(stated_effect(4)) == {"70 % pass", "graded", "clustered, up to 5 samples"}
    assert {"one look", "two looks", "the product's"} < set(needed(8, 0.15))
    said = capsys.readouterr().out
    assert "five candidates, n = 40" in said
    assert "conversations a window for +0.15" in said


def test_a_cell_above_its_level_is_named() -> None:
    cell: Mapping[str, Any] = {f"accept_{name}": {"low": alpha + 0.001} for name, alpha in LEVELS.items()}
    assert above_level({"any": {"20": cell}}) == ["any, n = 20, alpha 0.0500", f"any, n = 20, alpha {WEEKLY:.4f}"]
    assert above_level({"one at its margin": {"20": cell}}) == ["one at its margin, n = 20, alpha 0.0500"]


def test_plans_of_a_year_are_those_of_the_configuration() -> None:
    plans = year_plans()
    nothing = plans["nothing is better, n = 40"]
    assert (nothing.alpha, nothing.pool, nothing.carry, nothing.weeks) == (WEEKLY, 4, 4, 52)
    assert plans["nothing is better, n = 40, 0.05 each week"].alpha == ALPHA
