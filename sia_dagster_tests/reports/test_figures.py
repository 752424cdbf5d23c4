"""The report's pictures: what they draw, where, and that no text can leave its place."""

import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.reports.figures import svg
from sia_dagster.reports.figures.scores import LEFT, RIGHT, ScoreLevels, forest_plot, scores_plot
from sia_dagster_tests.worlds import report_cases as cases

SVG = "{http://www.w3.org/2000/svg}"
finite = st.floats(-1, 1, allow_nan=False)


def read(picture: str) -> ET.Element:
    return ET.fromstring(picture)


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in read(picture).iter(f"{SVG}text")]


def of_class(picture: str, name: str) -> list[dict[str, str]]:
    return [dict(e.attrib) for e in read(picture).iter() if e.get("class") == name]


def test_forest_plot_shows_every_evaluator_with_numbers_in_its_own_units() -> None:
    shown = texts(forest_plot(cases.comparisons(), min_effect=0.02, margin=0.1))
    assert {"correctness", "is_brief", "tone"} <= set(shown)
    assert "+0.29" in shown
    assert "[\u22120.05, +0.42]" in shown
    assert "primary, 58 conversations" in shown


def test_forest_plot_places_differences_on_one_axis_as_shares_of_each_range() -> None:
    one = EvaluatorComparison(evaluator="a", n=9, difference=0.1, ci_low=0.0, ci_high=0.2)
    same = EvaluatorComparison(evaluator="b", n=9, difference=0.4, ci_low=0.0, ci_high=0.8, scale=4.0)
    dots = of_class(forest_plot((one, same)), "estimate")
    assert dots[0]["cx"] == dots[1]["cx"]


def test_forest_plot_reads_from_worse_on_the_left_to_better_on_the_right() -> None:
    picture = forest_plot(cases.comparisons())
    (zero,) = of_class(picture, "zero")
    gain, loss, _ = of_class(picture, "estimate")
    assert float(loss["cx"]) < float(zero["x1"]) < float(gain["cx"])


def test_marks_stand_at_the_gain_asked_for_and_at_the_margin_of_guardrails() -> None:
    picture = forest_plot(cases.comparisons(), min_effect=0.05, margin=0.1)
    (zero,) = of_class(picture, "zero")
    primary, *guardrails = of_class(picture, "mark")
    right = float(primary["x1"]) - float(zero["x1"])
    assert [float(zero["x1"]) - float(mark["x1"]) for mark in guardrails] == pytest.approx([2 * right] * 2, abs=0.2)


def test_no_mark_is_drawn_that_was_not_recorded() -> None:
    assert of_class(forest_plot(cases.comparisons()), "mark") == []


def test_too_few_conversations_show_a_dot_without_an_interval() -> None:
    few = EvaluatorComparison(evaluator="correctness", role="primary", n=3, difference=0.3)
    picture = forest_plot((few,))
    assert "too few conversations to test" in texts(picture)
    assert of_class(picture, "whisker") == []
    assert len(of_class(picture, "estimate")) == 1


def test_an_evaluator_that_compared_nothing_says_so() -> None:
    picture = forest_plot((EvaluatorComparison(evaluator="correctness"),))
    assert "not compared" in texts(picture)
    assert of_class(picture, "estimate") == []


def test_pictures_without_rows_say_so_and_stay_valid() -> None:
    assert texts(forest_plot(())) == ["Nothing was compared in this window."]
    assert texts(scores_plot(())) == ["No evaluator scored this window."]


@pytest.mark.parametrize("picture", [forest_plot(cases.comparisons()), scores_plot([ScoreLevels(evaluator="x")])])
def test_pictures_carry_a_title_that_their_label_points_to(picture: str) -> None:
    root = read(picture)
    title = root.find(f"{SVG}title")
    assert root.get("role") == "img"
    assert title is not None
    assert title.get("id") == root.get("aria-labelledby")
    assert title.text


def test_the_title_tells_the_differences_to_who_cannot_see_them() -> None:
    title = read(forest_plot(cases.comparisons())).find(f"{SVG}title")
    assert title is not None
    assert "correctness: +0.29, interval [+0.15, +0.41]" in (title.text or "")


def test_levels_lie_between_worst_and_best_of_each_range() -> None:
    worst = ScoreLevels(evaluator="tone", low=1, high=5, logged=1, old=1, new=5, scored=3, samples=4)
    picture = scores_plot([worst])
    (old,), (new,) = of_class(picture, "old"), of_class(picture, "estimate")
    assert (float(old["cx"]), float(new["cx"])) == (LEFT, RIGHT)
    assert "1.00 → 5.00" in texts(picture)
    assert "3 of 4 scored" in texts(picture)


def test_levels_without_a_replay_show_the_logged_mean_alone() -> None:
    picture = scores_plot([ScoreLevels(evaluator="correctness", logged=0.5, scored=2, samples=2)])
    assert "0.50" in texts(picture)
    assert len(of_class(picture, "logged")) == 1
    assert of_class(picture, "old") == of_class(picture, "whisker") == []


def test_levels_that_are_no_numbers_or_have_no_range_are_not_drawn() -> None:
    picture = scores_plot(
        [
            ScoreLevels(evaluator="a", logged=math.nan),
            ScoreLevels(evaluator="b", low=1, high=1, logged=1),
            ScoreLevels(evaluator="c"),
        ]
    )
    assert of_class(picture, "logged") == []


@pytest.mark.parametrize("text", ["</text><script>alert(1)</script>", '"><image href="x"/>', "&lt;b&gt;", "\x00\u202e"])
def test_untrusted_names_cannot_leave_their_place(text: str) -> None:
    for picture in (forest_plot((EvaluatorComparison(evaluator=text),)), scores_plot([ScoreLevels(evaluator=text)])):
        tags = {element.tag.removeprefix(SVG) for element in read(picture).iter()}
        assert tags <= {"svg", "title", "g", "text", "line", "circle", "polygon"}
        assert not re.search("[\x00\u202e]", picture)


@given(st.lists(finite, max_size=12))
def test_an_axis_holds_zero_and_every_value_between_round_ends(values: list[float]) -> None:
    scale = svg.axis(values, 100, 500)
    assert scale.low == scale.ticks[0] <= min([0.0, *values])
    assert scale.high == scale.ticks[-1] >= max([0.0, *values])
    assert 0.0 in scale.ticks
    assert 2 <= len(scale.ticks) <= 12
    assert all(100 <= scale.x(value) <= 500 for value in [*values, -9.0, 9.0])


def test_an_axis_leaves_out_what_is_no_number() -> None:
    scale = svg.axis([math.nan, math.inf, 0.5], 0, 1)
    assert math.isfinite(scale.high)


@given(st.lists(st.tuples(finite, finite, finite), max_size=5), st.floats(0, 1), st.none() | st.floats(0, 1))
def test_any_comparisons_make_valid_pictures_the_same_every_time(
    rows: list[tuple[float, float, float]], min_effect: float, margin: float | None
) -> None:
    compared = [
        EvaluatorComparison(evaluator=f"e{i}", n=9, difference=d, ci_low=min(a, b), ci_high=max(a, b))
        for i, (d, a, b) in enumerate(rows)
    ]
    picture = forest_plot(compared, min_effect=min_effect, margin=margin)
    assert read(picture).tag == f"{SVG}svg"
    assert "nan" not in picture
    assert picture == forest_plot(compared, min_effect=min_effect, margin=margin)
