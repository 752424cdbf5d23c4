"""The HTML report: what a reader finds in it, and that untrusted text stays text."""

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome, ValidationReport
from sia_dagster.core.records.search import Candidate, Edit, PolicyUpdate
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.state import StateActions
from sia_dagster.reports.html.page import render_report
from sia_dagster_tests.worlds import report_cases as cases

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></textarea><svg onload=alert(1)>",
    "<a href='javascript:alert(1)'>click</a>",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- --><iframe src=//example.com></iframe>",
)
VOID = {"meta", "br", "img", "link", "line", "circle", "polygon"}


class Page(HTMLParser):
    """Reads a page: its tags, attributes, text, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag
        if tag in {"td", "th", "li", "dt", "dd", "p", "h1", "h2", "h3"}:
            self.text += " "

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def page(
    state: StateActions | None = None, update: PolicyUpdate | None = None, report: ValidationReport | None = None
) -> Page:
    return Page(render_report(state or cases.state(), update or cases.update(), report or cases.report()))


def attacked(text: str) -> Page:
    """A window whose every untrusted text is `text`."""
    policy = Actions(system_prompt=f"{text}\n{text}", model=text, parameters={text: text})
    edit = Edit(operation="replace", find=text, text=text, samples=(f"{4:016x}", text), why=text)
    candidate = Candidate(name=text, actions=policy, status="unusable", reasons=(text,), thoughts=text, edits=(edit,))
    annotation = EvalMetrics(name="correctness", label=text, score=0.0, explanation=text, source="platform")
    samples = [cases.sample(n, request=text, output=text) for n in range(1, 9)]
    annotated = tuple(sample.model_copy(update={"annotations": (annotation,)}) for sample in samples)
    state = cases.state().model_copy(update={"samples": annotated, "skipped": (text,)})
    update = cases.update().model_copy(
        update={"candidate": policy, "thoughts": text, "reason": text, "edits": (edit,), "candidates": (candidate,)}
    )
    arm = ArmOutcome(output=text, evals=(cases.judged("correctness", 1.0, text), cases.judged(text, None)))
    row = cases.row(1, 0.0, 1.0, request=text).model_copy(update={"span_id": text, "candidate": arm})
    failed = cases.row(2, None, 1.0).model_copy(update={"baseline": ArmOutcome(error=text)})
    report = cases.report().model_copy(update={"rows": (row, failed), "reasons": (text, text), "candidate": policy})
    return page(state, update, report)


def test_the_verdict_comes_first_with_its_reason_and_what_changed() -> None:
    text = page().text
    order = [
        "Accept",
        "correctness rose from 0.41 to 0.71",
        "What would change",
        "1 line added",
        "Scores",
        "System prompt",
    ]
    body = text[text.index("2026-09-28 00:00 up to") :]
    places = [body.index(part) for part in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("verdict", "needed", "sentence"),
    [
        ("accept", None, "sia policy promote --loop message_desk --window 2026-09-28 --by YOU"),
        ("reject", None, "The policy in force stays, and the next window starts from it again"),
        ("inconclusive", 240, "about 240 held-out conversations; this window had 58"),
        ("inconclusive", None, "More traffic may decide it."),
    ],
)
def test_every_verdict_says_what_to_do_next(verdict: str, needed: int | None, sentence: str) -> None:
    found = page(report=cases.report().model_copy(update={"verdict": verdict, "samples_needed": needed}))
    assert sentence in found.text
    assert verdict.capitalize() in found.text
    assert ("class", f"verdict {verdict}") in found.attributes


def test_scores_stand_in_a_table_with_their_intervals() -> None:
    text = " ".join(page().text.split())
    assert "correctness primary 58 (1 sample unscored)" in text
    assert "[+0.15, +0.41]" in text
    assert "each end holds with 95 % confidence" in text
    assert "a guardrail's whole bar has to lie right of it" in text


def test_edits_stand_with_the_samples_that_called_for_them() -> None:
    text = page().text
    start = text.index("Edits and the samples that motivate them")
    section = text[start : text.index("Candidates", start)]
    assert cases.ADDED in section
    assert "my order 4004 has not arrived" in section
    assert "The answer does not name the order number." in section
    assert "unknown-span" in section


def test_only_a_few_samples_are_shown_with_an_edit_and_the_others_named() -> None:
    many = cases.edits()[0].model_copy(update={"samples": tuple(f"{n:016x}" for n in range(1, 9))})
    text = page(update=cases.update().model_copy(update={"edits": (many,)})).text
    assert "my order 4001 has" in text
    assert f"Also: {5:016x} {6:016x}" in " ".join(text.split())


def test_candidates_show_how_far_they_came() -> None:
    text = " ".join(page().text.split())
    assert "candidate 2 stopped by the contract guard it holds a URL" in text
    assert "candidate 3 unusable answer the answer was cut off" in text
    assert "correctness +0.27 (22 conversations)" in text


def test_samples_are_grouped_by_what_happened_to_them() -> None:
    text = " ".join(page().text.split())
    for heading in (
        "Scored lower under the new policy 2 of 2",
        "Most improved 5 of 9",
        "Unchanged, lowest first 3 of 12",
        "Could not be compared 1 of 1",
    ):
        assert heading in text
    assert "not scored: the judge answered off its rails" in text


def test_a_window_in_which_nothing_got_worse_says_so() -> None:
    text = " ".join(page(report=cases.report().model_copy(update={"rows": (cases.row(1, 0.0, 1.0),)})).text.split())
    assert "Scored lower under the new policy 0 of 0 None." in text


def test_facts_and_spend_of_the_window_are_told() -> None:
    spend = {"evaluation simulated-judge": Spend(calls=1200, cost_usd=0.02), "search": Spend(calls=3, cost_usd=None)}
    text = " ".join(Page(render_report(cases.state(), cases.update(), cases.report(), spend=spend)).text.split())
    assert "holdout 20 20 the verdict rests on these alone" in text
    assert "97 %" in text
    assert "its input messages are no JSON" in text
    assert "evaluation simulated-judge 1,200" in text
    assert "Total 1,203 0 0 price unknown" in text


def test_many_skipped_spans_are_counted_and_not_all_listed() -> None:
    text = page(cases.state().model_copy(update={"skipped": tuple(f"span {n}" for n in range(60))})).text
    assert "and 10 more" in text
    assert "span 59" not in text


def test_simulated_models_are_called_so_and_others_are_not() -> None:
    assert "simulated-application" in page().text
    real = cases.OLD.model_copy(update={"model": "gpt-4o-mini"})
    state = cases.state().model_copy(update={"actions": real, "samples": ()})
    update = cases.update().model_copy(update={"candidate": real, "baseline": real})
    report = cases.report().model_copy(update={"baseline": real, "candidate": None})
    assert "imulated" not in page(state, update, report).text
    spend = {"judge simulated-judge": Spend()}
    assert "simulated-judge" in Page(render_report(state, update, report, spend=spend)).text


def test_an_empty_window_has_a_report() -> None:
    found = page(*cases.empty())
    text = " ".join(found.text.split())
    assert "Inconclusive the window has no samples: the policy stays" in text
    assert "the loop begins with the first window that has traffic" in text
    assert "Nothing was compared in this window." in text
    assert found.open == []


def test_a_report_without_reasons_tells_why_the_policy_stays() -> None:
    state, update, report = cases.empty()
    assert "the policy stays" in page(state, update, report.model_copy(update={"reasons": ()})).text
    update = update.model_copy(update={"reason": ""})
    assert "No reason was recorded." in page(state, update, report.model_copy(update={"reasons": ()})).text


def test_a_policy_that_stays_is_shown_unchanged() -> None:
    stays = PolicyUpdate(
        loop="message_desk",
        window=cases.WINDOW,
        baseline=cases.OLD,
        candidate=cases.OLD,
        reason="the policy stays: no candidate gained on the selection split",
    )
    report = cases.report().model_copy(update={"verdict": "inconclusive", "comparisons": (), "rows": ()})
    text = " ".join(page(update=stays, report=report).text.split())
    assert "Nothing: no candidate was chosen for validation" in text
    assert "System prompt Unchanged." in text
    assert "Nothing was replayed in this window." in text
    assert "Nothing to approve." in text


def test_changed_settings_are_shown_beside_the_prompt() -> None:
    new = cases.NEW.model_copy(update={"model": "simulated-large", "parameters": {"temperature": 0.9}})
    text = " ".join(page(update=cases.update().model_copy(update={"candidate": new})).text.split())
    assert "also changed: model from simulated-application to simulated-large, parameters" in text
    assert "Other settings" in text
    assert '"temperature": 0.9' in text


def test_a_promoted_policy_is_named_by_its_version() -> None:
    assert "version 4 of the registry" in page(cases.state().model_copy(update={"policy_version": 4})).text


def test_long_text_is_folded_and_capped() -> None:
    row = cases.row(1, 0.0, 1.0, request="word " * 30_000)
    html = render_report(cases.state(), cases.update(), cases.report().model_copy(update={"rows": (row,)}))
    assert "150,000 characters" in html
    assert "more characters are not shown" in html
    assert len(html) < 120_000


@pytest.mark.parametrize("attack", ATTACKS)
def test_untrusted_text_stays_text(attack: str) -> None:
    found, plain = attacked(attack), attacked("harmless")
    assert found.tags == plain.tags
    assert {name for name, _ in found.attributes} == {name for name, _ in plain.attributes}
    assert found.open == []
    assert attack in found.text


def test_hidden_characters_of_untrusted_text_are_written_out() -> None:
    html = render_report(*cases.empty())
    assert "\u202e" not in html
    assert "safe⟨U+202E⟩gpj.exe⟨U+0000⟩" in attacked("safe\u202egpj.exe\x00").text
    row = cases.row(1, 0.0, 1.0, request="half a character: \ud800")
    found = page(report=cases.report().model_copy(update={"rows": (row,)}))
    assert "half a character: ⟨U+D800⟩" in found.text
    found.text.encode()


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60))
def test_any_text_makes_a_whole_page_that_can_be_written(text: str) -> None:
    found = attacked(text)
    assert found.open == []
    found.text.encode()


def test_the_page_runs_no_script_and_asks_for_nothing_outside_itself() -> None:
    found = page()
    assert "script" not in found.tags
    assert not found.tags & {"img", "link", "iframe", "object", "embed", "form", "base"}
    outward = [v for name, v in found.attributes if name in {"src", "href", "action", "srcset"}]
    assert outward
    assert all((value or "").startswith("#") for value in outward)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]


def test_the_security_policy_allows_our_style_sheet_alone() -> None:
    html = render_report(cases.state(), cases.update(), cases.report())
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policies = [value or "" for name, value in Page(html).attributes if name == "content"]
    assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'" in policies


def test_links_inside_the_page_lead_somewhere() -> None:
    for found in (page(), page(*cases.empty())):
        ids = {value for name, value in found.attributes if name == "id"}
        links = {(value or "")[1:] for name, value in found.attributes if name == "href"}
        assert links <= ids


def test_the_same_window_gives_the_same_bytes() -> None:
    once = render_report(cases.state(), cases.update(), cases.report())
    assert once == render_report(cases.state(), cases.update(), cases.report())


def test_importing_the_report_does_not_load_the_template_engine() -> None:
    pages = "sia_dagster.reports.html.page, sia_dagster.reports.markdown.tables"
    code = f"import sys, {pages}; sys.exit('jinja2' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
