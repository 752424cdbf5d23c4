"""Every sentence that the loop wrote knows its window, samples, cause and effect, and keeps them from then on."""

from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.gate import Carried, Look
from sia_dagster.core.records.policy import Actions, SentenceOrigin
from sia_dagster.core.records.search import Candidate, Edit, RaceResult, StrategyRun
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search.carried import carry_on
from sia_dagster.core.search.provenance import provenance_of
from sia_dagster.core.search.rules import SearchRules
from sia_dagster.core.search.search_policy import concluded
from sia_dagster.core.text import sentences
from sia_dagster_tests.worlds.search_world import ASK_FOR_ORDER, BASELINE, PROMPT, WINDOW, state

BRIEF, DATED = "Use at most 40 words.", "Say by when."
ORDER = Edit(
    operation="add", text=ASK_FOR_ORDER, samples=("train-01", "train-02"), cause="no order", probed=4, mended=3
)
SHORT = Edit(operation="add", text=f"{BRIEF} {DATED}", samples=("train-05",), cause="too long", probed=2, mended=2)


def with_prompt(prompt: str) -> Actions:
    return BASELINE.model_copy(update={"system_prompt": prompt})


def step(name: str, prompt: str, *edits: Edit, gain: float | None, strategy: str = "edits") -> Candidate:
    race = RaceResult(decision="too_small" if gain is None else "better", groups=12, mean=gain or 0.0)
    actions = with_prompt(prompt)
    return Candidate(name=name, actions=actions, status="not_chosen", edits=edits, strategy=strategy, race=race)


FIRST = step("edits-1", f"{PROMPT}\n{ASK_FOR_ORDER}", ORDER, gain=0.2)
SECOND = step("edits-2", f"{PROMPT}\n{ASK_FOR_ORDER}\n{BRIEF} {DATED}", ORDER, SHORT, gain=0.03)


def found(*candidates: Candidate, before: StateActions | None = None) -> tuple[SentenceOrigin, ...]:
    """Of a search that chose the first of these."""
    return provenance_of(before or state(), candidates, candidates[0])


def test_a_sentence_knows_its_window_samples_cause_effect_and_the_race_that_adopted_it() -> None:
    order, brief, dated = found(SECOND, FIRST)
    assert order == SentenceOrigin(
        text=ASK_FOR_ORDER,
        window=WINDOW.key,
        strategy="edits",
        samples=("train-01", "train-02"),
        cause="no order",
        probed=4,
        mended=3,
        gain=0.2,
    )
    assert [each.text for each in (brief, dated)] == [BRIEF, DATED], "an edit of two sentences has two origins"
    assert {(each.cause, each.mended, each.gain) for each in (brief, dated)} == {("too long", 2, 0.03)}


def test_sentences_of_the_person_who_wrote_the_policy_have_no_origin() -> None:
    repeated = ORDER.model_copy(update={"operation": "replace", "find": "Be polite.", "text": f"Be polite. {BRIEF}"})
    (origin,) = found(step("edits-1", f"{PROMPT} {BRIEF}", repeated, gain=0.1))
    assert origin.text == BRIEF, "the edit repeats a sentence that stood there before"


def test_an_earlier_window_s_sentence_keeps_its_origin_while_it_stands() -> None:
    old = SentenceOrigin(text=ASK_FOR_ORDER, window="2026-09-21", cause="no order", gain=0.2)
    gone = SentenceOrigin(text="Be glad.", window="2026-09-14")
    now = with_prompt(f"{PROMPT}\n{ASK_FOR_ORDER}\nBe glad.")
    before = state().model_copy(update={"actions": now, "provenance": (old, gone)})
    kept, new = found(step("edits-1", f"{PROMPT}\n{ASK_FOR_ORDER}\n{BRIEF}", SHORT, gain=0.1), before=before)
    assert kept == old
    assert (new.text, new.window) == (BRIEF, WINDOW.key)
    assert concluded(before, "the policy stays: nothing found", ()).provenance == (old, gone)


def test_a_sentence_that_an_edit_changed_in_part_is_the_loop_s_from_then_on() -> None:
    part = Edit(operation="replace", find="polite", text="polite and calm", samples=("train-03",), cause="harsh")
    (origin,) = found(step("edits-1", PROMPT.replace("polite", "polite and calm"), part, gain=None))
    assert (origin.text, origin.cause, origin.samples) == ("Be polite and calm.", "harsh", ("train-03",))
    assert origin.gain is None, "nothing was compared"


def test_what_another_strategy_wrote_first_stays_its_own() -> None:
    anew = step("rewrite-1", f"{PROMPT}\n{DATED}", gain=0.3, strategy="rewrite")
    last = step("edits-1", f"{PROMPT}\n{DATED}\n{ASK_FOR_ORDER}", ORDER, gain=0.1)
    written, edited = provenance_of(state(), (anew, last), last)
    assert (written.strategy, written.cause, written.samples, written.gain) == ("rewrite", "", (), 0.3)
    assert (edited.strategy, edited.cause) == ("edits", "no order")


def test_a_carried_candidate_keeps_what_the_window_that_found_it_recorded() -> None:
    origins, earlier = found(FIRST), WINDOW.model_copy(update={"key": "2026-09-21"})
    undecided = Look(
        loop="desk",
        window=earlier,
        at=WINDOW.start,
        fingerprint="e",
        result="r",
        alpha_spent=0.0096,
        verdict="inconclusive",
        baseline=BASELINE,
        candidate=FIRST.actions,
        provenance=origins,
    )
    update = carry_on(state(), (undecided, Carried(window="2026-09-21", times=1)), SearchRules())
    assert update.changed
    assert update.provenance == origins
    assert update.selected is None, "this window's selection split chose nothing"


@given(st.text(alphabet=st.sampled_from('ab.!? \n\r\t。"<1')), st.text(alphabet=st.sampled_from("ab.!? \n<")))
def test_every_sentence_that_is_new_has_exactly_one_origin(old: str, new: str) -> None:
    before = state().model_copy(update={"actions": with_prompt(old)})
    texts = [origin.text for origin in found(step("edits-1", new, gain=None), before=before)]
    wanted = dict.fromkeys(text for _, text in sentences(new) if text not in {text for _, text in sentences(old)})
    assert texts == list(wanted)


def test_the_gain_on_selection_is_of_all_races_that_led_to_the_candidate() -> None:
    rated = EvaluatorComparison(evaluator="stars", role="primary", n=20, difference=1.0, scale=4.0)
    chosen = SECOND.model_copy(update={"status": "chosen", "selection": (rated,)})
    runs = (
        StrategyRun(strategy="edits", gain=0.12),
        StrategyRun(strategy="few_shot"),
        StrategyRun(strategy="x", gain=0.05),
    )
    update = concluded(state(), "it won", (chosen,), chosen).model_copy(update={"strategies": runs})
    assert update.selected is not None
    assert (update.selected.observed, update.selected.shrunk, update.selected.scale) == (0.25, 0.17, 4.0)
