"""The report's first lines: everything that the person who decides must know, and nothing that is not known."""

import re
from datetime import timedelta

import pytest

from sia_dagster.core.records.gate import Carried, ErrorBudget, InterimAnalysis, PooledWindow, TrafficCost
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import Edit, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.reports.figures.gate_plots import budget_plot, noise_plot
from sia_dagster.reports.html.gate_tables import budget_sentence, gate_tables
from sia_dagster.reports.html.page import render_report
from sia_dagster.reports.limitations import limitations
from sia_dagster.reports.summary import SummaryPart, decision_summary, edit_sentences, summary_markdown
from sia_dagster.reports.wording import confidence, dollars, share
from sia_dagster_tests.reports.test_page import ATTACKS, Page
from sia_dagster_tests.worlds import gate_cases as gate
from sia_dagster_tests.worlds import report_cases as cases
from sia_dagster_tests.worlds.verdicts import SAVED


def shown_parts(
    report: ValidationReport, state: StateActions | None = None, update: PolicyUpdate | None = None
) -> dict[str, str]:
    """Each part's sentences by its heading."""
    parts = decision_summary(state or gate.state(), update or cases.update(), report)
    return {part.term: " ".join(part.sentences) for part in parts}


def changed(**changes: object) -> ValidationReport:
    return gate.report().model_copy(update=changes)


def text_of(report: ValidationReport) -> str:
    page = Page(render_report(gate.state(), cases.update(), report, looks=gate.looks()))
    assert page.open == []
    return " ".join(page.text.split())


def test_the_first_lines_answer_in_the_order_in_which_one_decides() -> None:
    parts = decision_summary(gate.state(), cases.update(), gate.report())
    terms = ["What would change", "For whom", "What it gains", "What it costs", "Not shown", "What to do"]
    assert [part.term for part in parts] == terms
    text = text_of(gate.report())
    places = [text.index(term) for term in terms]
    assert places == sorted(places)
    assert places[-1] < text.index("Both policies answered the same held-out requests")


def test_what_would_change_is_said_in_words() -> None:
    change = shown_parts(gate.report())["What would change"]
    assert change.startswith("The system prompt: 1 line added, 1 line changed")
    assert f"Added: “{cases.ADDED}” Why: Most failures say that the order number is missing." in change
    assert "“Keep it short.” becomes “Keep it under 80 words" in change


def test_many_edits_are_counted_and_a_deletion_is_called_so() -> None:
    edits = tuple(Edit(operation="delete", find=f"line {n}") for n in range(5))
    assert edit_sentences(edits)[0] == "Deleted: “line 0”."
    assert edit_sentences(edits)[-1] == "And 2 more edits, below."
    assert len(edit_sentences(edits)) == 4


def test_for_whom_names_calls_conversations_and_parts() -> None:
    whom = shown_parts(gate.report())["For whom"]
    assert "About 12,400 calls a week; the policy in force produced 97 % of the window's samples." in whom
    assert "Compared on 58 held-out conversations, 23 of them from 2 earlier windows." in whom
    assert "Shown not to lose: language en (66 % of the conversations)." in whom
    lost = changed(slices=(gate.part("tag", "vip", "loses", gate.compared(20, -0.2, -0.3, -0.1)),), repeats=3)
    whom = shown_parts(lost, cases.state())["For whom"]
    assert "Shown to lose: tag vip (34 % of the conversations)." in whom
    assert "each replayed 3 times" in whom
    assert "calls a week" not in whom


def test_a_decision_that_came_early_or_from_an_earlier_window_says_so() -> None:
    early = InterimAnalysis(conversations=29, alpha=0.0003, p_value=0.0001, outcome="accept")
    report = changed(interim_analyses=(early,), carried=Carried(window="2026-09-14", times=2))
    whom = shown_parts(report)["For whom"]
    assert "58 held-out conversations, 23 of them from 2 earlier windows; 29 of them were enough to decide." in whom
    assert "The candidate is from window 2026-09-14; 2 windows before left it undecided." in whom
    assert "accepted; the rest was not replayed" in text_of(report)


def test_a_candidate_that_was_given_up_at_the_first_look_was_not_decided_on() -> None:
    given_up = InterimAnalysis(conversations=29, alpha=0.0003, p_value=0.7, outcome="futile")
    whom = shown_parts(changed(interim_analyses=(given_up,), verdict="inconclusive"))["For whom"]
    assert "from 2 earlier windows; 29 of them were enough to stop for futility." in whom


def test_requests_to_another_model_are_no_answers_of_that_model() -> None:
    parts = (
        gate.part("model", "large", "holds", gate.compared(20, 0.1, 0.02, 0.2)),
        gate.part("model", "small", "too_few", gate.compared(4, None)),
    )
    report = changed(slices=parts)
    assert "Shown not to lose: requests to large (34 % of the conversations)." in shown_parts(report)["For whom"]
    assert "requests to small (4 conversations)" in " ".join(limitations(gate.state(), report))


def test_a_window_without_a_candidate_has_nothing_to_decide() -> None:
    none = changed(candidate=None, verdict="inconclusive", samples_needed=1_017, comparisons=())
    update = cases.update().model_copy(update={"changed": False})
    assert shown_parts(none, update=update)["What to do"] == "The policy in force stays. Nothing to approve."


def test_the_gain_is_what_is_promised_at_least() -> None:
    gains = shown_parts(gate.report())["What it gains"]
    assert "correctness: from 0.41 to 0.71 (+0.29); it promises at least +0.15, with 99 % confidence." in gains
    assert "Of 24 answers, 9 scored higher, 2 lower, 12 the same; 1 without a score." in gains
    assert (
        "is_brief: from 1.00 to 0.98 (\u22120.02), a guardrail: at worst \u22120.06, and \u22120.10 is allowed."
        in gains
    )


def as_good(**changes: object) -> ValidationReport:
    """The window of a candidate that was to be as good for less money."""
    primary, *others = gate.report().comparisons
    levels = {"difference": -0.02, "candidate_mean": 0.39, "ci_low": -0.04, "ci_high": 0.01, "margin": 0.05}
    asked = {"question": "not_worse", "saving": SAVED, "comparisons": (primary.model_copy(update=levels), *others)}
    return changed(**(asked | changes))


def test_what_is_as_good_says_what_it_saves_and_keeps() -> None:
    parts = shown_parts(as_good())
    assert "What it gains" not in parts
    kept = parts["What it saves, and keeps"]
    assert "1,000 calls cost $0.90 → $0.30: it saves at least 60 %, with 99 % confidence (67 % observed)." in kept
    assert "(\u22120.02), the primary evaluator: at worst \u22120.04, and \u22120.05 is allowed." in kept
    assert "is_brief: from 1.00 to 0.98 (\u22120.02), a guardrail: at worst" in kept
    page = text_of(as_good())
    assert "each evaluator's whole bar has to lie right of it, the primary one's too" in page
    assert "As good for less money" in page
    assert "has to gain" not in page
    assert "As good for less money" not in text_of(gate.report())


@pytest.mark.parametrize(
    ("saving", "sentence"),
    [
        (None, "Whether it costs less is not known"),
        ({"low": -0.1}, "the interval of what it saves is \u221210 % to 72 %, so no saving is shown"),
        ({"low": None, "high": None}, "too few conversations to distinguish it from chance"),
        (
            {"unit": "tokens", "baseline": 300, "candidate": 100},
            "A call takes 300 → 100 tokens, and a price is missing",
        ),
    ],
)
def test_a_saving_that_is_not_shown_is_not_claimed(saving: dict[str, object] | None, sentence: str) -> None:
    found = None if saving is None else SAVED.model_copy(update=saving)
    assert sentence in shown_parts(as_good(saving=found))["What it saves, and keeps"]


def test_what_the_primary_evaluator_may_have_lost_is_named() -> None:
    primary, *others = as_good().comparisons
    open_ = as_good(comparisons=(primary.model_copy(update={"ci_low": -0.12}), *others))
    hidden = " ".join(limitations(gate.state(), open_))
    assert "That correctness keeps its level: it may have fallen by \u22120.12." in hidden


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (-0.4, -0.1, "it is worse: at best \u22120.10"),
        (-0.1, 0.2, "the interval is \u22120.10 to +0.20, so no gain is shown"),
        (None, None, "too few conversations to distinguish it from chance"),
    ],
)
def test_without_a_gain_it_says_what_there_is(low: float | None, high: float | None, sentence: str) -> None:
    primary, *rest = gate.report().comparisons
    seen = primary.model_copy(update={"ci_low": low, "ci_high": high, "alpha": None})
    assert sentence in shown_parts(changed(comparisons=(seen, *rest)))["What it gains"]


def test_guardrails_say_how_they_stand() -> None:
    primary, brief_, tone = gate.report().comparisons
    falls = brief_.model_copy(update={"ci_low": -0.2})
    safety = tone.model_copy(update={"role": "safety", "fallen": ("s1",)})
    bare = brief_.model_copy(update={"evaluator": "bare", "ci_low": None, "ci_high": None, "margin": None})
    unsampled = safety.model_copy(update={"evaluator": "empty", "samples": 0})
    report = changed(comparisons=(primary, falls, safety, bare, unsampled), guardrail_margin=0.05)
    gains = shown_parts(report)["What it gains"]
    assert "a guardrail: a fall beyond the allowed \u22120.10 is not excluded" in gains
    assert "a safety evaluator: 1 sample scored lower" in gains
    assert "a guardrail." in gains
    assert "safety 1 sample lower" in text_of(report)


def test_nothing_compared_is_nothing_known() -> None:
    report = changed(comparisons=(), rows=(), slices=())
    found = shown_parts(report)
    assert found["What it gains"] == "Nothing was compared, so no gain is known."
    assert "Not shown" not in found


def test_what_it_costs_is_a_week_at_this_traffic() -> None:
    assert shown_parts(gate.report())["What it costs"] == (
        "About $0.13 a week more ($0.87 → $1.00), at 12,400 calls a week; a call reads 212 → 251 tokens and writes "
        "64 → 71."
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (20.0, 12.5, "About $7.50 a week less ($20.00 → $12.50)"),
        (3.0, 3.0, "The same ($3.00 → $3.00)"),
        (3.0, 3.004, "Less than a cent a week more ($3.00 → $3.00)"),
        (None, 3.0, "In USD it is not known, since a price is missing; at 12,400 calls"),
    ],
)
def test_a_cost_that_falls_stays_or_is_unknown(old: float | None, new: float, sentence: str) -> None:
    cost: TrafficCost = gate.COST.model_copy(update={"baseline_usd": old, "candidate_usd": new})
    assert shown_parts(changed(cost=cost))["What it costs"].startswith(sentence)


def test_a_cost_that_was_not_counted_is_not_guessed() -> None:
    assert shown_parts(changed(cost=None))["What it costs"].startswith("Not known")


def test_what_is_not_shown_is_named() -> None:
    hidden = shown_parts(gate.report())["Not shown"]
    for sentence in (
        "these parts of the traffic do not lose: language de (20 conversations)",
        "too few conversations: length long (7 conversations), tag vip (3 conversations)",
        "one that occurs in fewer than 5 % of conversations may not have occurred in any of these 58",
        "That tone judges as before",
        "That people agree with tone",
        "earlier windows that were left out: 2026-09-07 (its traffic differs)",
    ):
        assert sentence in hidden
    assert "correctness judges as before" not in hidden


def test_models_that_no_replay_asked_are_named() -> None:
    state, report = gate.state(), gate.report()
    assert not any("both policies were replayed" in sentence for sentence in limitations(state, report))
    asked = report.candidate.model if report.candidate else ""
    alias = [s.model_copy(update={"model": "alias", "answered_by": asked}) for s in state.samples]
    both = limitations(state.model_copy(update={"samples": alias}), report)
    assert not any("both policies were replayed" in sentence for sentence in both)
    half = len(state.samples) // 2
    samples = [s.model_copy(update={"model": "large"}) if n < half else s for n, s in enumerate(state.samples)]
    (sentence,) = [s for s in limitations(state.model_copy(update={"samples": samples}), report) if "large" in s]
    assert sentence == (
        f"How it performs with large, which produced {share(half / len(samples))} of the window's samples: both "
        "policies were replayed with simulated-application only."
    )
    other = report.candidate.model_copy(update={"model": "large"}) if report.candidate else None
    changed_model = limitations(
        state.model_copy(update={"samples": samples}), report.model_copy(update={"candidate": other})
    )
    assert not any("both policies were replayed" in sentence for sentence in changed_model)


def test_a_window_of_an_earlier_version_hides_nothing_that_it_did_not_look_at() -> None:
    hidden = " ".join(limitations(cases.state(), cases.report()))
    assert "Whether a part of the traffic loses: no part was compared by itself." in hidden
    assert "no answer was generated or judged a second time" in hidden
    assert "That correctness and tone judge as before" in hidden


def test_guardrails_probes_and_noise_that_leave_a_doubt_are_named() -> None:
    primary, brief_, tone = gate.report().comparisons
    doubted = (
        primary,
        brief_.model_copy(update={"ci_low": -0.2}),
        tone.model_copy(update={"ci_low": None, "n": 3}),
        tone.model_copy(update={"evaluator": "safe", "role": "safety"}),
    )
    biased = gate.STEADY.model_copy(
        update={"probes": tuple(p.model_copy(update={"biased": True}) for p in gate.STEADY.probes)}
    )
    moved = gate.NOISE[0].model_copy(update={"ci_low": 0.01, "mean_difference": 0.06})
    again = gate.NOISE[1].model_copy(update={"ci_high": -0.01, "mean_difference": -0.02})
    hidden = " ".join(limitations(gate.state(), changed(comparisons=doubted, watch=(biased,), noise=(moved, again))))
    assert "That is_brief keeps its level: it may have fallen by \u22120.20." in hidden
    assert "That tone keeps its level: only 3 conversations scored." in hidden
    assert "correctness is fair: its scores depend on the order of its labels and an answer's length" in hidden
    assert "Why correctness changed by +0.06 when one policy answered the same requests a second time." in hidden
    assert "Why correctness changed by \u22120.02 when the same answers were judged a second time." in hidden
    assert "safe keeps" not in hidden


def test_a_window_that_knows_more_says_less() -> None:
    judges = (gate.STEADY, gate.STEADY.model_copy(update={"evaluator": "tone"}))
    primary = gate.compared(0, None)
    hidden = " ".join(limitations(gate.state(), changed(watch=judges, comparisons=(primary,), rows=())))
    assert "as before" not in hidden
    assert "people agree" not in hidden
    assert "A rare harm" not in hidden
    assert "scored higher" not in shown_parts(changed(rows=()))["What it gains"]


def test_a_judge_that_could_not_be_watched_is_not_called_steady() -> None:
    unseen = gate.STEADY.model_copy(update={"shift": None, "ci_low": None, "ci_high": None, "reason": "no score"})
    (row,) = gate_tables(changed(watch=(unseen,)), ()).judges
    assert row[1] == "could not be watched"
    hidden = " ".join(limitations(gate.state(), changed(watch=(unseen,))))
    assert f"That {unseen.evaluator} judges as before: too many anchors got no score in this window." in hidden


def test_many_parts_without_a_finding_are_counted() -> None:
    parts = tuple(gate.part("tag", f"t{n}", "too_few", gate.compared(2, None)) for n in range(9))
    assert "tag t5 (2 conversations), 3 more." in " ".join(limitations(gate.state(), changed(slices=parts)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"verdict": "reject"}, "Nothing. The policy in force stays, and the next window starts from it again."),
        (
            {"verdict": "inconclusive", "carries_on": True, "samples_needed": 190},
            "the next window tries the candidate again. To decide, it would take about 190 held-out conversations",
        ),
        ({"verdict": "inconclusive", "carries_on": True}, "the next window tries the candidate again."),
        ({"verdict": "inconclusive"}, "More traffic may decide it."),
    ],
)
def test_what_to_do_where_nothing_is_to_be_approved(changes: dict[str, object], sentence: str) -> None:
    parts = decision_summary(gate.state(), cases.update(), changed(**changes))
    assert sentence in " ".join(parts[-1].sentences)
    assert parts[-1].commands == ()


def test_what_to_read_before_deciding_is_there_to_be_read() -> None:
    assert shown_parts(gate.report())["What to do"].startswith(
        "Read the samples that scored lower, then approve or reject"
    )
    better = changed(rows=(cases.row(1, 0.0, 1.0),))
    assert shown_parts(better)["What to do"].startswith("No sample scored lower: read the changed prompt, then approve")


def test_the_commands_are_whole() -> None:
    last: SummaryPart = decision_summary(gate.state(), cases.update(), gate.report())[-1]
    assert last.commands == (
        "sia policy promote --loop message_desk --window 2026-09-28 --by YOU",
        "sia policy reject --loop message_desk --window 2026-09-28 --by YOU --note WHY",
    )


def test_a_policy_that_stays_says_why_and_asks_for_nothing() -> None:
    state, update, report = cases.empty()
    assert [part.term for part in decision_summary(state, update, report)] == ["What would change", "What to do"]
    other = update.model_copy(update={"reason": "no candidate gained"})
    assert shown_parts(report, state, other)["Why"] == "no candidate gained"


def test_the_summary_in_the_ui_says_the_same_as_markdown() -> None:
    summary = summary_markdown(gate.state(), cases.update(), gate.report())
    assert summary.startswith("**Accept.** correctness rose")
    assert "- **What it gains:** correctness" in summary
    assert "  - `sia policy promote --loop message_desk --window 2026-09-28 --by YOU`" in summary
    state, update, report = cases.empty()
    assert summary_markdown(state, update, report.model_copy(update={"reasons": ()})).startswith(
        "**Inconclusive.** the window"
    )


@pytest.mark.parametrize("attack", [*ATTACKS, "**bold** [link](http://example.com) `x`"])
def test_untrusted_text_in_the_first_lines_stays_text(attack: str) -> None:
    edit = Edit(operation="add", text=attack, why=attack)
    update = cases.update().model_copy(update={"edits": (edit,)})
    pooled = (PooledWindow(window="2026-09-07", conversations=1, used=0, reason=attack),)
    report = changed(pooled=pooled, reasons=(attack,), watch=(gate.STEADY.model_copy(update={"reason": attack}),))
    page, plain = (Page(render_report(gate.state(), u, report)) for u in (update, cases.update()))
    assert page.open == []
    assert page.tags == plain.tags
    assert attack in page.text
    summary = summary_markdown(gate.state(), update, report)
    assert not re.search(r"(?<!\\)[<\[]", summary)


def test_the_evidence_stands_below_the_scores() -> None:
    text = text_of(gate.report())
    for sentence in (
        "1 29 0.0003 0.006 93 % continued",
        "2 58 0.0095 0.0004 \u2013 accepted",
        "2026-09-14 12 9 11 % the limit is reached",
        "language de 20 34 % 0.41 0.45 +0.04 [\u22120.21, +0.27] not shown either way",
        "correctness steady 30 of window 2026-07-06 \u22120.02 [\u22120.08, +0.04] 7 % / 5 % 0.71",
        "tone not watched none",
        "The gain is known to within ±0.13; the same policy replayed twice, means agree to within ±0.10",
        "This window's verdict spent 0.0096 of the 0.5 false promotions a year",
        "each end holds with 95 % or 99 % confidence (the higher one is the primary evaluator's)",
    ):
        assert sentence in text


def test_a_window_without_the_full_gate_shows_no_empty_tables() -> None:
    html = render_report(cases.state(), cases.update(), cases.report())
    for heading in ("Looks", "Earlier windows", "Gain and noise", "Parts of the traffic", "Error budget"):
        assert f"<h3>{heading}</h3>" not in html
    assert "each end holds with 95 % confidence" in " ".join(Page(html).text.split())


def test_rows_of_earlier_windows_are_marked() -> None:
    row = cases.row(1, 0.0, 1.0).model_copy(update={"window": "2026-09-14"})
    assert "from window 2026-09-14" in text_of(changed(rows=(row,)))


def test_a_judge_that_drifted_says_for_how_long() -> None:
    drifted = gate.STEADY.model_copy(update={"drifted": True, "since": ("2026-09-21", "2026-09-28")})
    biased = drifted.probes[1].model_copy(update={"biased": True})
    text = text_of(changed(watch=(drifted.model_copy(update={"probes": (biased,)}),)))
    assert "drifted, 2 windows" in text
    assert "verbosity +0.02 (biased)" in text


def test_noise_is_drawn_beside_the_gain_on_one_axis() -> None:
    primary = gate.report().comparisons[0]
    figure = noise_plot(primary, gate.NOISE)
    assert figure.count("<g>") == 3
    assert all(words in figure for words in ("the gain", "policy replayed twice", "answers judged twice"))
    assert all(numbers in figure for numbers in ("+0.29 [+0.15, +0.41]", "20 conversations"))
    bare = gate.NOISE[0].model_copy(update={"ci_low": None, "ci_high": None, "mean_difference": None})
    assert noise_plot(primary, (bare,)).count("<g>") == 2
    other = gate.NOISE[0].model_copy(update={"evaluator": "tone"})
    assert noise_plot(primary, (other,)).count("<g>") == 1


def test_noise_that_could_not_be_bounded_says_nothing_of_its_width() -> None:
    unbounded = gate.NOISE[0].model_copy(update={"ci_low": None})
    primary = gate.report().comparisons[0].model_copy(update={"ci_low": None, "ci_high": None})
    found = gate_tables(changed(comparisons=(primary,), noise=(unbounded,)), ())
    assert found.noise_sentence == ""
    assert found.noise[0][:3] == ("correctness", "same policy replayed twice", "20")


def points(figure: str) -> list[tuple[float, float]]:
    found = re.search(r'<polyline points="([^"]*)"', figure)
    assert found
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found[1].split())]


def test_what_is_left_of_the_budget_falls_with_every_look() -> None:
    budget = ErrorBudget(false_promotions_a_year=0.5, alpha=0.0096, spent=0.0096, left=0.3)
    figure = budget_plot(budget, cases.WINDOW, gate.looks())
    line = points(figure)
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert [y for _, y in line] == sorted(y for _, y in line)
    assert figure.count("<circle") == len(gate.looks()) + 1
    assert figure.count('class="estimate"') == 1
    assert "0.3 left" in figure
    assert "0.3 of 0.5 false promotions a year are left" in figure


def test_a_loops_first_look_has_a_picture_too() -> None:
    budget = ErrorBudget(false_promotions_a_year=0.5, alpha=0.0096, spent=0.0096, left=0.4904)
    line = points(budget_plot(budget, cases.WINDOW, ()))
    assert line[0][0] < line[-1][0]
    assert line[0][1] < line[-1][1]


def test_the_windows_own_look_and_later_ones_are_not_counted_twice() -> None:
    budget = ErrorBudget(false_promotions_a_year=0.5, alpha=0.0096, spent=0.0096, left=0.3)
    own = gate.looks(1)[0].model_copy(update={"window": cases.WINDOW, "verdict": "accept"})
    after = TimeWindow(key="later", start=cases.WINDOW.end, end=cases.WINDOW.end + timedelta(weeks=1))
    later = own.model_copy(update={"window": after})
    assert budget_plot(budget, cases.WINDOW, (own, later)).count("<circle") == 1
    assert budget_plot(budget, cases.WINDOW, (own,)).count('class="estimate"') == 1


def test_a_window_that_spent_nothing_says_so() -> None:
    nothing = ErrorBudget(false_promotions_a_year=0.5, alpha=0.0096, spent=0.0, left=0.5)
    assert budget_sentence(nothing).startswith("This window spent nothing of the 0.5 false promotions")


@pytest.mark.parametrize(
    ("alpha", "text"), [(0.05, "95 %"), (0.0096, "99 %"), (0.001, "99.9 %"), (0.0003, "99.97 %"), (0.005, "99.5 %")]
)
def test_a_level_is_told_as_confidence(alpha: float, text: str) -> None:
    assert confidence(alpha) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0.0, "$0.00"), (0.13, "$0.13"), (1234.5, "$1,234.50"), (0.0042, "$0.0042")]
)
def test_amounts_are_told_in_cents(amount: float, text: str) -> None:
    assert dollars(amount) == text
