"""Markdown for the Dagster UI: read back with a real parser, so that escaping is what the reader's side makes of it."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from sia_dagster.core.records.policy import Actions, Example
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.records.search import Candidate, Edit, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.reports.markdown import tables as markdown
from sia_dagster.reports.sample_pairs import Which
from sia_dagster.reports.wording import escape, visible
from sia_dagster_tests.worlds import report_cases as cases

ATTACK = (
    "<b>x</b> [a](http://example.com) ![i](//example.com/x.png) www.example.com me@example.com "
    "| a | `c` ~~s~~ *e* &lt; https://example.com <http://example.com> [r][1]"
)
PLAIN = {"inline", "text", "softbreak"}
ADDRESS = re.compile(r"https?://|(?i:www)\.|[-.\w+]@[-\w]", re.ASCII)
"""What the UI's dialect links even in text that is escaped."""


def parsed(text: str) -> list[Token]:
    found: list[Token] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        found += [token, *(token.children or [])]
    return found


def kinds(text: str) -> set[str]:
    return {token.type for token in parsed(text)}


def shown(text: str) -> str:
    return "".join(t.content for t in parsed(text) if t.type == "text").replace("\N{WORD JOINER}", "")


def cells(table: str) -> list[list[str]]:
    """The rows of a table as text, without its head; fails if it is not one table."""
    tokens = MarkdownIt("commonmark").enable(["table"]).parse(table)
    assert [t.type for t in tokens].count("table_open") == 1
    rows: list[list[str]] = []
    for token, inline in itertools.pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "td_open":
            rows[-1].append("".join(child.content for child in inline.children or []).replace("\N{WORD JOINER}", ""))
    return rows[1:]


def hostile_row() -> ValidationRow:
    row = cases.row(1, 1.0, 0.0, request=ATTACK)
    candidate = cases.arm(0.0, ATTACK, f"{ATTACK}\n\n# heading\n```\n")
    return row.model_copy(update={"span_id": ATTACK[:40], "candidate": candidate})


@given(st.text(max_size=80))
@example(ATTACK)
@example("# a\n- b\n1. c\n> d\n```\ne")
@example("a\\| b \\\\| c")
@example("WWW.example.com http:http://a.b x@y.z@w.v")
def test_escaped_text_is_plain_text_that_reads_the_same(text: str) -> None:
    line = f"said {escape(text)}"
    assert kinds(line) <= PLAIN | {"paragraph_open", "paragraph_close", "text_special"}
    assert shown(line).split() == ["said", *visible(text).split()]
    inner = "".join(t.content for t in parsed(line) if t.type == "text")
    assert not ADDRESS.search(inner)


@given(st.text(max_size=40), st.text(max_size=40))
@example("a|b", "\\")
@example("`", "`|`")
def test_escaped_text_stays_in_its_cell(left: str, right: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| x{escape(left)} | x{escape(right)} |"
    ((first, second),) = cells(table)
    assert first.split() == f"x{' '.join(visible(left).split())}".split()
    assert second.split() == f"x{' '.join(visible(right).split())}".split()


@given(st.text(st.sampled_from("`~ab\n -+"), max_size=60))
def test_fenced_text_cannot_leave_its_fence(text: str) -> None:
    tokens = parsed(markdown.fenced(text))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content == visible(text) + "\n"


@given(st.text(st.sampled_from("`ab\n.! "), max_size=60), st.text(st.sampled_from("`ab\n.! "), max_size=60))
def test_a_prompt_diff_is_one_block(old: str, new: str) -> None:
    found = [token.type for token in parsed(markdown.prompt_diff_markdown(old, new)) if token.type != "text"]
    assert found in (["fence"], ["paragraph_open", "inline", "paragraph_close", "fence"]) or not (old or new)


def test_a_prompt_diff_shows_what_was_added_and_removed() -> None:
    lines = markdown.prompt_diff_markdown(cases.OLD.system_prompt, cases.NEW.system_prompt).split("\n")
    assert lines[0] == "```diff"
    assert f"+{cases.ADDED}" in lines
    assert "-Answer in the language of the message. Keep it short." in lines
    assert " - Gift cards hold for three years." in lines


def test_a_long_line_is_compared_sentence_by_sentence() -> None:
    old = "First sentence stands. " * 8 + "Be polite."
    diff = markdown.prompt_diff_markdown(old, old + " Name the order.")
    assert [line for line in diff.split("\n") if line.startswith(("+", "-"))] == ["+Name the order."]


def test_a_long_prompt_shows_only_the_surroundings_of_a_change() -> None:
    old = "\n".join(f"line {n}" for n in range(60))
    diff = markdown.prompt_diff_markdown(old, old.replace("line 9\n", "line nine\n").replace("line 50", "line fifty"))
    assert "line 30" not in diff
    assert diff.split("\n").count(" …") == 2
    assert "+line nine" in diff


def test_prompts_that_differ_only_in_where_lines_break_show_no_change() -> None:
    long = "One sentence that is rather long and goes on for quite some time, so that it counts. " * 2 + "End."
    diff = markdown.prompt_diff_markdown(long, "\n".join(s.strip() for s in re.split(r"(?<=\.) ", long)))
    assert not [line for line in diff.split("\n") if line.startswith(("+", "-"))]


def test_an_unchanged_prompt_is_shown_as_it_is() -> None:
    assert markdown.prompt_diff_markdown("a", "a") == "Unchanged.\n\n```text\na\n```"
    assert markdown.prompt_diff_markdown("", "") == "Unchanged: there is no system prompt."


def test_comparisons_stand_in_a_table_in_their_own_units() -> None:
    first, *_, tone = cells(markdown.comparison_table(cases.report()))
    assert first[:5] == ["correctness", "primary", "58 (1 sample unscored)", "0.41", "0.71"]
    assert first[5:] == ["+0.29 [+0.15, +0.41]", "0.0004", "+0.12"]
    assert tone[5] == "+0.20 [\u22120.05, +0.42]"
    assert "Nothing was compared" in markdown.comparison_table(cases.empty()[2])


def test_a_smallest_gain_that_cannot_be_gained_is_said_beside_it() -> None:
    report = cases.report()
    primary, *others = report.comparisons
    small = primary.model_copy(update={"alpha": 0.05, "high": 1.0, "minimum_detectable_effect": 0.62})
    shown_as, *rest = cells(markdown.comparison_table(report.model_copy(update={"comparisons": (small, *others)})))
    assert shown_as[7] == "+0.62 (more than can be gained)"
    assert not any("gained" in row[7] for row in rest)


def test_samples_that_lost_come_first_in_the_table_of_the_worst() -> None:
    rows = cells(markdown.samples_table(cases.report().rows, "correctness", which="worst", limit=3))
    assert [row[1] for row in rows] == ["1.00 → 0.00", "1.00 → 0.00", "0.00 → 0.00"]
    assert rows[0][5] == "The answer does not name the order number."
    improved = cells(markdown.samples_table(cases.report().rows, "correctness", which="most_improved"))
    assert [row[1] for row in improved] == ["0.00 → 1.00"] * 5


def test_a_table_without_samples_says_so() -> None:
    assert markdown.samples_table((), "is_brief", which="most_improved") == r"No sample is most improved by is\_brief."
    assert markdown.logged_samples_table((), "x") == "No logged output has a score by x."


def test_an_arm_without_output_shows_its_error() -> None:
    failed = ArmOutcome(error="the endpoint answered 500 five times")
    row = cases.row(1, 1.0, 0.0).model_copy(update={"candidate": failed})
    ((*_, output, why),) = cells(markdown.samples_table((row,), "correctness", which="unscored"))
    assert output == why == "the endpoint answered 500 five times"


def test_logged_outputs_that_scored_lowest_come_first() -> None:
    rows = cells(markdown.logged_samples_table(cases.state().samples, "correctness", limit=27))
    assert [row[1] for row in rows].count("0.00") == 27
    assert rows[0][0] == f"{1:016x}"
    assert rows[0][4] == "The answer does not name the order number."


def test_edits_show_what_they_do_and_who_called_for_them() -> None:
    edits = (*cases.edits(), Edit(operation="delete", find="x\ny"), Edit(operation="add", find="here", text="new"))
    text = markdown.edits_markdown(cases.update().model_copy(update={"edits": edits}))
    fences = [token.content for token in parsed(text) if token.type == "fence"]
    assert fences == [
        f"+{cases.ADDED}\n",
        "-Keep it short.\n+Keep it under 80 words and say by when something will happen.\n",
        "-x\n-y\n",
        " here\n+new\n",
    ]
    assert "Motivated by 0000000000000004" in text
    assert markdown.edits_markdown(cases.empty()[1]) == "No edits."


def test_candidates_show_how_far_they_came_and_why() -> None:
    first, second, third = cells(markdown.candidates_markdown(cases.update()))
    assert first[1:3] == ["chosen for validation", "correctness +0.27, is_brief 0.00"]
    assert second[1] == "stopped by the contract guard"
    assert "evil.example.com" in second[3]
    assert third[3] == "the answer was cut off."
    assert markdown.candidates_markdown(cases.empty()[1]) == "No candidate."


def test_without_a_reason_nothing_is_made_up() -> None:
    silent = PolicyUpdate(loop="a", window=cases.WINDOW, baseline=None, candidate=None)
    assert markdown.edits_markdown(silent) == "No edits."
    assert markdown.candidates_markdown(silent) == "No candidate."
    assert markdown.change_markdown(silent).startswith("Nothing")


def test_the_policy_in_force_is_readable() -> None:
    actions = cases.OLD.model_copy(
        update={"variables": ("shop",), "examples": (Example(input="a", output="b"),), "tools": ({"name": "t"},)}
    )
    state = cases.state().model_copy(update={"actions": actions, "policy_version": 3})
    text = markdown.state_markdown(state)
    rows = cells(text.split("\n\n", maxsplit=1)[0])
    assert ["origin", "version 3 of the registry"] in rows
    assert ["temperature", "0.2"] in rows
    assert ["variables", "shop"] in rows
    assert cases.OLD.system_prompt in text
    assert "read from the traces" in markdown.state_markdown(cases.state())


def test_a_state_without_policy_or_prompt_says_so() -> None:
    bare = StateActions(loop="a", window=cases.WINDOW)
    assert markdown.state_markdown(bare).startswith("No policy")
    assert markdown.state_markdown(bare.model_copy(update={"actions": Actions()})).endswith("No system prompt.")


def test_a_change_tells_prompt_and_settings() -> None:
    new = cases.NEW.model_copy(update={"model": "simulated-large"})
    text = markdown.change_markdown(cases.update().model_copy(update={"candidate": new}))
    assert cells(text.split("\n\n")[-1]) == [["model", "simulated-application", "simulated-large"]]
    assert f"+{cases.ADDED}" in text
    assert "---" not in markdown.change_markdown(cases.update())


def test_skipped_spans_are_counted_and_the_first_listed() -> None:
    text = markdown.skipped_markdown([f"span {n}: {ATTACK}" for n in range(30)], limit=2)
    assert text.startswith("30 spans skipped:")
    assert kinds(text) <= PLAIN | {
        f"{block}_{end}" for block in ("paragraph", "bullet_list", "list_item") for end in ("open", "close")
    }
    assert "and 28 more" in text
    assert markdown.skipped_markdown(()) == "No span was skipped."
    assert "more" not in markdown.skipped_markdown(["span 1: broken"])


@pytest.mark.parametrize("which", ["worst", "most_improved", "unchanged", "unscored"])
def test_hostile_rows_make_no_link_image_or_html(which: Which) -> None:
    text = markdown.samples_table((hostile_row(),), "correctness", which=which)
    assert not kinds(text) & {"link_open", "image", "html_inline", "html_block", "code_inline", "s_open", "em_open"}


def test_hostile_candidates_make_no_link_image_or_html() -> None:
    edit = Edit(operation="add", text=f"```\n{ATTACK}", samples=(ATTACK,), why=ATTACK)
    candidate = Candidate(name=ATTACK, actions=Actions(), status="unusable", reasons=(ATTACK,), edits=(edit,))
    update = cases.update().model_copy(update={"edits": (edit,), "candidates": (candidate,), "reason": ATTACK})
    state = cases.state().model_copy(update={"actions": Actions(model=ATTACK, parameters={ATTACK: ATTACK})})
    for text in (
        markdown.edits_markdown(update),
        markdown.candidates_markdown(update),
        markdown.state_markdown(state),
        markdown.change_markdown(update),
    ):
        assert not kinds(text) & {"link_open", "image", "html_inline", "html_block", "code_inline", "s_open", "em_open"}
