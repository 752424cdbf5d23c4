"""A judge works on any endpoint: how it asks is found out once, by what the endpoint refuses."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.errors import EndpointRefused
from sia_dagster.core.evaluators.judge.llm_judge import LLMClassify
from sia_dagster.core.ports.model import ChatModel, ChatReply, ChatRequest
from sia_dagster.core.prompting.answer_text import read_json
from sia_dagster.core.prompting.structured_answer import AnswerMethod, Form
from sia_dagster.core.prompting.structured_calls import StructuredCalls
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.spend import Spend
from sia_dagster_tests.worlds.evaluation_samples import (
    classified,
    endpoint_with,
    judge_one,
    rung_of,
    sample,
    says,
    spec,
    with_chat,
)
from simulation.servers import Answer, Body, Reply, ScriptedServer, completion, refusal

LADDER = ("json_schema", "tools", "json_object", "text")


async def judge_each(chat: ChatModel, outputs: list[str]) -> list[EvalMetrics]:
    evaluator = LLMClassify(spec(), chat)
    return [await evaluator.score(sample(output), "logged/0") for output in outputs]


@pytest.mark.parametrize("known", LADDER)
def test_the_way_that_works_is_remembered_for_all_rows(known: str, tmp_path: Path) -> None:
    outputs = [f"answer {n}" for n in range(5)]
    with ScriptedServer(endpoint_with(known)) as server:
        results = with_chat(server, tmp_path, lambda chat: judge_each(chat, outputs))
        asked = Counter(rung_of(body) for body in server.requests)
    refused = LADDER[: LADDER.index(known)]
    assert asked == {known: 5, **dict.fromkeys(refused, 1)}
    assert [(r.label, r.score, r.explanation, r.error) for r in results] == [("correct", 1.0, "Because.", None)] * 5


@pytest.mark.parametrize("status", [404, 422])
def test_a_refusal_is_known_by_its_words(status: int, tmp_path: Path) -> None:
    metrics, _ = judge_one(endpoint_with("json_object", status=status), tmp_path)
    assert metrics.score == 1.0


def test_a_400_without_words_descends_while_nothing_is_proven(tmp_path: Path) -> None:
    def vague(body: Body, _: int) -> Reply | Body:
        return completion("Fine.\nLABEL: correct") if rung_of(body) == "text" else refusal(400, "Bad request.")

    metrics, _ = judge_one(vague, tmp_path)
    assert (metrics.label, metrics.explanation) == ("correct", "Fine.")


def test_once_a_way_is_proven_a_vague_400_is_the_rows_own(tmp_path: Path) -> None:
    def answer(body: Body, _: int) -> Reply | Body:
        too_long = "endless" in body["messages"][-1]["content"]
        return refusal(400, "The prompt is too long.") if too_long else completion(classified("correct"))

    with ScriptedServer(answer) as server:
        results = with_chat(server, tmp_path, lambda chat: judge_each(chat, ["short", "endless", "brief"]))
        assert [rung_of(body) for body in server.requests] == ["json_schema"] * 3
    assert [r.score for r in results] == [1.0, None, 1.0]
    assert "The prompt is too long." in (results[1].error or "")


def test_a_row_that_no_way_saves_teaches_nothing(tmp_path: Path) -> None:
    def answer(body: Body, _: int) -> Reply | Body:
        strange = "strange" in body["messages"][-1]["content"]
        return refusal(400, "Bad request.") if strange else completion(classified("correct"))

    with ScriptedServer(answer) as server:
        results = with_chat(server, tmp_path, lambda chat: judge_each(chat, ["strange", "short"]))
        assert [rung_of(body) for body in server.requests] == [*LADDER, "json_schema"]
    assert [r.score for r in results] == [None, 1.0]


def test_a_models_name_is_no_refusal_of_tools(tmp_path: Path) -> None:
    def answer(body: Body, n: int) -> Reply | Body:
        return completion(classified("correct")) if n == 0 else refusal(422, f"{body['model']}: too long")

    async def work(chat: ChatModel) -> list[EvalMetrics]:
        evaluator = LLMClassify(spec(model="tool-use-7b"), chat)
        return [await evaluator.score(sample(output), "logged/0") for output in ("a", "b")]

    with ScriptedServer(answer) as server:
        results = with_chat(server, tmp_path, work)
        assert len(server.requests) == 2
    assert [r.score for r in results] == [1.0, None]


@pytest.mark.parametrize("method", LADDER)
def test_temperature_is_dropped_where_the_model_refuses_it(method: str, tmp_path: Path) -> None:
    supported = endpoint_with(method)

    def reasoning(body: Body, n: int) -> Reply | Body:
        if "temperature" in body:
            return refusal(400, "Unsupported value: 'temperature' does not support 0 with this model.")
        return supported(body, n)

    with ScriptedServer(reasoning) as server:
        results = with_chat(server, tmp_path, lambda chat: judge_each(chat, ["one", "two"]))
        assert sum("temperature" in body for body in server.requests) == 1
    assert [r.score for r in results] == [1.0, 1.0]


def test_workers_in_flight_share_what_one_of_them_found(tmp_path: Path) -> None:
    async def work(chat: ChatModel) -> list[EvalMetrics]:
        evaluator = LLMClassify(spec(), chat)
        together = await asyncio.gather(*(evaluator.score(sample(f"first {n}"), "logged/0") for n in range(4)))
        return [*together, *[await evaluator.score(sample(f"then {n}"), "logged/0") for n in range(4)]]

    with ScriptedServer(endpoint_with("json_object")) as server:
        results = with_chat(server, tmp_path, work)
        later = [rung_of(body) for body in server.requests if "then" in body["messages"][-1]["content"]]
    assert later == ["json_object"] * 4
    assert {r.score for r in results} == {1.0}


def test_a_refused_key_stops_the_stage(tmp_path: Path) -> None:
    with pytest.raises(EndpointRefused):
        judge_one(lambda body, n: refusal(401, "Incorrect API key."), tmp_path)


def test_refused_ways_are_not_counted_so_that_a_stored_answer_reads_the_same(tmp_path: Path) -> None:
    first, _ = judge_one(endpoint_with("text"), tmp_path)
    with ScriptedServer(endpoint_with("text")) as server:
        again = with_chat(server, tmp_path, lambda chat: judge_each(chat, [sample().output]))
    assert (first.attempts, again[0].attempts) == (1, 1)


SHAPE = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


@pytest.mark.parametrize("method", AnswerMethod)
def test_every_way_asks_for_the_whole_shape_and_keeps_the_request(method: AnswerMethod) -> None:
    request = ChatRequest(model="m", messages=({"role": "user", "content": "Count."},), draw="d", stage="update")
    asked = Form(name="count", shape=SHAPE).at(method, request)
    structured = json.dumps([asked.response_format, asked.tools])
    assert json.dumps(SHAPE) in (structured if method <= AnswerMethod.TOOLS else asked.messages[-1]["content"])
    assert (asked.model, asked.draw, asked.stage) == ("m", "d", "update")
    assert str(asked.messages[-1]["content"]).startswith("Count.")


def test_a_form_without_its_own_words_is_read_from_a_code_fence(tmp_path: Path) -> None:
    request = ChatRequest(model="m", messages=({"role": "user", "content": "Count."},), stage="update")
    refuse = endpoint_with("text")

    def answer(body: Body, n: int) -> Reply | Body:
        fenced = completion('Here it is.\n```json\n{"n": 3}\n```')
        return fenced if rung_of(body) == "text" else refuse(body, n)

    with ScriptedServer(answer) as server:
        calls = with_chat(
            server, tmp_path, lambda chat: StructuredCalls(chat, Form(name="c", shape=SHAPE)).ask(request)
        )
    assert (calls.content, calls.problem) == ({"n": 3}, "")


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```\n{"a": 1}\n```\nor rather\n```json\n{"a": 2}\n```', {"a": 2}),
        ("[1]", None),
        ('{"a": 1', None),
        ("", None),
        ("[" * 100_000, None),
        (
            r'{"a": "\ud83d!", "\udc4d": [{"b": "\udc4d\ud83d"}], "n": 1}',
            {"a": "\ufffd!", "\ufffd": [{"b": "\ufffd\ufffd"}], "n": 1},
        ),
        (r'{"a": "\ud83d\udc4d"}', {"a": "👍"}),
    ],
)
def test_json_is_read_whole_or_not_at_all(text: str, content: object) -> None:
    assert read_json(text) == content


@pytest.mark.parametrize(
    "text", ['{"label": ' * 20_000, '{"label": ' * 900 + "1" + "}" * 900, '{"a": [' * 400 + "]}" * 400]
)
def test_an_answer_of_any_depth_is_read_or_refused(text: str) -> None:
    form = Form(name="c", shape={"properties": {"label": {"enum": ["a"]}}, "required": ["label"]})
    for written in (text, f"Hm.\n{text}"):
        answer = form.read(AnswerMethod.JSON_SCHEMA, ChatReply(text=written), judged=text)
        assert (answer.content is None) == bool(answer.problem)


@given(st.recursive(st.text(st.characters()), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_every_json_that_is_read_can_be_stored(content: object) -> None:
    read = read_json(json.dumps({"content": content}))
    assert json.dumps(read, ensure_ascii=False).encode()


def test_half_an_emoji_in_a_judges_answer_is_replaced_and_the_row_stands(tmp_path: Path) -> None:
    metrics, _ = judge_one(says(r'{"explanation": "Cut off: \ud83d", "label": "correct"}'), tmp_path)
    assert (metrics.label, metrics.explanation, metrics.error) == ("correct", "Cut off: \ufffd", None)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (says('{"explanation": "cut', finish_reason="length"), "cut off at the token limit"),
        (says(classified("correct"), finish_reason="length"), "cut off at the token limit"),
        (says("", finish_reason="content_filter"), "content filter"),
        (says("correct"), "not of the form asked for: 'correct'"),
        (says(""), "the reply holds no answer"),
        (says("x" * 500), "xxx..."),
        (lambda body, n: refusal(500, "Out of order."), "Out of order."),
    ],
)
def test_an_unusable_answer_is_an_error_of_its_row(answer: Answer, problem: str, tmp_path: Path) -> None:
    metrics, _ = judge_one(answer, tmp_path)
    assert (metrics.label, metrics.score) == (None, None)
    assert problem in (metrics.error or "")
    assert metrics.attempts == 1


def in_another_form(*ways: str, answers: dict[str, str] | None = None) -> Answer:
    """An endpoint that takes every way of asking with status 200, and answers in prose in those ways."""

    def answer(body: Body, n: int) -> Reply | Body:
        rung = rung_of(body)
        if rung in ways:
            return completion((answers or {}).get(rung, "I find the answer correct."))
        return endpoint_with(rung)(body, n)

    return answer


@pytest.mark.parametrize("known", LADDER[1:])
def test_a_way_whose_answers_have_another_form_is_left_for_all_rows_and_remembered(known: str, tmp_path: Path) -> None:
    """Proven by the form of two answers, not by their status; rows in flight wait for these two."""
    ignored = LADDER[: LADDER.index(known)]
    outputs = [f"answer {n}" for n in range(12)]

    async def at_once(chat: ChatModel, outputs: list[str]) -> tuple[list[EvalMetrics], list[Spend]]:
        evaluator = LLMClassify(spec(), chat)
        found = await asyncio.gather(*(evaluator.score(sample(output), "logged/0") for output in outputs))
        return found, list(chat.spend.values())

    with ScriptedServer(in_another_form(*ignored)) as server:
        results, spend = with_chat(server, tmp_path, lambda chat: at_once(chat, outputs))
        assert Counter(map(rung_of, server.requests)) == {known: 12, **dict.fromkeys(ignored, 2)}
        assert {(r.label, r.error) for r in results} == {("correct", None)}
        server.requests.clear()
        again, same_spend = with_chat(server, tmp_path, lambda chat: at_once(chat, outputs))
        assert server.requests == []
        with_chat(server, tmp_path, lambda chat: at_once(chat, ["of a later window"]))
        assert list(map(rung_of, server.requests)) == [known]
    # The same documents, though the second run does not ask in the ways that the first found to be ignored.
    assert [r.model_copy(update={"attempts": 1}) for r in again] == list(results)
    assert [each.model_dump() for each in same_spend] == [each.model_dump() for each in spend]


def test_one_row_in_another_form_changes_nothing_for_the_others(tmp_path: Path) -> None:
    def answer(body: Body, _: int) -> Reply | Body:
        odd = "odd" in body["messages"][-1]["content"]
        return completion("I would rather not say." if odd else classified("correct"))

    with ScriptedServer(answer) as server:
        results = with_chat(server, tmp_path, lambda chat: judge_each(chat, ["plain", "odd", "plain again"]))
        assert [rung_of(body) for body in server.requests] == ["json_schema"] * 3
    assert [r.score for r in results] == [1.0, None, 1.0]
    assert "I would rather not say." in (results[1].error or "")


@pytest.mark.parametrize(
    ("reply", "each"),
    [
        (refusal(400, "Bad request."), 1),
        (refusal(400, "The prompt is too long: 9000 tokens."), 1),
        (refusal(403, "Your input was flagged."), 1),
        (Reply(body=completion("I find the answer correct.")), 1),
        (Reply(body=completion("cut", finish_reason="length")), 1),
        (Reply(body=completion("", finish_reason="content_filter")), 1),
        (refusal(500, "Out of order."), 1),
    ],
)
def test_an_endpoint_that_never_answers_in_the_form_costs_few_calls_a_row(
    reply: Reply, each: int, tmp_path: Path
) -> None:
    outputs = [f"answer {n}" for n in range(20)]

    async def at_once(chat: ChatModel) -> list[EvalMetrics]:
        evaluator = LLMClassify(spec(), chat)
        return await asyncio.gather(*(evaluator.score(sample(output), "logged/0") for output in outputs))

    with ScriptedServer(lambda *_: reply) as server:
        results = with_chat(server, tmp_path, at_once)
        assert len(server.requests) <= 20 * each + 3 * (len(LADDER) - 1)
    assert {r.score for r in results} == {None}


def test_rows_of_their_own_kind_at_the_start_do_not_hide_the_way_that_works(tmp_path: Path) -> None:
    """Truncated, moderated and broken rows say nothing of the way; the row behind them finds it."""
    replies: dict[str, Reply | Body] = {
        "0": completion("cut", finish_reason="length"),
        "1": refusal(403, "Your input was flagged."),
        "2": refusal(500, "Out of order."),
        "3": refusal(400, "This model's maximum context length is 8192 tokens."),
    }
    known = in_another_form("json_schema")

    def answer(body: Body, n: int) -> Reply | Body:
        asked = str(body["messages"][-1]["content"])
        own = next((reply for number, reply in replies.items() if f"answer {number}!" in asked), None)
        return known(body, n) if own is None else own

    async def at_once(chat: ChatModel) -> list[EvalMetrics]:
        evaluator = LLMClassify(spec(), chat)
        return await asyncio.gather(*(evaluator.score(sample(f"answer {n}!"), "logged/0") for n in range(12)))

    async def spending(chat: ChatModel) -> tuple[list[EvalMetrics], list[Spend]]:
        return await at_once(chat), list(chat.spend.values())

    with ScriptedServer(answer) as server:
        results, spend = with_chat(server, tmp_path, spending)
        assert [r.score for r in results] == [None] * 4 + [1.0] * 8
        assert len(server.requests) <= 2 * 12
        _, same = with_chat(server, tmp_path, spending)
    assert [each.model_dump() for each in same] == [each.model_dump() for each in spend]


def test_one_odd_answer_at_the_start_is_no_proof_that_a_way_is_ignored(tmp_path: Path) -> None:
    def answer(body: Body, n: int) -> Reply | Body:
        odd = "odd" in str(body["messages"][-1]["content"]) and rung_of(body) == "json_schema"
        return completion("I would rather not say.") if odd else endpoint_with(rung_of(body))(body, n)

    with ScriptedServer(answer) as server:
        results = with_chat(server, tmp_path, lambda chat: judge_each(chat, ["odd", "plain", "plain again"]))
        assert [rung_of(body) for body in server.requests] == ["json_schema", "tools", "json_schema", "json_schema"]
        assert [r.score for r in results] == [1.0] * 3
        server.requests.clear()
        with_chat(server, tmp_path, lambda chat: judge_each(chat, ["later"]))
        assert [rung_of(body) for body in server.requests] == ["json_schema"]


def test_a_few_rows_find_the_way_behind_many_that_are_withheld(tmp_path: Path) -> None:
    known = in_another_form("json_schema")

    def answer(body: Body, n: int) -> Reply | Body:
        withheld = any(f"answer {number}!" in str(body["messages"][-1]["content"]) for number in range(3))
        return completion("", finish_reason="content_filter") if withheld else known(body, n)

    async def at_once(chat: ChatModel) -> list[EvalMetrics]:
        evaluator = LLMClassify(spec(), chat)
        return await asyncio.gather(*(evaluator.score(sample(f"answer {n}!"), "logged/0") for n in range(30)))

    with ScriptedServer(answer) as server:
        results = with_chat(server, tmp_path, at_once)
        assert Counter(map(rung_of, server.requests)) == {"json_schema": 3 + 2, "tools": 27}
    assert [r.score for r in results] == [None] * 3 + [1.0] * 27


@pytest.mark.parametrize("odd_rows", [1, 4])
@pytest.mark.parametrize(
    "odd",
    [
        completion("I think that it is fine."),
        refusal(400, "response_format of type json_schema is not supported with so long a prompt."),
    ],
    ids=["an odd answer", "a refusal in words"],
)
def test_what_another_judge_found_out_does_not_make_a_finished_window_pay_again(
    odd: Reply | Body, odd_rows: int, tmp_path: Path
) -> None:
    """The window's answers are those that are stored, a withheld one among them, though later rows are asked anew."""

    def answer(body: Body, n: int) -> Reply | Body:
        asked, rung = str(body["messages"][-1]["content"]), rung_of(body)
        if "withheld" in asked:
            return completion("", finish_reason="content_filter")
        return odd if rung == "json_schema" and "Second" in asked else endpoint_with(rung)(body, n)

    async def window(chat: ChatModel) -> tuple[list[EvalMetrics], dict[str, Spend]]:
        return await judge_each(chat, ["one", "withheld", "two", "three"]), dict(chat.spend)

    async def another(chat: ChatModel) -> None:
        judge = LLMClassify(spec(template="Second: {output}"), chat)
        await asyncio.gather(*(judge.score(sample(f"row {n}"), "logged/0") for n in range(odd_rows)))

    with ScriptedServer(answer) as server:
        before, spend = with_chat(server, tmp_path, window)
        with_chat(server, tmp_path, another)
        server.requests.clear()
        after, same_spend = with_chat(server, tmp_path, window)
        assert server.requests == []
    assert after == before
    paid = {name: each.paid_calls for name, each in spend.items()}
    assert {name: each.model_copy(update={"paid_calls": paid[name]}) for name, each in same_spend.items()} == spend


def test_an_ignored_form_is_still_asked_for_where_a_recorded_call_had_it(tmp_path: Path) -> None:
    """What a judge found out must not change what a replay sends."""
    asked = ChatRequest(
        model="judge", messages=({"role": "user", "content": "Hi"},), response_format={"type": "json_schema"}
    )

    async def work(chat: ChatModel) -> str:
        await LLMClassify(spec(), chat).score(sample(), "logged/0")
        return (await chat.complete(asked)).text

    with ScriptedServer(in_another_form("json_schema")) as server:
        assert with_chat(server, tmp_path, work) == "I find the answer correct."


def test_a_way_that_answered_in_the_form_once_is_not_left_for_one_odd_row(tmp_path: Path) -> None:
    """A second judge of the same form meets an odd row first: the first judge's way stays, in later runs too."""

    def answer(body: Body, n: int) -> Reply | Body:
        asked, rung = str(body["messages"][-1]["content"]), rung_of(body)
        odd = "odd" in asked and rung == "json_schema"
        return completion("I would rather not say.") if odd else endpoint_with(rung)(body, n)

    async def two(chat: ChatModel) -> list[EvalMetrics]:
        one, other = LLMClassify(spec(), chat), LLMClassify(spec(template="Judge: {output}"), chat)
        return [await one.score(sample("plain"), "logged/0"), await other.score(sample("odd"), "logged/0")]

    with ScriptedServer(answer) as server:
        assert [r.score for r in with_chat(server, tmp_path, two)] == [1.0, 1.0]
        server.requests.clear()
        with_chat(server, tmp_path, lambda chat: judge_each(chat, ["later"]))
        assert [rung_of(body) for body in server.requests] == ["json_schema"]
