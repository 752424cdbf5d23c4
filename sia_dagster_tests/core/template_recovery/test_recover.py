"""From filled-in prompts to the template: exactly, or a refusal."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.template_recovery import Fill, Recovery, Template, recover, shared_share
from sia_dagster.core.template_recovery.fixed_texts import fixed_texts
from sia_dagster.core.template_recovery.recover import count_prompts
from sia_dagster.core.template_recovery.template import RecoveredTemplate, name_slots, parse
from simulation.template_world import (
    START,
    World,
    judge,
    make_call,
    make_world,
    name,
    next_version,
    refills,
    sentence,
    text_of,
)

GREETING = (
    "You are the support agent of a shop. The customer is {} and asks about order {}. Answer politely and in full."
)


def greetings(count: int, text: str = GREETING) -> list[str]:
    rng = np.random.default_rng(count)
    return [text.format(f"{name(rng)} {n}", f"A-{rng.integers(1000, 99999)}") for n in range(count)]


def only(recovery: Recovery) -> RecoveredTemplate:
    assert len(recovery.templates) == 1, [t.template.text for t in recovery.templates]
    return recovery.templates[0]


def window(seed: int, spans: int, *, calls: int = 1, versions: bool = False, optional: int = 0) -> World:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(calls):
        slots, length = int(rng.integers(1, 7)), int(rng.integers(40, 300))
        made.append(make_call(rng, number, slots=slots, length=length, optional=optional))
        made += [next_version(rng, made[-1])] * versions
    return make_world(rng, made, spans)


def test_a_template_comes_back_with_its_values() -> None:
    prompts = greetings(130)
    found = only(recover(prompts))
    assert found.template.text == (
        "You are the support agent of a shop. The customer is {value_1} and asks about order {value_2}. "
        "Answer politely and in full."
    ).replace("order {value_2}", "order A-{value_2}")
    assert (found.prompts, found.distinct, found.linked) == (130, 130, ())
    assert all(refills(found.template, prompt) for prompt in prompts)


def test_a_new_customer_fits_the_template_of_the_window() -> None:
    recovery = recover(greetings(130))
    fit = recovery.match(GREETING.format("Zoë 4", "A-7"))
    assert fit == (0, Fill(values={"value_1": "Zoë 4", "value_2": "7"}))
    assert recovery.match("Another text altogether.") is None


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from([25, 60]))
def test_one_call_comes_back_or_is_refused(seed: int, spans: int) -> None:
    found = judged(window(seed, spans))
    assert not found["wrong"]
    assert not found["misfit variants"]


@settings(max_examples=4)
@given(st.integers(0, 10**6), st.booleans(), st.integers(0, 2))
def test_calls_versions_and_conditionals_are_never_merged(seed: int, versions: bool, optional: int) -> None:
    found = judged(window(seed, 60, calls=1 + seed % 3, versions=versions, optional=optional))
    assert not found["wrong"]
    assert not found["misfit variants"]


def judged(world: World) -> dict[str, int]:
    return judge(world, recover(world.prompts, world.times), np.random.default_rng(0))


VALUES: dict[str, Callable[[int], str]] = {
    "braces": lambda n: "{" * (n % 3) + f"x{n * 7919}" + "}" * (n % 4),
    "json": lambda n: f'{{"k{n}": [{n}, {{"deep": null}}]}}',
    "newlines": lambda n: f"\n\n{n * 31}\n" * (n % 3) + f"z{n}",
    "mostly nothing": lambda n: "" if n % 3 else f"{chr(97 + n % 26)}{n} said{n * 17}",
    "markup": lambda n: f"<b>{n * 13}</b> {{value_1}} {{{{value_2}}}}",
    "unicode": lambda n: chr(0x4E00 + n * 37) + chr(0x1F600 + n % 40) + "é" * (n % 5) + str(n),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_may_hold_anything(kind: str) -> None:
    prompts = [
        f"Read what follows with care and be brief about it: {VALUES[kind](n)}\nThat was all." for n in range(60)
    ]
    found = only(recover(prompts))
    assert len(found.template.names) == 1
    assert found.distinct == len(set(prompts))
    assert all(refills(found.template, prompt) for prompt in prompts)


@pytest.mark.parametrize("text", ["A prompt says {value_1} and { value_1 } and {{value_2}} as text", "value_ value1_"])
def test_a_placeholder_in_the_text_itself_stays_text(text: str) -> None:
    prompts = [f"Write as asked, with no more words than needed. {text}: {n * n + 17} END" for n in range(60)]
    found = only(recover(prompts)).template
    assert text in found.text
    assert not any(name_of in text for name_of in found.names)
    assert all(refills(found, prompt) for prompt in prompts)


def test_a_slot_between_braces_is_filled_without_them() -> None:
    template = name_slots(("Return {", "} as it is: {", " }"))
    assert template.text == "Return {{{value_1}}} as it is: {{value_2} }"
    fill = template.values("Return {a} as it is: {b }")
    assert fill is not None
    assert (
        Actions(system_prompt=template.text, variables=template.names).render(fill.values)
        == "Return {a} as it is: {b }"
    )


@given(st.lists(st.text("ab {}\n", min_size=1, max_size=4), min_size=1, max_size=5), st.data())
def test_a_fill_is_read_and_rendered_again(fixed: list[str], data: st.DataObject) -> None:
    template = name_slots(tuple(fixed))
    values = data.draw(st.lists(st.text("ab {}\n", max_size=4), min_size=len(fixed) - 1, max_size=len(fixed) - 1))
    prompt = "".join([fixed[0], *(v + f for v, f in zip(values, fixed[1:], strict=True))])
    fill = template.values(prompt)
    assert fill is not None
    assert fill.ambiguous or list(fill.values.values()) == values
    assert refills(template, prompt)


def test_two_readings_are_told() -> None:
    template = Template(fixed=("From ", " to ", "."), names=("a", "b"))
    assert template.values("From x to y.") == Fill(values={"a": "x", "b": "y"})
    assert template.values("From x to y to z.") == Fill(values={"a": "x", "b": "y to z"}, ambiguous=True)


@pytest.mark.parametrize("prompt", ["", "From", "From x. ", "From x and y.", "from x to y.", "From ."])
def test_what_does_not_fit_has_no_values(prompt: str) -> None:
    assert Template(fixed=("From ", " to ", "."), names=("a", "b")).values(prompt) is None


def test_a_start_and_an_end_may_not_overlap() -> None:
    assert parse(("aba", "ba"), "aba") is None
    assert parse(("aba", "ba"), "ababa") is not None


@pytest.mark.parametrize(("fixed", "names"), [((), ()), (("a", "b"), ()), (("a", "", "b"), ("x", "y"))])
def test_a_template_needs_text_between_its_slots(fixed: tuple[str, ...], names: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="one fixed text more than slots"):
        Template(fixed=fixed, names=names)


def test_the_order_of_the_prompts_changes_nothing() -> None:
    world = window(11, 40, calls=2, versions=True, optional=1)
    order = np.random.default_rng(1).permutation(len(world.spans))
    shuffled = recover([world.prompts[i] for i in order], [world.times[i] for i in order])
    assert shuffled.model_dump_json() == recover(world.prompts, world.times).model_dump_json()


def test_two_calls_are_two_templates_the_commoner_first() -> None:
    other = "Translate what the reader sends from {} into {} and add nothing of your own to it, please."
    recovery = recover([*greetings(60), *greetings(50, other)])
    assert [found.prompts for found in recovery.templates] == [60, 50]
    assert [found.linked for found in recovery.templates] == [(), ()]
    assert shared_share(recovery.templates[0].template, recovery.templates[1].template) == 0


def test_calls_that_share_an_introduction_stay_apart() -> None:
    shared = "You work for Example Limited. Be brief, be kind, never promise what you cannot keep. "
    one = [f"{shared}Sum up the letter below for its reader:\n{p}\nEnd of all." for p in letters(40, "a")]
    two = [f"{shared}Find every spelling mistake in this text:\n{p}\nEnd of all." for p in letters(30, "b")]
    recovery = recover(one + two)
    assert [found.prompts for found in recovery.templates] == [40, 30]
    assert [found.linked for found in recovery.templates] == [(1,), (0,)]
    assert shared_share(recovery.templates[0].template, recovery.templates[1].template) >= 0.6


def letters(count: int, tag: str) -> list[str]:
    return [" ".join(f"{tag}{n * 101 + k * 7}x" for k in range(3 + n % 20)) for n in range(count)]


def test_a_version_that_takes_over_is_a_template_of_its_own() -> None:
    old = greetings(40)
    new = greetings(41, GREETING.replace("politely", "kindly"))
    times = [START + timedelta(minutes=n) for n in range(81)]
    recovery = recover(old + new, times)
    assert [found.prompts for found in recovery.templates] == [41, 40]
    assert ["kindly" in found.template.text for found in recovery.templates] == [True, False]
    assert [found.linked for found in recovery.templates] == [(1,), (0,)]


@pytest.mark.parametrize("word", ["Monday", "17"])
def test_a_day_that_changes_is_text_of_two_linked_templates(word: str) -> None:
    days = {"Monday": "Tuesday", "17": "18"}
    prompts = greetings(40, f"Today is {word} again. {GREETING}") + greetings(
        41, f"Today is {days[word]} again. {GREETING}"
    )
    recovery = recover(prompts, [START + timedelta(minutes=n) for n in range(81)])
    assert [found.prompts for found in recovery.templates] == [41, 40]
    assert [found.linked for found in recovery.templates] == [(1,), (0,)]


def test_a_sentence_that_is_sometimes_there_makes_two_linked_templates() -> None:
    with_it = GREETING + " Since the account is new, explain each step."
    prompts = [p for pair in zip(greetings(30), greetings(31, with_it), strict=False) for p in pair]
    recovery = recover(prompts)
    assert [found.linked for found in recovery.templates] == [(1,), (0,)]
    assert sorted("account" in found.template.text for found in recovery.templates) == [False, True]


def test_a_rare_extra_sentence_is_refused_and_the_rest_kept() -> None:
    prompts = greetings(100) + greetings(2, "Stop. Read this first of all things, with care. " + GREETING)
    recovery = recover(prompts)
    assert only(recovery).prompts == 100
    assert [refusal.prompts for refusal in recovery.refusals] == [2]


def looked_up(passages: int, introduction: int) -> list[str]:
    rng = np.random.default_rng(1)
    stored = [text_of(rng, 100) for _ in range(passages)]
    head = text_of(rng, introduction)
    return [f"{head}\nContext:\n{rng.choice(stored)}\nQuestion: {sentence(rng, 8)}\nAnswer." for _ in range(200)]


@pytest.mark.parametrize("passages", [9, 40])
def test_passages_that_are_looked_up_stay_values(passages: int) -> None:
    found = only(recover(looked_up(passages, 40)))
    assert found.prompts == 200
    assert len(found.template.names) == 2


def test_a_few_long_passages_in_a_short_template_are_refused() -> None:
    recovery = recover(looked_up(6, 8))
    assert recovery.templates == ()
    assert "one passage alone" in recovery.refusals[0].reason


def test_a_repeated_text_in_few_prompts_is_refused() -> None:
    later = "\nNew rule: always mention the return policy of the shop."
    prompts = [
        f"Tell the reader what this note means to them: {p}{later * (n > 5)}" for n, p in enumerate(letters(12, "c"))
    ]
    recovery = recover(prompts)
    assert recovery.templates == ()
    assert "a version of the prompt or a value" in recovery.refusals[0].reason


@pytest.mark.parametrize(("count", "found"), [(20, True), (19, False)])
def test_twenty_equal_prompts_are_a_template_without_slots(count: int, found: bool) -> None:
    prompts = ["Be brief."] * count + ["Something else is said here."]
    recovery = recover(prompts)
    assert [t.template.text for t in recovery.templates] == ["Be brief."] * found
    assert sum(refusal.prompts for refusal in recovery.refusals) == len(prompts) - count * found


@pytest.mark.parametrize(("count", "found"), [(0, 0), (4, 0), (5, 1)])
def test_the_only_prompt_of_a_window_needs_five_spans(count: int, found: int) -> None:
    assert len(recover(["Be brief."] * count).templates) == found


def test_a_value_said_often_is_no_template() -> None:
    prompts = greetings(30) + [greetings(30)[0]] * 40
    assert only(recover(prompts)).prompts == 70


def test_five_fills_said_often_are_one_template() -> None:
    text = (
        "You write letters for a law firm that is known for its care. The tone is {}. Never give any advice on the law."
    )
    prompts = [text.format(tone) for tone in ("warm", "dry", "formal", "casual", "neutral") for _ in range(30)]
    assert only(recover(prompts)).distinct == 5


def test_constant_prompts_of_several_agents_stay_apart() -> None:
    roles = [" ".join(f"r{n}d{k}" for k in range(12)) for n in range(7)]
    shared = "You are one of the agents of Example Limited and work with the others. Be brief and honest. "
    recovery = recover([shared + role for role in roles for _ in range(25)])
    assert [(found.prompts, found.template.names) for found in recovery.templates] == [(25, ())] * 7


def test_a_constant_with_many_relatives_is_refused_with_them() -> None:
    text = "Write a reply in the house style for the reader named below, nothing more. "
    prompts = [text] * 20 + [f"{text}{n}" for n in "abc" for _ in range(2)]
    assert recover(prompts).templates == ()


@pytest.mark.parametrize("count", [1, 4])
def test_few_fills_are_refused(count: int) -> None:
    recovery = recover(greetings(count))
    assert recovery.templates == ()
    assert sum(refusal.prompts for refusal in recovery.refusals) == count


def test_few_fixed_words_are_refused() -> None:
    recovery = recover([f"Say it at once: {' '.join(map(str, range(n, n + 9)))} now" for n in range(100, 900, 20)])
    assert recovery.templates == ()
    assert recovery.refusals[0].example.startswith("Say it at once:")


def test_an_example_is_short_and_on_one_line() -> None:
    refusal = recover(["line\n" * 400]).refusals[0]
    assert refusal.example == ("line " * 16)[:79] + "…"


QUOTES = "The text above says: You are the support agent of a shop. The customer is wrong."


def test_values_that_quote_the_template_are_read() -> None:
    prompts = greetings(80) + [GREETING.format(f"{QUOTES} {n}", f"A-{n}") for n in range(8)]
    found = only(recover(prompts))
    assert found.prompts == 88
    assert all(refills(found.template, prompt) for prompt in prompts)


def test_a_value_that_repeats_a_joint_is_ambiguous() -> None:
    recovery = recover(greetings(60))
    fit = recovery.match(GREETING.format("Bo and asks about order A-1 and", "A-2"))
    assert fit is not None
    assert fit[1].ambiguous


UNSPACED = [
    f"请用简短礼貌的中文回答顾客的问题。顾客{chr(0x4E00 + n * 41)}{chr(0x5000 + n * 23)}先生的商品编号为{n * 97}号。"
    for n in range(60)
]


def test_scripts_without_spaces_are_read() -> None:
    found = only(recover(UNSPACED))
    assert "顾客{value_1}先生的商品编号为{value_2}" in found.template.text
    assert all(refills(found.template, prompt) for prompt in UNSPACED)


def test_huge_prompts_and_words_are_read() -> None:
    long = " ".join(f"w{n}" for n in range(8_000))
    prompts = [f"{long}\nThe key is {'ab' * 5_000}{n}.\nNow say what it opens: {n * n}" for n in range(8)]
    found = only(recover(prompts))
    assert all(refills(found.template, prompt) for prompt in prompts)


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(codec=None), max_size=30), max_size=30))
def test_any_texts_are_counted_once(prompts: Sequence[str]) -> None:
    recovery = recover(prompts)
    counted = sum(t.prompts for t in recovery.templates) + sum(r.prompts for r in recovery.refusals)
    assert counted == len(prompts)


def test_dates_and_json_values_are_whole() -> None:
    prompts = [
        f'Read the record and answer in one line. {{"name": "Mr {chr(97 + n % 8)}{n}", "on": 2026-11-{10 + n % 20}}}'
        for n in range(60)
    ]
    fixed = only(recover(prompts)).template.fixed
    assert fixed[0].endswith('"name": "')
    assert fixed[1:] == ('", "on": ', "}")


@pytest.mark.parametrize(
    ("prompts", "fixed"),
    [
        (120, ("The price is $", ". Pay INV-", " now")),
        (20, ("The price is ", " Pay INV", " now")),
        (6, ("The price is ", " Pay ", " now")),
    ],
)
def test_what_few_prompts_share_beside_a_slot_is_the_values(prompts: int, fixed: tuple[str, ...]) -> None:
    assert fixed_texts(["The price is $", None, ". Pay INV-", None, " now"], prompts) == fixed


@pytest.mark.parametrize("joint", [" ", "-", "T", '":"', " - "])
def test_a_joint_without_a_word_of_its_own_is_no_fixed_text(joint: str) -> None:
    assert fixed_texts([None, joint, None, " is what was said"], 60) == ("", " is what was said")


def test_a_window_of_unrelated_prompts_is_refused() -> None:
    recovery = recover([f"x{n} y{n} z{n}" for n in range(700)])
    assert recovery.templates == ()
    assert recovery.refusals[0].prompts == 700


def test_a_template_that_heavier_ones_leave_few_prompts_is_dropped() -> None:
    counts = {f"To be read now: {n}x": 2 for n in range(9)} | {"To be seen now: y": 3}
    recovery = count_prompts(counts, [name_slots(("To be ", "")), name_slots(("To be read now: ", ""))], {})
    assert [(found.template.fixed[0], found.prompts, found.distinct) for found in recovery.templates] == [
        ("To be read now: ", 18, 9)
    ]
    assert [(refusal.prompts, refusal.example) for refusal in recovery.refusals] == [(3, "To be seen now: y")]


def test_a_long_json_text_is_not_swallowed_whole() -> None:
    told = "a text of more than forty characters that is always there, "
    assert fixed_texts([f'{{"note": "{told}', None, '"}'], 60) == (f'{{"note": "{told}', '"}')
