"""The decisions that recovery rests on, one by one."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.template_recovery.alignment import align
from sia_dagster.core.template_recovery.families import families, places, run_masks
from sia_dagster.core.template_recovery.learn import learn
from sia_dagster.core.template_recovery.recover import doubted, undecided_siblings
from sia_dagster.core.template_recovery.template import name_slots
from sia_dagster.core.template_recovery.tokenizing import shingles, tokenize, touches, words
from sia_dagster.core.template_recovery.variants import (
    Division,
    Period,
    alternatives,
    divide,
    edge_wordings,
    has_odd_edge,
    is_undecided,
)
from simulation.template_world import START, sentence, text_of


def aligned(texts: Sequence[str]) -> list[str | None]:
    return align([tokenize(text) for text in texts])


def sentences(count: int, seed: int = 5, length: int = 12) -> list[str]:
    rng = np.random.default_rng(seed)
    return [sentence(rng, length) for _ in range(count)]


def minutes(count: int) -> list[Period]:
    return [(START + timedelta(minutes=n), START + timedelta(minutes=n)) for n in range(count)]


@given(st.text(st.characters(codec=None)))
def test_tokens_are_the_text(text: str) -> None:
    assert "".join(tokenize(text)) == text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A-17b_c", ["A", "-", "17", "b", "_", "c"]),
        ("Jón's  ok", ["Jón", "'", "s", " ", " ", "ok"]),
        ("你好ab", ["你", "好", "ab"]),
        ("สวัส", ["ส", "ว", "ั", "ส"]),
        ("a\r\nb", ["a", "\r", "\n", "b"]),
    ],
)
def test_a_token_is_letters_or_digits_or_one_sign(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


def test_words_leave_signs_out_and_shingles_run_over_them() -> None:
    assert words("One, two: 3!") == ["One", "two", "3"]
    assert shingles(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert shingles(["a"], 2) == []
    assert [touches(token) for token in ("ab", "7", "-", "你")] == [True, True, False, False]


def test_what_all_have_is_fixed_and_the_rest_a_slot() -> None:
    texts = [f"Say this at once to {n * 7919} and to {n * 104729} please" for n in range(40)]
    assert aligned(texts) == ["Say this at once to ", None, " and to ", None, " please"]


def test_equal_texts_have_no_slot() -> None:
    assert aligned(["a b", "a b"]) == ["a b"]
    assert aligned(["", ""]) == []


def test_nothing_in_common_is_one_slot() -> None:
    assert aligned(["a", "b"]) == [None]
    assert aligned(["", "b"]) == [None]


def test_text_that_repeats_equally_often_is_fixed_each_time() -> None:
    texts = [f"Question given: {n}x\nQuestion given: {n * 31}y\nQuestion given: {n * 7}z" for n in range(40)]
    assert aligned(texts) == ["Question given: ", None, "x\nQuestion given: ", None, "y\nQuestion given: ", None, "z"]


def test_a_word_that_few_values_share_is_no_fixed_text() -> None:
    few = [f"{said} the {other}" for said, other in zip(sentences(5), sentences(5, 6), strict=True)]
    many = [f"{said} qqqqq {other}" for said, other in zip(sentences(40), sentences(40, 6), strict=True)]
    assert aligned([f"[{text}]" for text in few]) == ["[", None, ".]"]
    assert " qqqqq " in "".join(piece or "|" for piece in aligned(many))


def test_what_changes_its_order_is_not_fixed() -> None:
    pair = ["the first part of the text as it was written", "another part of it that stands elsewhere, longer"]
    texts = [f"{n}a {pair[n % 2]} {n}b {pair[1 - n % 2]} {n}c" for n in range(40)]
    fixed = "|".join(filter(None, aligned(texts)))
    assert [text in fixed for text in pair].count(True) == 1


def test_families_are_prompts_that_share_runs_of_words() -> None:
    one = [f"one two three four five six {said}" for said in sentences(6)]
    two = [f"red green blue grey pink gold {said}" for said in sentences(7, 6)]
    assert sorted(map(len, families([*one, *two, "nothing like it"]))) == [6, 7]
    assert families(one[:4]) == []


def test_families_with_one_core_are_one() -> None:
    core = [f"c{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(120)]
    tails = [" ".join(f"t{kind}{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60)) for kind in "xy"]
    prompts = [" ".join([*core[: 6 * n], *core[6 * n + 1 :], tails[n % 2]]) for n in range(20)]
    assert families(prompts) == [list(range(20))]


def test_short_runs_are_tried_where_long_ones_tell_nothing() -> None:
    prompts = [f"dear reader we {n} thank you all {n * 3} so very much {n * 5}" for n in range(8)]
    assert families(prompts) == [list(range(8))]


def test_a_mask_is_a_set_of_places() -> None:
    assert places(0b10110) == [1, 2, 4]
    assert run_masks([["a", "b"], ["a", "b"], ["b"]], 2, fewest=2) == {("a", "b"): 0b011}


def test_values_that_differ_are_one_slot() -> None:
    assert divide(sentences(60), minutes(60)) is None
    assert divide(["formal", "casual", "warm", "dry", "neutral"] * 12, None) is None


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_long_texts_said_often_are_variants(count: int) -> None:
    texts = sorted(sentences(count))
    assert divide(texts * 10, None) == Division(list(range(count)) * 10, sure=False)


def test_five_texts_or_a_rare_one_are_values() -> None:
    texts = sentences(6)
    assert divide(texts[:5] * 10, None) is None
    assert divide(texts[:2] * 10 + texts[2:3] * 4, None) is None


@pytest.mark.parametrize(("old", "new"), [("kindly", "politely"), ("be kind", "kindly"), ("", "17")])
def test_two_wordings_are_two_texts_and_times_make_them_versions(old: str, new: str) -> None:
    parts = [0] * 20 + [1] * 20
    assert divide([old] * 20 + [new] * 20, minutes(40)) == Division(parts, sure=True)
    assert divide([old] * 20 + [new] * 20, None) == Division(parts, sure=False)
    assert divide([old, new] * 20, minutes(40)) == Division([0, 1] * 20, sure=False)


def test_too_few_prompts_show_no_moment() -> None:
    found = divide(["kindly"] * 5 + ["politely"] * 5, minutes(10))
    assert found is not None
    assert not found.sure


def test_a_rare_wording_is_left_out_or_leaves_all_undecided() -> None:
    assert alternatives(["brief"] * 98 + ["lengthy"] * 2) == [0] * 98 + [1] * 2
    assert alternatives(["brief"] * 97 + ["lengthy"] * 3) is None
    assert is_undecided(["brief"] * 97 + ["lengthy"] * 3, [])


NAMES = [f"{chr(65 + n % 26)}{chr(97 + n * 7 % 26)}{chr(97 + n * 3 % 26)}" for n in range(60)]


def test_a_word_beside_a_part_of_the_values_is_an_edit() -> None:
    parts = [int(n % 3 == 0) for n in range(60)]
    before = [f"is {name}" if part else name for name, part in zip(NAMES, parts, strict=True)]
    after = [f"{name} only," if part else name for name, part in zip(NAMES, parts, strict=True)]
    assert edge_wordings(before) == parts
    assert edge_wordings(after) == parts
    assert edge_wordings(NAMES) is None


def test_first_words_that_are_few_are_wordings() -> None:
    assert edge_wordings([f"{['is', 'was'][n % 2]} {name}" for n, name in enumerate(NAMES)]) == [0, 1] * 30
    assert edge_wordings([f"2026-01-{n} {['is', 'was'][n % 2]} said" for n in range(60)]) == [0, 1] * 30


def test_lists_are_divided_only_where_a_wording_gave_way_to_another() -> None:
    values = [f"{'Facts' if n < 30 else 'What is known'}\n- {name}" for n, name in enumerate(NAMES)]
    assert divide(values, None) is None
    assert divide(values[::2] + values[1::2], minutes(60)) is None
    assert divide(values, minutes(60)) == Division([0] * 30 + [1] * 30, sure=True)


def test_the_first_words_of_stored_passages_are_values() -> None:
    stored = [text_of(np.random.default_rng(seed), 60) for seed in range(9)]
    assert edge_wordings([stored[min(n % 30, 8)] for n in range(90)]) is None


def test_a_word_that_stands_out_in_few_prompts_is_undecided() -> None:
    values = [f"is {name}" if n < 4 else name for n, name in enumerate(NAMES[:20])]
    assert has_odd_edge(values)
    assert is_undecided(values, [])
    assert not has_odd_edge(NAMES[:20])


def test_a_template_beside_many_refused_prompts_like_it_is_doubted() -> None:
    text = "Answer the reader in the house style from what the shop says of {}"
    mine = name_slots((text.format("parcels: "), "."))
    other = name_slots(("Sum up this letter in one line, please: ", "."))
    owners = {mine: [text.format(f"parcels: {n}.") for n in range(20)], other: ["Sum up ..."] * 20}
    refused = [text.format(f"the weather {n}") for n in range(3)]
    assert doubted(owners, refused) == {mine}
    assert doubted(owners, refused[:2]) == set()
    assert doubted(owners, []) == set()


def test_a_text_that_comes_at_one_moment_is_a_version() -> None:
    said = sentences(40, 9, 6)
    values = said[:20] + [f"{value} Mention the policy of returns" for value in said[20:]]
    assert divide(values, minutes(40)) == Division([0] * 20 + [1] * 20, sure=True)


def test_the_exceptions_of_a_usual_value_are_set_apart() -> None:
    assert divide(["none"] * 45 + sentences(5), None) == Division([0] * 45 + [1] * 5, sure=False)


def test_an_introduction_that_recurs_in_values_is_a_call_of_its_own() -> None:
    values = [f"Sum up this letter: {said}" for said in sentences(30)] + sentences(30, 6)
    assert divide(values, None) == Division([1] * 30 + [0] * 30, sure=True)


@pytest.mark.parametrize("rivals", [3, 12])
def test_texts_in_many_combinations_are_values(rivals: int) -> None:
    rng = np.random.default_rng(2)
    stored = [text_of(rng, 30) for _ in range(rivals)]
    values = [f"{a} {b}" for a in stored for b in stored for _ in range(5)]
    assert (divide([f"{value} {n}" for n, value in enumerate(values)], None) is None) == (rivals == 12)


def test_a_text_that_recurs_in_few_prompts_is_undecided() -> None:
    said = sentences(12, 3, 4)
    values = [value + " Since the account is new, explain each step." * (n < 4) for n, value in enumerate(said)]
    assert is_undecided(values, [])
    assert not is_undecided(values, ["Since the account is new, explain each step."])
    assert not is_undecided(said, [])
    assert not is_undecided(values + sentences(40), [])


def test_rare_exceptions_in_few_prompts_refuse_the_whole() -> None:
    text = "Write the reply to the reader named {} in the house style.{} Add nothing of your own."
    prompts = [text.format(f"x{n}y", f" {sentences(4, n, 9)[0]}" if n > 16 else "") for n in range(20)]
    assert learn(prompts, None).templates == ()


def test_a_family_without_six_common_words_is_refused() -> None:
    found = learn([f"go on {said}" for said in sentences(12)], None)
    assert found.templates == ()
    assert "fixed words" in found.refusals[0][0]


def test_few_prompts_of_which_many_quote_the_template_are_refused() -> None:
    text = "Write the reply to the reader in the house style and sign it. "
    found = learn([f"{text}{said} {text * (n < 3)}" for n, said in enumerate(sentences(7))], None)
    assert found.templates == ()
    assert "quote the template" in found.refusals[0][0]


def test_words_that_only_the_first_prompts_share_are_not_relied_on() -> None:
    said = sentences(20)
    prompts = [
        f"Write the reply to the reader: {value}{' zebracrossing' * (n < 15)} {value[::-1]}"
        for n, value in enumerate(said)
    ]
    found = learn(prompts, None)
    assert found.templates == ()
    assert "missing in others" in found.refusals[0][0]


def test_a_rare_word_seen_late_is_a_version_or_a_value() -> None:
    words_of = ["brief"] * 97 + ["lengthy"] * 3
    prompts = [f"Write a {w} reply to the reader who says {n}x, and sign it now." for n, w in enumerate(words_of)]
    assert learn(prompts, None).templates == ()


CORE = [f"c{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(90)]


@pytest.mark.parametrize(("size", "whole", "step", "lack"), [(90, 60, 6, 14), (60, 40, 1, 49)])
def test_prompts_that_each_lack_another_word_are_refused(size: int, whole: int, step: int, lack: int) -> None:
    """Some words apart, which divides them one by one; or side by side, more than are generalised by."""
    core = CORE[:size]
    clean = [" ".join([*core, f"{n}x"]) for n in range(whole)]
    places = range(step, step * (lack + 1), step)
    odd = [" ".join([*core[:n], f"{n}y", *core[n + 1 :], f"{n}z"]) for n in places]
    found = learn(clean + odd, None)
    assert found.templates == ()
    assert sum(len(prompts) for _, prompts in found.refusals) == whole + lack


def test_two_prompts_that_lack_a_sentence_leave_the_others_their_template() -> None:
    whole = [" ".join([*CORE[:40], f"{n}x"]) for n in range(60)]
    short = [" ".join([*CORE[:10], *CORE[18:40], f"{n}y"]) for n in range(2)]
    found = learn(whole + short, None)
    assert found.templates == ((f"{' '.join(CORE[:40])} ", "x"),)
    assert [prompts for _, prompts in found.refusals] == [tuple(short)]


def test_calls_are_divided_again_until_they_were_divided_often_enough() -> None:
    """Two sentences in each of two places: four calls, found by one division and one of its parts."""
    ways = [(one, other) for one in sentences(2, 1, 16) for other in sentences(2, 2, 16)]
    prompts = [
        f"{one}. Mind the tone of the brand. {other}. {n * 37}x {n * 91}y." for one, other in ways for n in range(12)
    ]
    assert len(learn(prompts, None).templates) == 4
    last_but_one = learn(prompts, None, depth=7)
    assert last_but_one.templates == ()
    assert sorted(prompt for _, refused in last_but_one.refusals for prompt in refused) == sorted(prompts)


PASSAGES = sentences(6, 4, 20)


@pytest.mark.parametrize(("count", "undecided"), [(4, 0), (5, 5), (6, 6)])
def test_five_templates_that_differ_in_one_passage_are_undecided(count: int, undecided: int) -> None:
    group = [("Answer from this text and nothing else: " + p + " The question: ", " Go.") for p in PASSAGES[:count]]
    assert len(undecided_siblings(group)) == undecided
    assert undecided_siblings([("".join(fixed),) for fixed in group]) == set()


def test_templates_with_common_passages_are_conditional_sentences() -> None:
    group = [
        (
            "Answer from this text and nothing else: "
            + "".join(p for n, p in enumerate(PASSAGES[:3]) if kind >> n & 1),
            ".",
        )
        for kind in range(8)
    ]
    assert undecided_siblings(group) == set()


def test_templates_that_share_few_words_are_calls() -> None:
    assert undecided_siblings([(p, " Go.") for p in PASSAGES]) == set()
