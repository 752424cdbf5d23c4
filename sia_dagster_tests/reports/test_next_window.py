"""The results on the next window's traffic: Markdown that traces cannot form, and the cumulative gain as a picture."""

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.next_window import NextWindowComparison, NextWindowResults
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.reports.figures.gain import MOST_LABELS, GainPoint, gain_plot, gain_points
from sia_dagster.reports.markdown.next_window_tables import next_window_markdown

START = datetime(2026, 9, 28, tzinfo=UTC)


def results_in(week: int = 0, **fields: Any) -> NextWindowResults:
    start = START + timedelta(weeks=week)
    window = TimeWindow(key=f"{start:%Y-%m-%d}", start=start, end=start + timedelta(weeks=1))
    return NextWindowResults.model_validate({"loop": "desk", "window": window, **fields})


def seen(**fields: Any) -> NextWindowComparison:
    known = {"evaluator": "correctness", "primary": True, "n": 23, "baseline_mean": 0.51, "candidate_mean": 0.42}
    return NextWindowComparison.model_validate(
        {**known, "difference": -0.09, "ci_low": -0.2, "ci_high": 0.02, **fields}
    )


def words(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter() if element.tag.endswith("text")]


def test_the_reason_the_numbers_and_the_command_stand_there() -> None:
    shown = next_window_markdown(
        results_in(
            comparisons=(
                seen(p_value=0.9),
                seen(evaluator="is_brief", primary=False, ci_low=None, ci_high=None, p_value=None),
            ),
            promised=0.2,
            cumulative_gain=0.31,
            cumulative_low=0.1,
            cumulative_high=0.5,
            rollback_to=0,
            reason="It falls short.",
        )
    )
    assert shown.startswith("It falls short\\.\n\n```sh\nsia policy rollback --loop desk --to 0\n```\n\n| evaluator |")
    assert (
        "| correctness (primary) | 23 | 0.51 | 0.42 | \N{MINUS SIGN}0.09 | [\N{MINUS SIGN}0.20, +0.02] | 0.90 |"
        in shown
    )
    assert "| is\\_brief | 23 | 0.51 | 0.42 | \N{MINUS SIGN}0.09 | too few | \N{EN DASH} |" in shown
    assert "Promised at least +0.20 at the verdict." in shown
    assert "31 % [10 %, 50 %] of the primary evaluator's range." in shown


def test_results_without_a_candidate_are_their_reason_alone() -> None:
    assert next_window_markdown(results_in(reason="Nothing was examined: no.")) == "Nothing was examined\\: no\\."


def test_the_picture_has_every_known_window_by_its_start() -> None:
    later, earlier = results_in(2, cumulative_gain=0.3, falls_short=True), results_in(0, cumulative_gain=0.0)
    points = gain_points([later, results_in(1), earlier])
    assert [(point.window, point.gain, point.falls_short) for point in points] == [
        ("2026-09-28", 0.0, False),
        ("2026-10-12", 0.3, True),
    ]
    picture = gain_plot(points)
    assert {"09-28", "10-12"} <= set(words(picture))
    assert picture.count('class="estimate"') == picture.count('class="short"') == 1
    assert "2026-10-12 30 %, and the candidate of the window before fell short" in picture
    assert "prefers-color-scheme:dark" in picture


def test_an_interval_is_drawn_where_it_is_known() -> None:
    known = results_in(0, cumulative_gain=0.1, cumulative_low=-0.1, cumulative_high=0.3)
    assert gain_plot(gain_points([known])).count('class="whisker"') == 1
    assert 'class="whisker"' not in gain_plot(gain_points([results_in(0, cumulative_gain=0.1)]))


def test_a_loop_without_results_has_a_picture_that_says_so() -> None:
    assert words(gain_plot(())) == ["No candidate was checked on a next window yet."]


def test_a_year_of_windows_names_no_more_than_fit() -> None:
    picture = gain_plot(gain_points([results_in(week, cumulative_gain=week / 100) for week in range(52)]))
    assert len([word for word in words(picture) if word[2:3] == "-" and word[0] in "01"]) <= MOST_LABELS
    assert picture.count('class="estimate"') == 52


def below(picture: str) -> list[str]:
    """What stands below the picture, place by place, lines joined."""
    found: dict[str, list[str]] = {}
    for element in ElementTree.fromstring(picture).iter():
        if element.tag.endswith("text") and element.get("text-anchor") == "middle":
            found.setdefault(element.attrib["x"], []).append(element.text or "")
    return [" ".join(lines) for lines in found.values()]


@pytest.mark.parametrize(
    ("step", "count", "first", "last"),
    [
        (timedelta(hours=1), 10, "09-28 00:00", "09-28 09:00"),
        (timedelta(hours=1), 40, "09-28 00:00", "09-29 12:00"),
        (timedelta(days=1), 13, "09-28", "10-10"),
        (timedelta(days=7), 13, "09-28", "12-21"),
        (timedelta(days=7), 60, "09-28 2026", "10-18 2027"),
        (timedelta(days=365), 4, "09-28 2026", "09-27 2029"),
        (timedelta(days=365, hours=1), 3, "09-28 00:00 2026", "09-27 02:00 2028"),
    ],
)
def test_windows_of_any_length_have_names_that_tell_them_apart(
    step: timedelta, count: int, first: str, last: str
) -> None:
    form = "%Y-%m-%d-%H:%M" if step % timedelta(days=1) else "%Y-%m-%d"
    starts = [START + step * n for n in range(count)]
    points = [GainPoint(window=f"{start:{form}}", gain=0.1) for start in starts]
    named = below(gain_plot(points))
    assert (named[0], named[-1]) == (first, last)
    assert len(set(named)) == len(named) <= MOST_LABELS
    assert max(len(line) for name in named for line in name.split()) <= len("09-28"), "wider ones would overlap"


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.text(max_size=40))
def test_whatever_the_numbers_and_names_the_picture_is_one(gains: list[float], key: str) -> None:
    window = TimeWindow(key=key, start=START, end=START + timedelta(weeks=1))
    results = [
        results_in(week, cumulative_gain=gain, cumulative_low=-1.0, cumulative_high=1.0)
        for week, gain in enumerate(gains)
    ]
    named = NextWindowResults(loop="desk", window=window, cumulative_gain=0.0)
    picture = gain_plot(gain_points([*results, named]))
    places = [float(c.attrib["cy"]) for c in ElementTree.fromstring(picture).iter() if c.tag.endswith("circle")]
    assert len(places) == len(gains) + 1
    assert all(34 <= place <= 240 for place in places)
