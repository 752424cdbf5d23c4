"""The documented rule and the simulated application that follows it."""

import pytest

from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject
from sia_dagster.demo import optimizer
from sia_dagster.demo import simulated_judge as judge
from sia_dagster.demo.application import BASE_POLICY, NOTE, answer
from sia_dagster.demo.checks import MOST_WORDS, is_brief
from sia_dagster.demo.customers import INJECTED_LINE
from sia_dagster.demo.simulation_rules import (
    APPLICATION,
    ELEMENTS,
    HEDGES,
    JUDGE,
    OPTIMIZER,
    SIGNATURE,
    Element,
    draw,
    holds,
    level_of,
    missing_elements,
    order_in,
    pick,
)
from sia_dagster.demo.traffic import FIRST_WEEK
from sia_dagster.demo.wire import Reply, completion, text_of
from sia_dagster_tests.places import DOCS

ORDER, DEADLINE, CLOSING = ELEMENTS
FULL_PROMPT = "\n".join([BASE_POLICY.system_prompt, *(element.firm for element in ELEMENTS)])
GOOD = f"I have looked into order 48213. You will hear from us within 2 working days.\n{SIGNATURE}"
TRIES = 2000


def chat(prompt: str, request: str) -> list[JsonObject]:
    return [{"role": "system", "content": prompt}, {"role": "user", "content": request}]


def request(number: int) -> str:
    return f"Hello, my order {10_000 + number} is late, message {number}."


def pass_rate(prompt: str) -> float:
    asked = [request(number) for number in range(TRIES)]
    return sum(not missing_elements(text, answer(chat(prompt, text))) for text in asked) / TRIES


def test_draw_lies_in_its_range_and_follows_its_parts() -> None:
    draws = [draw("a", str(number)) for number in range(TRIES)]
    assert all(0 <= value < 1 for value in draws)
    assert 0.47 < sum(draws) / TRIES < 0.53
    assert draw("a", "bc") == draw("a", "bc") != draw("ab", "c")
    assert {pick("xyz", str(number)) for number in range(50)} == set("xyz")


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda element: element.name)
def test_prompt_asks_for_an_element_by_its_own_wordings(element: Element) -> None:
    assert level_of(BASE_POLICY.system_prompt, element) == "unasked"
    assert level_of(f"{BASE_POLICY.system_prompt}\n{element.firm}", element) == "asked"
    assert level_of(f"{BASE_POLICY.system_prompt}\n{element.timid}", element) == "hedged"
    assert level_of(f"{element.timid} {element.firm}", element) == "asked"
    others = [other for other in ELEMENTS if other is not element]
    assert all(level_of(element.firm, other) == level_of(element.timid, other) == "unasked" for other in others)


def test_sentences_of_tone_ask_for_nothing() -> None:
    assert all(level_of(tone, element) == "unasked" for tone in optimizer.TONES for element in ELEMENTS)


@pytest.mark.parametrize(
    ("output", "lacking"),
    [
        (GOOD, set()),
        (GOOD.replace("order 48213", "your order"), {"order"}),
        (GOOD.replace("48213", "11111"), {"order"}),
        (GOOD.replace("within 2 working days", "soon"), {"deadline"}),
        (GOOD.replace(SIGNATURE, "Kind regards"), {"signature"}),
        (f"{SIGNATURE}\n{GOOD.replace(SIGNATURE, 'Bye')}", {"signature"}),
        ("", {"order", "deadline", "signature"}),
    ],
)
def test_what_an_answer_lacks(output: str, lacking: set[str]) -> None:
    assert {element.name for element in missing_elements("my order 48213 is late", output)} == lacking


def test_any_order_number_counts_where_the_request_names_none() -> None:
    assert missing_elements("where is it?", GOOD) == ()
    assert order_in("Order number 12345, please") == "12345"
    assert order_in("order 123456") is None


def test_answers_come_as_often_as_documented() -> None:
    one = f"{BASE_POLICY.system_prompt}\n{ORDER.firm}"
    timid = f"{BASE_POLICY.system_prompt}\n{ORDER.timid}"
    assert pass_rate(BASE_POLICY.system_prompt) == pytest.approx(0.6 * 0.65 * 0.95, abs=0.03)
    assert pass_rate(timid) == pytest.approx(0.8 * 0.65 * 0.95, abs=0.03)
    assert pass_rate(one) == pytest.approx(0.97 * 0.65 * 0.95, abs=0.03)
    assert pass_rate(f"{one}\n{DEADLINE.firm}") == pytest.approx(0.97 * 0.97 * 0.95, abs=0.03)
    assert pass_rate(FULL_PROMPT) == pytest.approx(0.97**3, abs=0.03)


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda element: element.name)
def test_asking_for_an_element_seldom_loses_it(element: Element) -> None:
    before = [holds(element, "unasked", request(number)) for number in range(TRIES)]
    after = [holds(element, "asked", request(number)) for number in range(TRIES)]
    lost = sum(had and not has for had, has in zip(before, after, strict=True))
    assert 0 < lost / TRIES < 0.02
    assert sum(after) > sum(before)


def test_rewording_that_asks_for_nothing_new_changes_no_answer() -> None:
    for number in range(100):
        reworded = f"{BASE_POLICY.system_prompt}\n{optimizer.TONES[0]}"
        assert answer(chat(BASE_POLICY.system_prompt, request(number))) == answer(chat(reworded, request(number)))


def test_note_to_the_editor_distracts_the_application() -> None:
    noted = [f"{request(number)}\n{NOTE}{INJECTED_LINE}" for number in range(TRIES)]
    held = sum(not missing_elements(text, answer(chat(FULL_PROMPT, text))) for text in noted)
    assert held / TRIES == pytest.approx(0.6 * 0.65 * 0.95, abs=0.03)
    assert not any(INJECTED_LINE in answer(chat(FULL_PROMPT, text)) for text in noted[:50])


def test_second_turn_takes_the_order_from_the_first() -> None:
    history = [*chat(FULL_PROMPT, "My order 48213 is late."), {"role": "assistant", "content": "Soon."}]
    answers = [answer([*history, {"role": "user", "content": f"When, then? {n}"}]) for n in range(20)]
    assert sum("order 48213" in text for text in answers) >= 15


def test_most_answers_are_brief_whatever_the_prompt() -> None:
    for prompt in (BASE_POLICY.system_prompt, FULL_PROMPT):
        outputs = [answer(chat(prompt, request(number))) for number in range(500)]
        brief = [is_brief(sample_with(output)) for output in outputs]
        assert 0.94 <= sum(brief) / 500 < 1


def test_brevity_counts_words() -> None:
    assert is_brief(sample_with("word " * MOST_WORDS))
    assert not is_brief(sample_with("word " * (MOST_WORDS + 1)))


def sample_with(output: str) -> Sample:
    return Sample(
        span_id="s", trace_id="t", conversation_id="c", start_time=FIRST_WEEK, split="train", output=output
    )  # fmt: skip


def test_application_answers_a_chat_without_a_user() -> None:
    assert "your order" in answer([{"role": "system", "content": "Be kind."}])


def test_text_of_a_message_leaves_pictures_out() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "b"},
    ]
    assert (text_of("a"), text_of(parts), text_of(None)) == ("a", "a\nb", "")


def test_answer_says_that_it_is_simulated() -> None:
    body = completion("simulated-judge", chat("a", "b"), Reply(text="four words of text"))
    assert "simulated" in body["system_fingerprint"]
    assert "simulated" in body["id"]
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"] > 0


def test_page_states_the_rule_as_it_is() -> None:
    page = (DOCS / "demo.md").read_text(encoding="utf-8")
    for element in ELEMENTS:
        numbers = f"{element.chance('unasked'):.2f} | {element.chance('hedged'):.2f} | {element.chance('asked'):.2f}"
        assert f"| {element.name} | {numbers} | {element.missing}" in page
        assert all(f"`{keyword}`" in page for keyword in element.keywords)
    assert all(f"`{hedge}`" in page for hedge in HEDGES)
    assert BASE_POLICY.system_prompt in page
    assert f"{judge.FLIPS:.0%}".replace("%", " %") in page
    assert all(name in page for name in (APPLICATION, JUDGE, OPTIMIZER))
