"""Edits apply as a whole to the prompt they were proposed for, or not at all."""

from itertools import permutations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sia_dagster.core.records.search import Edit
from sia_dagster.core.search.edits.apply import EditError, apply_edits

PROMPT = "You answer shoppers. Be kind.\nBe brief.\n\nSign with your name."
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)

prompts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60) | st.lists(
    st.sampled_from(["Be kind.", "Be brief.", "", "  ", "Sign."]), max_size=6
).map("\n".join)


def add(text: str, find: str = "") -> Edit:
    return Edit(operation="add", find=find, text=text)


def replace(find: str, text: str) -> Edit:
    return Edit(operation="replace", find=find, text=text)


def delete(find: str) -> Edit:
    return Edit(operation="delete", find=find)


@pytest.mark.parametrize(
    ("prompt", "edit", "expected"),
    [
        ("", add("Be kind."), "Be kind."),
        ("Be brief.", add("Be kind."), "Be brief.\nBe kind."),
        ("Be brief.\n", add("Be kind."), "Be brief.\nBe kind.\n"),
        ("One. Two.\nThree.", add("New.", "One."), "One. Two.\nNew.\nThree."),
        ("One.\nTwo.", add("New.", "Two."), "One.\nTwo.\nNew."),
        ("One. Two.", replace("Two", "2"), "One. 2."),
        ("One. Two.", delete(" Two."), "One."),
        ("One.\nTwo.\nThree.", delete("Two."), "One.\nThree."),
        ("One.\nTwo.\nThree.", delete("One.\nTwo."), "Three."),
        ("One.\nTwo.", delete("Two."), "One."),
        ("One.", delete("One."), ""),
        ("One.\n\nTwo.", replace("One.\n\n", "1.\n"), "1.\nTwo."),
    ],
)
def test_each_operation_does_what_it_says(prompt: str, edit: Edit, expected: str) -> None:
    assert apply_edits(prompt, [edit]) == expected


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (replace("Be rude.", "Be kind."), "not in the prompt"),
        (delete("Be "), "more than once"),
        (add("Always.", "shopper. "), "not in the prompt"),
        (add("  \n"), "has no text"),
        (replace("Be kind.", ""), "has no text"),
        (replace("", "Be kind."), "does not say which text"),
        (delete(""), "does not say which text"),
        (Edit(operation="delete", find="Be kind.", text="Be rude."), "deletes and has new text"),
    ],
)
def test_an_edit_that_does_not_apply_is_named(edit: Edit, why: str) -> None:
    with pytest.raises(EditError, match=why) as caught:
        apply_edits(PROMPT, [add("Fine."), edit])
    assert (caught.value.number, caught.value.edit) == (2, edit)
    assert f"edit 2 ({edit.operation})" in str(caught.value)


def test_occurrences_that_overlap_are_more_than_one() -> None:
    with pytest.raises(EditError, match="more than once"):
        apply_edits("a aa", [delete("a")])
    with pytest.raises(EditError, match="more than once"):
        apply_edits("aaa", [delete("aa")])


@pytest.mark.parametrize(
    "edits",
    [
        [replace("Be kind.", "Be nice."), delete("kind")],
        [delete("Be brief."), replace("kind.\nBe brief", "brisk")],
        [delete("Be brief."), delete("Be brief.")],
        [delete("Be kind.\nBe brief."), add("Always.", "Be kind.")],
    ],
)
def test_edits_of_the_same_text_are_refused_in_any_order(edits: list[Edit]) -> None:
    for order in permutations(edits):
        with pytest.raises(EditError, match=r"edit 2 .* same text as edit 1"):
            apply_edits(PROMPT, order)


def test_later_edits_still_mean_the_original_text() -> None:
    edits = [replace("Be kind.", "Be brief."), replace("Be brief.", "Be kind.")]
    assert apply_edits(PROMPT, edits) == "You answer shoppers. Be brief.\nBe kind.\n\nSign with your name."


def test_edits_of_neighbouring_lines_go_together() -> None:
    edits = [delete("Be brief."), add("Never shout.", "Be kind."), replace("Sign", "End"), add("Thank them.")]
    expected = "You answer shoppers. Be kind.\nNever shout.\n\nEnd with your name.\nThank them."
    assert {apply_edits(PROMPT, order) for order in permutations(edits)} == {expected}


def test_texts_added_at_one_place_keep_their_order() -> None:
    assert apply_edits("Steps:", [add("2. Then b."), add("1. Now a.")]) == "Steps:\n2. Then b.\n1. Now a."


def test_all_lines_can_go() -> None:
    assert apply_edits("One.\nTwo.\nThree.", [delete("Three."), delete("One."), delete("Two.")]) == ""


@given(prompt=prompts, text=words, data=st.data())
def test_deleting_what_was_added_restores_the_prompt(prompt: str, text: str, data: st.DataObject) -> None:
    assume(text.strip())
    start = data.draw(st.integers(0, len(prompt)))
    find = prompt[start : data.draw(st.integers(start, len(prompt)))]
    assume(not find or prompt.find(find, prompt.find(find) + 1) < 0)
    longer = apply_edits(prompt, [add(text, find)])
    assume(longer.find(text) >= 0 and longer.find(text, longer.find(text) + 1) < 0)
    assert apply_edits(longer, [delete(text)]) == prompt


@given(prompt=prompts, text=words, data=st.data())
def test_replacing_back_restores_the_prompt(prompt: str, text: str, data: st.DataObject) -> None:
    assume(prompt and text.strip())
    start = data.draw(st.integers(0, len(prompt) - 1))
    find = prompt[start : data.draw(st.integers(start + 1, len(prompt)))]
    assume(find.strip() and prompt.find(find, prompt.find(find) + 1) < 0)
    changed = apply_edits(prompt, [replace(find, text)])
    assume(changed.find(text, changed.find(text) + 1) < 0)
    assert apply_edits(changed, [replace(text, find)]) == prompt


@given(lines=st.lists(words.filter(lambda w: "\n" not in w and w.strip()), min_size=3, max_size=8, unique=True))
def test_no_order_of_edits_at_different_places_matters(lines: list[str]) -> None:
    prompt = "\n".join(f"{number}:{line}:{number}" for number, line in enumerate(lines))
    whole = [f"{number}:{line}:{number}" for number, line in enumerate(lines)]
    assume(all(prompt.count(line) == 1 for line in whole))
    edits = [delete(whole[0]), replace(whole[1], "new"), add("more", whole[2])]
    assert len({apply_edits(prompt, order) for order in permutations(edits)}) == 1


@given(prompt=prompts)
def test_no_edits_change_nothing(prompt: str) -> None:
    assert apply_edits(prompt, []) == prompt


CRLF = "You answer shoppers.\r\nBe brief.\r\n\r\nSign with your name.\r\n"
MIXED = "One.\r\nTwo.\nThree."


@pytest.mark.parametrize(
    ("prompt", "edit", "expected"),
    [
        (CRLF, add("Be kind.\nBe warm."), CRLF.replace("name.", "name.\r\nBe kind.\r\nBe warm.")),
        (CRLF, add("Be kind.", "Be brief."), CRLF.replace("brief.", "brief.\r\nBe kind.")),
        (CRLF, replace("Be brief.\n\nSign", "Be kind.\n\nEnd"), CRLF.replace("brief.", "kind.").replace("Sign", "End")),
        (CRLF, replace("Be brief.\r\n\r\nSign", "Sign"), "You answer shoppers.\r\nSign with your name.\r\n"),
        (CRLF, delete("Be brief."), CRLF.replace("Be brief.\r\n", "")),
        (CRLF, delete("You answer shoppers.\nBe brief."), "\r\nSign with your name.\r\n"),
        (CRLF.rstrip(), delete("Sign with your name."), "You answer shoppers.\r\nBe brief.\r\n"),
        (MIXED, add("New.", "One."), "One.\nNew.\r\nTwo.\nThree."),
        (MIXED, delete("Two."), "One.\r\nThree."),
        (MIXED, replace("One.\nTwo.", "1."), "1.\nThree."),
        ("A\r\nB\r\nA\nB", replace("A\r\nB", "C"), "C\r\nA\nB"),
    ],
)
def test_a_prompt_keeps_its_line_ends(prompt: str, edit: Edit, expected: str) -> None:
    assert apply_edits(prompt, [edit]) == expected


def test_a_text_that_stands_twice_with_other_line_ends_is_refused() -> None:
    with pytest.raises(EditError, match="more than once"):
        apply_edits("A\r\nB\r\nA\nB", [replace("A\nB", "C")])
