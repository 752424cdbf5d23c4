"""What the report says of a search: where each sentence is from, what it used, and what selection promised."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.cost import PromptLength
from sia_dagster.core.records.policy import SentenceOrigin
from sia_dagster.core.records.search import PolicyUpdate, RaceResult, StrategyRun
from sia_dagster.defs.verdicts import selection_metadata
from sia_dagster.reports import search_figures
from sia_dagster.reports.html.page import render_report
from sia_dagster.reports.markdown.search import gains_markdown, provenance_markdown
from sia_dagster.reports.provenance import effect, passages
from sia_dagster.reports.wording import NOTHING
from sia_dagster_tests.reports.test_markdown import ADDRESS, ATTACK, cells, kinds, shown
from sia_dagster_tests.reports.test_page import ATTACKS, Page
from sia_dagster_tests.worlds import report_cases as cases


def page(update: PolicyUpdate, looks: int = 0, lengths: tuple[PromptLength, ...] = ()) -> str:
    return render_report(cases.state(), update, cases.report(), looks=cases.chosen_before(looks), lengths=lengths)


def words(markup: str) -> str:
    return " ".join(Page(markup).text.split())


def test_each_sentence_that_the_loop_wrote_leads_to_a_note_on_what_it_rests_on() -> None:
    markup = page(cases.searched())
    marked = re.findall(r"<mark>([^<]*)</mark><sup><a href=\"#(origin-\d+)\">", markup)
    assert marked == [
        ("Answer in the language of the message.", "origin-1"),
        ("Keep it under 80 words and say by when something will happen.", "origin-2"),
        (cases.ADDED, "origin-3"),
    ]
    text = words(markup)
    assert "Window 2026-09-28, by edits: 3 of 4 samples mended; its race gained +0.041 of the range." in text
    assert "Cause: “The answer does not name the order number.”" in text
    assert "and 1 more" in text, "samples that are not named are counted"
    assert "Window 2026-09-07, by rewrite: not tried on samples; not raced." in text


def test_a_policy_that_stays_shows_where_its_sentences_are_from() -> None:
    before = cases.searched()
    origins = before.provenance[:1]
    stays = before.model_copy(update={"candidate": cases.OLD, "changed": False, "provenance": origins})
    assert "<mark>Answer in the language of the message.</mark>" in page(stays)


@given(st.text(alphabet=st.sampled_from("ab.! \n\r<&")), st.lists(st.sampled_from(["a.", "b", "a b.", "<a", "ab!"])))
def test_the_prompt_is_shown_whole_whatever_the_loop_wrote_of_it(prompt: str, texts: list[str]) -> None:
    origins = [SentenceOrigin(text=text, window="w") for text in dict.fromkeys(texts)]
    pieces = passages(prompt, origins)
    assert "".join(piece.text for piece in pieces) == prompt
    assert all(piece.text == origins[piece.note - 1].text for piece in pieces if piece.note)


def test_a_sentence_within_a_longer_one_is_not_marked() -> None:
    pieces = passages("Be kind. Never be kind.", [SentenceOrigin(text="be kind.", window="w")])
    assert [piece.note for piece in pieces] == [None]


def hostile(text: str) -> PolicyUpdate:
    """A search in which a model, a judge and a trace wrote `text`."""
    policy = cases.OLD.model_copy(update={"system_prompt": text})
    first = text.split("\n", maxsplit=1)[0].strip()
    origin = SentenceOrigin(text=first, window="w", strategy=text, samples=(text,), cause=text, probed=1, gain=0.1)
    race = RaceResult(decision="worse", objection=text)
    candidate = cases.searched().candidates[0].model_copy(update={"race": race, "strategy": text})
    run = StrategyRun(strategy=text, calls={"propose": 1}, ended=text)
    return cases.searched().model_copy(
        update={"candidate": policy, "provenance": (origin,), "strategies": (run,), "candidates": (candidate,)}
    )


@pytest.mark.parametrize("attack", ATTACKS)
def test_untrusted_text_of_a_search_stays_text(attack: str) -> None:
    markup = page(hostile(attack))
    read = Page(markup)
    assert not read.tags & {"script", "img", "iframe", "object", "textarea"}
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    links = [value or "" for name, value in read.attributes if name in {"href", "src"}]
    assert all(link.startswith("#") for link in links)
    assert attack.split("\n")[0] in html.unescape(read.text)


def test_untrusted_text_of_a_search_stays_text_in_markdown() -> None:
    markup = provenance_markdown(hostile(ATTACK).provenance)
    assert not kinds(markup) & {"link_open", "image", "html_inline", "html_block", "code_inline", "em_open", "s_open"}
    assert len(cells(markup)) == 1
    assert not ADDRESS.search(markup.replace("\\", ""))
    assert "[a](http:" in shown(markup).replace("\N{WORD JOINER}", "")


def test_strategies_stand_with_their_answers_by_purpose_cost_and_end() -> None:
    edits, few_shot = search_figures.strategy_rows(cases.searched())
    assert edits == ("edits", "4", "31", "56", "91", "$0.0312", "+0.041", "no cause is worth a further call")
    assert few_shot[1:7] == ("0", "0", "12", "12", "price unknown", NOTHING)
    assert search_figures.search_cost(cases.searched().strategies) is None, "a part of the cost is no cost"
    text = words(page(cases.searched()))
    assert "edits 4 31 56 91 $0.0312 +0.041 no cause is worth a further call" in text
    assert "Race lost: \N{MINUS SIGN}0.012 of the range (shrunk; standard error 0.030) on 9 groups." in text


def test_the_gain_on_selection_stands_beside_the_gain_on_the_holdout_window_by_window() -> None:
    looks = cases.chosen_before(2)
    pairs = search_figures.gain_pairs(cases.searched(), cases.report(), looks)
    assert search_figures.gain_rows(pairs) == (
        ("2026-09-14", "+0.060", "+0.100", "+0.040"),
        ("2026-09-21", "+0.060", "+0.100", "+0.040"),
        ("2026-09-28", "+0.041", "+0.270", "+0.293"),
    )
    told = search_figures.gain_sentence(pairs)
    assert "winner's curse" in told
    assert "On average of 3 windows it was +0.157 of the range as observed on selection, and +0.124 on" in told
    assert told in words(page(cases.searched(), looks=2))
    assert cells(gains_markdown(cases.searched(), cases.report(), looks).split("\n\n")[0])[-1][0] == "2026-09-28"


def test_windows_that_chose_nothing_are_left_out_and_later_ones_are_not_known_yet() -> None:
    (look,) = cases.chosen_before(1)
    carried, own = look.model_copy(update={"selected": None}), look.model_copy(update={"window": cases.WINDOW})
    cheaper = look.model_copy(update={"question": "not_worse"})
    stays = cases.update().model_copy(update={"candidates": ()})
    assert search_figures.gain_pairs(stays, cases.report(), (carried, own, cheaper)) == ()
    assert "No window has chosen" in gains_markdown(stays, cases.report(), (carried,))
    many = search_figures.gain_pairs(stays, cases.report(), cases.chosen_before(20))
    assert len(search_figures.gain_rows(many)) == search_figures.SHOWN
    assert search_figures.gain_sentence(many).endswith("8 earlier windows are not shown.")


def test_the_prompts_length_is_shown_by_version_with_its_price() -> None:
    lengths = tuple(PromptLength(version=n, tokens=100 + n, usd_a_week=n / 10 or None) for n in range(15))
    candidate = PromptLength(version=None, tokens=1_234, usd_a_week=2.5)
    rows = search_figures.length_rows((*lengths, candidate))
    assert rows[0] == ("before any promotion", "100", NOTHING)
    assert rows[-2:] == (("version 14", "114", "$1.40"), ("candidate", "1,234", "$2.50"))
    assert len(rows) == search_figures.SHOWN
    text = words(page(cases.searched(), lengths=(*lengths, candidate)))
    assert "candidate 1,234 $2.50" in text
    assert "4 versions between are not shown." in text


def test_an_effect_that_was_not_measured_is_not_claimed() -> None:
    assert effect(SentenceOrigin(text="x", window="w")) == "not tried on samples; not raced"
    assert provenance_markdown(()) == "The loop wrote no sentence of this prompt."
    assert search_figures.race_sentence(RaceResult(decision="too_small")).startswith("Not raced")


def test_metadata_plots_the_gain_on_selection_beside_the_gain_on_the_holdout() -> None:
    shown = selection_metadata(cases.searched(), cases.report(), cases.chosen_before(1))
    numbers = {name: value for name, value in shown.items() if isinstance(value, float)}
    assert numbers == {"selection_gain_shrunk": 0.041, "selection_gain_observed": 0.27, "holdout_gain": 0.293}
    assert "2026\\-09\\-21" in shown["gain_on_selection"].value
    nothing = selection_metadata(cases.update().model_copy(update={"candidates": ()}), cases.report(), ())
    assert list(nothing) == ["gain_on_selection"], "an unknown number is no number"
