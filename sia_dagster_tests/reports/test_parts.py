"""What the reports are made of: diffs, sentences on changes, the order of samples, numbers for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.text import count
from sia_dagster.reports import changes, prompt_diff, sample_pairs, wording
from sia_dagster_tests.worlds import report_cases as cases

texts = st.text(st.sampled_from("ab \n."), max_size=60)


@given(texts, texts)
def test_each_side_of_a_diff_is_its_whole_text(old: str, new: str) -> None:
    rows = prompt_diff.diff_rows(old, new)
    left = ["".join(segment.text for segment in row.left) for row in rows if row.left is not None]
    right = ["".join(segment.text for segment in row.right) for row in rows if row.right is not None]
    assert "\n".join(left) == old
    assert "\n".join(right) == new


@given(texts, texts)
def test_only_unchanged_rows_are_folded_and_no_row_is_lost(old: str, new: str) -> None:
    rows = prompt_diff.diff_rows(old, new)
    stretches = prompt_diff.stretches(rows, context=1, shortest=2)
    assert tuple(row for stretch in stretches for row in stretch.rows) == rows
    assert all(row.kind == "same" for stretch in stretches if stretch.folded for row in stretch.rows)


def test_a_diff_marks_the_words_that_changed() -> None:
    (row,) = prompt_diff.diff_rows("Be kind and brief.", "Be calm and very brief.")
    assert row.right is not None
    assert row.left is not None
    assert [s.text for s in row.left if s.marked] == ["kind"]
    assert [s.text for s in row.right if s.marked] == ["calm", "very "]


def test_a_changed_phrase_is_marked_as_one() -> None:
    (row,) = prompt_diff.diff_rows(
        "Always answer: one two, dear customer.", "Always answer: three four, dear customer."
    )
    assert row.right is not None
    assert [s.text for s in row.right if s.marked] == ["three four"]


def test_a_line_is_paired_with_its_likest_version() -> None:
    rows = prompt_diff.diff_rows("Name the order.", "Speak French only, please, always.\nName the order number.")
    assert [row.kind for row in rows] == ["added", "changed"]


def test_lines_that_have_nothing_in_common_are_removed_and_added() -> None:
    assert [row.kind for row in prompt_diff.diff_rows("alpha beta", "gamma; delta!")] == ["removed", "added"]


def test_long_unchanged_stretches_are_folded() -> None:
    old = "\n".join(f"line {n}" for n in range(40))
    kinds = [(s.folded, len(s.rows)) for s in prompt_diff.stretches(prompt_diff.diff_rows(old, old + "\nnew"))]
    assert kinds == [(True, 37), (False, 4)]


def test_short_unchanged_stretches_between_changes_stay_open() -> None:
    old = "\n".join(f"line {n}" for n in range(12))
    new = old.replace("line 0\n", "first\n") + "\nlast"
    (stretch,) = prompt_diff.stretches(prompt_diff.diff_rows(old, new))
    assert not stretch.folded


def test_huge_prompts_are_compared_line_by_line() -> None:
    old = "\n".join(f"{n} alpha" for n in range(3000))
    rows = prompt_diff.diff_rows(old, old.replace("alpha", "beta") + "\nlast")
    assert prompt_diff.count_lines(rows) == (1, 3000, 0)
    words = "a b " * 2000
    (row,) = prompt_diff.diff_rows(words + "x", words + "x and more")
    assert row.left is not None
    assert row.left[0].marked
    assert [r.kind for r in prompt_diff.diff_rows(words + "x", "y" + words)] == ["removed", "added"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (None, None, "Nothing: there is no policy yet"),
        (None, Actions(), "This would be the first policy."),
        (Actions(model="a"), Actions(model="b"), "Changed: model from a to b."),
        (
            Actions(system_prompt="a\nb"),
            Actions(system_prompt="a"),
            "The system prompt: 1 line removed (3 to 1 characters)",
        ),
        (Actions(system_prompt="a"), Actions(system_prompt="a"), "Nothing: no candidate was chosen"),
    ],
)
def test_changes_are_said_in_a_sentence(old: Actions | None, new: Actions | None, sentence: str) -> None:
    assert changes.change_sentence(old, new).startswith(sentence)


def test_pairs_come_in_the_order_in_which_people_look() -> None:
    rows = [cases.row(1, 1.0, 0.5), cases.row(2, 1.0, 0.0), cases.row(3, 0.0, 0.0), cases.row(4, 1.0, 1.0)]
    found = sample_pairs.paired([*rows, cases.row(5, 0.0, 1.0), cases.row(6, None, 1.0)], "correctness")

    def spans(which: sample_pairs.Which) -> list[int]:
        return [int(pair.row.span_id, 16) for pair in sample_pairs.pick(found, which, 9)]

    assert spans("worst") == [2, 1, 3]
    assert spans("most_improved") == [5]
    assert spans("unchanged") == [3, 4]
    assert spans("unscored") == [6]


def test_samples_are_ordered_by_the_first_evaluator_where_none_decides() -> None:
    report = cases.report().model_copy(update={"comparisons": ()})
    assert sample_pairs.primary_name(report) == "correctness"
    assert sample_pairs.primary_name(report.model_copy(update={"rows": ()})) == ""


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (wording.number(0.5), "0.50"),
        (wording.number(-3.14159, 100.0), "\u22123"),
        (wording.number(0.123456, 0.01), "0.1235"),
        (wording.number(1.0, 0.0), "1.00"),
        (wording.number(None), "\u2013"),
        (wording.signed(0.0001), "0.00"),
        (wording.signed(-0.0001), "0.00"),
        (wording.signed(-0.25), "\u22120.25"),
        (wording.signed(float("nan")), "\u2013"),
        (wording.interval(None, 1.0), ""),
        (wording.p_value(None), "\u2013"),
        (wording.p_value(0.00001), "< 0.0001"),
        (wording.p_value(0.0004), "0.0004"),
        (wording.p_value(0.0123), "0.012"),
        (wording.p_value(0.5), "0.50"),
        (wording.share(0.974), "97 %"),
        (wording.share(0.005), "0.5 %"),
        (wording.share(1.0), "100 %"),
        (wording.share(0.9994), "99.9 %"),
        (wording.share(None), "\u2013"),
        (wording.usd(Spend(cost_usd=0.0)), "$0.00"),
        (wording.usd(Spend(cost_usd=0.0412)), "$0.0412"),
        (wording.usd(Spend(cost_usd=1234.5)), "$1,234.50"),
        (wording.usd(Spend(cost_usd=None)), "price unknown"),
        (count(0, "line"), "no lines"),
        (count(1, "line"), "1 line"),
        (wording.trimmed(" a\n b ", 9), "a b"),
        (wording.trimmed("abcdef", 4), "abc…"),
        (wording.visible("a\r\nb\rc"), "a\nb\nc"),
    ],
)
def test_numbers_and_texts_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected
