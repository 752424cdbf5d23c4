"""A prompt that was rewritten as a whole becomes edits that make it, each of them with a place of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.search.edits.apply import apply_edits
from sia_dagster.core.search.edits.rewrites import edits_between, rewritten_prompt

PROMPT = "You answer shoppers. Be kind.\nBe brief.\n\nSign with your name."

CASES = [
    (PROMPT.replace("kind.", "kind. Name the order."), [("replace", "Be kind.", "Be kind. Name the order.")]),
    (PROMPT.replace("brief.", "brief.\nName the order."), [("add", "Be brief.", "Name the order.")]),
    (PROMPT.replace("Be brief.\n", ""), [("delete", "Be brief.", "")]),
    (f"{PROMPT}\nThank them.", [("add", "Sign with your name.", "Thank them.")]),
    (PROMPT.replace("kind", "warm"), [("replace", "Be kind.", "Be warm.")]),
    (f"\n\n{PROMPT}\n", []),
    (PROMPT.replace("\n", "\r\n"), []),
    ("", []),
]


@pytest.mark.parametrize(("rewritten", "expected"), CASES)
def test_the_edits_are_those_that_an_engineer_would_make(rewritten: str, expected: list[tuple[str, str, str]]) -> None:
    assert [(e.operation, e.find, e.text) for e in edits_between(PROMPT, rewritten)] == expected


PIECES = st.sampled_from(["Be kind.", "Be brief. ", "Sign.", "\n", "\n\n", "{name}", "\u6ce8\u6587\u3002", "x", "  "])
PROMPTS = st.lists(PIECES, min_size=1, max_size=12).map("".join).filter(str.strip)


@given(prompt=PROMPTS, rewritten=PROMPTS, crlf=st.booleans())
def test_the_edits_make_the_new_prompt_and_nothing_around_it(prompt: str, rewritten: str, *, crlf: bool) -> None:
    old = prompt.replace("\n", "\r\n") if crlf else prompt
    made = apply_edits(old, edits_between(old, rewritten))
    assert made.replace("\r\n", "\n").strip() == rewritten.strip()
    assert made[: len(made) - len(made.lstrip())] == old[: len(old) - len(old.lstrip())]
    assert ("\n" in made.replace("\r\n", "")) == ("\n" in made and "\r\n" not in old)


def test_a_long_prompt_is_one_edit_and_soon_made() -> None:
    long = "\n".join(f"Rule {n}: do {n}." for n in range(10_000))
    (edit,) = edits_between(long, long.replace("do 7.", "do it."))
    assert apply_edits(long, [edit]) == long.replace("do 7.", "do it.")


RULES = [f"Rule {n}: do {n}.\n" for n in range(900)]


@pytest.mark.parametrize(
    ("old", "new", "edits"),
    [
        ([f"- rule {n % 7}" for n in range(1900)], [f"- rule {n * 3 % 11}" for n in range(1900)], 1),
        ([f"- rule {n * n % 61}" for n in range(1900)], [f"- rule {n * 3 % 61}" for n in range(1900)], 1),
        (["- rule"] * 1900, ["- rule"] * 1800, 1),
        (["a. b."] * 900, ["b. a."] * 900, 1),
        (RULES, [line if n % 10 else f"{line.strip()} Now.\n" for n, line in enumerate(RULES)], 90),
        ([line.strip() for line in RULES], [f"{line.strip()} Now." for line in RULES], 1),
    ],
)
def test_lines_that_repeat_or_all_change_do_not_hold_up_the_search(old: list[str], new: list[str], edits: int) -> None:
    # Each of these took minutes, or would, without a bound on the work: the suite's time limit is the assertion.
    prompt, rewritten = "\n".join(old), "\n".join(new)
    found = edits_between(prompt, rewritten)
    assert len(found) == edits
    assert apply_edits(prompt, found).strip() == rewritten.strip()


BETTER = f"{PROMPT}\nName the order."


REMARKS = ["N/A", "None", "(unchanged)", "see below", "Be kind.", "I would make it shorter.", "You answer shoppers."]


@pytest.mark.parametrize(
    ("content", "text", "found"),
    [
        ({"thoughts": "t", "system_prompt": BETTER}, "", True),
        ({"thoughts": "t", "prompt": BETTER, "edits": []}, "", True),
        ({"thoughts": "t", "edits": BETTER}, "", True),
        ({"edits": [{"operation": "replace", "find": PROMPT, "text": BETTER}]}, "", True),
        ({"edits": [{"operation": "replace", "find": "", "text": BETTER}]}, "", True),
        ({"edits": [{"operation": "add", "find": "", "text": BETTER}]}, "", True),
        (None, f"Here is the new prompt:\n```text\n{BETTER}\n```\nIt names the order.", True),
        (None, f"<think>\n```\nnothing\n```\n</think>\n~~~\n{BETTER}\n~~~", True),
        ({"edits": [{"operation": "add", "find": "", "text": "Name the order."}]}, "", False),
        ({"edits": [{"operation": "replace", "find": "Be brief.", "text": BETTER}]}, "", False),
        ({"edits": [{"operation": "add", "text": BETTER}, {"operation": "add", "text": "x"}]}, "", False),
        ({"thoughts": "t", "prompt": BETTER, "new_prompt": PROMPT}, "", False),
        ({"thoughts": "no edits"}, "", False),
        (None, "```\nAnother text altogether.\n```", False),
        (None, f"```\n{BETTER}\n```\nor\n```\n{PROMPT}\n```", False),
        (None, BETTER, False),
        (None, "I would rather not.", False),
        (None, f"```{BETTER}\n```", False),
        (None, f"```You\n{BETTER}\n```", True),
        *(({"thoughts": "t", "system_prompt": remark, "edits": []}, "", False) for remark in REMARKS),
    ],
)
def test_what_is_a_whole_prompt_is_beyond_doubt(content: dict[str, object] | None, text: str, *, found: bool) -> None:
    rewritten = rewritten_prompt(content, text, PROMPT)
    assert (rewritten or "").strip() == (BETTER if found else "")


@pytest.mark.parametrize(
    ("prompt", "text", "kept"),
    [
        ("Be polite to {customer}.", "Be polite and brief to {customer}.", True),
        ("Be polite to {customer}.", "Answer in German.", False),
        ("\u4f60\u662f\u5ba2\u670d\u52a9\u624b\u3002", "\u4f60\u662f\u597d\u5ba2\u670d\u52a9\u624b\u3002", True),
        ("\u4f60\u662f\u5ba2\u670d\u52a9\u624b\u3002", "\u65e0\u3002", False),
        ("One.\nTwo.\nThree.\nFour.", "Four.\nOne.", True),
        ("One.\nTwo.\nThree.\nFour.", "One.", False),
        ("...", "Something.", False),
        ("", "Something.", False),
    ],
)
def test_a_new_version_keeps_half_of_the_sentences_or_of_their_words(prompt: str, text: str, *, kept: bool) -> None:
    assert (rewritten_prompt({"system_prompt": text}, "", prompt) is not None) is kept


@pytest.mark.parametrize("prompt", ["Hello\nBe kind. Be brief.", "\nHello  \nBe kind. Be brief."])
def test_a_word_after_the_fence_is_no_language_where_the_prompt_begins_with_it(prompt: str) -> None:
    assert rewritten_prompt(None, f"```Hello\n{prompt.strip().removeprefix('Hello').strip()}\n```", prompt) is None
