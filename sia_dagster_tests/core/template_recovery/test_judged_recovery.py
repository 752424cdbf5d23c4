"""Recovery on prompts of an independent generator: right, or refused."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.core.template_recovery import Template
from simulation.template_judge import CELLS, VERDICTS, Form, Slot, edited, judged, make, plain, verdict

Record = Callable[[str, object], None]
ONE_CALL = list(CELLS)[:7]
SEVERAL = ["conditional texts", "A/B, a sentence", "calls that share an introduction", "all mixed"]
EDITS = {
    "A/B, one to three words": (101, 103),
    "versions in turn, words": (111, 113),
    "a version in the last tenth": (101, 103),
}
"""Seeds by cell: without `divide`, or without the check for undecided texts, recovery merges one of the first four."""


def summary(found: Counter[str], windows: int) -> str:
    return f"{windows} windows; spans: " + ", ".join(f"{kind} {found[kind]}" for kind in VERDICTS)


def test_a_call_of_one_to_six_variables_comes_back_or_is_refused(record_property: Record) -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=20)
    @given(st.sampled_from(ONE_CALL), st.integers(0, 10**6), st.sampled_from([20, 50, 200]))
    def holds(cell: str, seed: int, spans: int) -> None:
        found = judged(make(cell, seed, spans))
        counts.update({**found, "windows": 1})
        assert found["wrong"] == 0

    holds()
    record_property("template recovery, one call", summary(counts, counts["windows"]))
    assert counts["windows"] >= 20
    assert counts["refused"] < 0.4 * counts.total()


def test_single_calls_of_200_spans_are_rarely_refused(record_property: Record) -> None:
    found = sum((judged(make("single template", seed, 200)) for seed in range(101, 121, 2)), Counter[str]())
    record_property("template recovery, 200 spans of one plain call", summary(found, 10))
    assert found["wrong"] == 0
    assert found["exact"] + found["same words"] + found["finer"] >= 0.85 * 2000


@pytest.mark.parametrize("cell", SEVERAL)
def test_calls_and_versions_are_not_merged(cell: str, record_property: Record) -> None:
    found = sum((judged(make(cell, seed, 100)) for seed in (103, 107)), Counter[str]())
    record_property(f"template recovery, {cell}", summary(found, 2))
    assert found["wrong"] == 0


@pytest.mark.parametrize("cell", EDITS)
def test_edits_of_a_few_words_are_seldom_merged(cell: str, record_property: Record) -> None:
    found = sum((judged(make(cell, seed, 200)) for seed in EDITS[cell]), Counter[str]())
    record_property(f"template recovery, {cell}", summary(found, 2))
    assert found["lost"] == 0
    assert found["wrong"] <= 50


def test_a_window_is_made_of_its_seed() -> None:
    first, again = (make("all mixed", 4, 60) for _ in range(2))
    assert [span.prompt for span in first.spans] == [span.prompt for span in again.spans]


def test_an_edit_changes_the_text() -> None:
    rng = np.random.default_rng(1)
    call = plain(rng)
    assert all(edited(rng, call, words=words).parts != call.parts for words in (0, 1, 2, 3) for _ in range(9))


def test_slots_that_touch_are_one_and_slots_of_one_name_have_one_value() -> None:
    name = Slot("name", lambda rng: str(rng.integers(10**9)))
    form = Form(0, 0, ("Dear ", name, name, ", bye ", name))
    assert form.fixed == ("Dear ", ", bye ", "")
    first, last = form.fill(np.random.default_rng(1)).removeprefix("Dear ").split(", bye ")
    assert first == last + last


@pytest.mark.parametrize(
    ("fixed", "judgement"),
    [
        (("Pay ", " now."), "exact"),
        (("Pay", " now"), "same words"),
        (("Pay EUR ", " now."), "finer"),
        (("", " now."), "coarser"),
    ],
)
def test_the_judge_tells_finer_from_coarser(fixed: tuple[str, ...], judgement: str) -> None:
    assert verdict(Template(fixed=fixed, names=("v",)), ("Pay ", " now.")) == judgement
