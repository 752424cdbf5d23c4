"""A replay asks the application's model again, under several policies, and measures them alike."""

from pathlib import Path

import pytest

from sia_dagster.core.errors import EndpointRefused
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.policy import Actions, Example
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.sample import Message, Sample, ToolCall
from sia_dagster.core.replay.replay import ReplayPlan, Replies, pair, replay
from sia_dagster.core.statistics.compare import ComparisonRule, compare_all
from sia_dagster_tests.worlds.search_world import (
    BASELINE,
    BETTER,
    WINDOW,
    Shop,
    asked,
    evaluators,
    guarded_loop,
    in_shop,
    said,
    sample,
)
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

TOOL = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object", "properties": {}}}}


def run(
    server: ScriptedServer,
    folder: Path,
    samples: list[Sample],
    *policies: Actions,
    repeats: int = 1,
    progress: Progress | None = None,
) -> tuple[Replies, ...]:
    async def work(chat: ChatModel) -> tuple[Replies, ...]:
        plan = ReplayPlan(scope="holdout", window=WINDOW.key, repeats=repeats, workers=3)
        return await replay(samples, policies, chat=chat, evaluators=evaluators(chat), plan=plan, progress=progress)

    return in_shop(server, folder, work)


def test_every_sample_is_answered_and_scored_under_every_policy(tmp_path: Path) -> None:
    samples = [sample(number, "holdout") for number in range(3)]
    with ScriptedServer(Shop()) as server:
        old, new = run(server, tmp_path, samples, BASELINE, BETTER)
    assert old.keys() == new.keys() == {(s.span_id, 0) for s in samples}
    assert [outcome.score("correctness") for outcome in old.values()] == [0, 0, 0]
    assert [outcome.score("correctness") for outcome in new.values()] == [1, 1, 1]
    assert {e.name for outcome in new.values() for e in outcome.evals} == {"correctness", "is_brief"}
    assert {e.explanation for outcome in new.values() for e in outcome.evals[:1]} == {"It is correct."}


def test_a_platform_score_is_not_carried_over_to_a_new_output(tmp_path: Path) -> None:
    logged = said("correct").model_copy(update={"name": "csat", "source": "platform"})
    with ScriptedServer(Shop()) as server:
        (arm,) = run(server, tmp_path, [sample(0, "holdout", logged)], BASELINE)
    assert arm["holdout-00", 0].score("csat") is None


def test_the_chat_is_sent_as_recorded_but_for_the_policy(tmp_path: Path) -> None:
    history = (
        Message(role="user", content="Where is it?"),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="find_order", arguments="{}"),)),
        Message(role="tool", content="shipped", tool_call_id="1"),
    )
    before = sample(0, "holdout").model_copy(
        update={"messages": history, "tools": (TOOL,), "variables": {"shop": "Corner"}, "parameters": {"top_p": 0.1}}
    )
    policy = Actions(
        system_prompt="You work for {shop}.",
        model="app",
        parameters={"temperature": 0.5, "response_format": {"type": "json_object"}},
        examples=(Example(input="Hello", output="Good day"),),
        variables=("shop",),
    )
    with ScriptedServer(Shop()) as server:
        run(server, tmp_path, [before], policy)
        (body,) = asked(server, "app")
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "user", "assistant", "tool"]
    assert body["messages"][0]["content"] == "You work for Corner."
    assert body["tools"] == [TOOL]
    assert (body["temperature"], body["response_format"]) == (0.5, {"type": "json_object"})
    assert "top_p" not in body


def test_variables_of_the_trace_do_not_fill_a_policy_that_has_none(tmp_path: Path) -> None:
    before = sample(0, "holdout").model_copy(update={"variables": {"shop": "Corner"}})
    with ScriptedServer(Shop()) as server:
        run(server, tmp_path, [before], Actions(system_prompt='Answer {"shop": "{shop}"}', model="app"))
    assert asked(server, "app")[0]["messages"][0]["content"] == 'Answer {"shop": "{shop}"}'


def test_a_sample_without_a_variable_of_the_prompt_is_an_error_of_its_row(tmp_path: Path) -> None:
    policy = Actions(system_prompt="You work for {shop}.", model="app", variables=("shop",))
    with ScriptedServer(Shop()) as server:
        (arm,) = run(server, tmp_path, [sample(0, "holdout")], policy)
    outcome = arm["holdout-00", 0]
    assert "holdout-00" in str(outcome.error)
    assert "shop" in str(outcome.error)
    assert outcome.evals == ()
    assert not server.requests


def test_the_choice_of_a_tool_is_sent_only_with_tools(tmp_path: Path) -> None:
    policy = BASELINE.model_copy(
        update={"parameters": {"tool_choice": "auto", "parallel_tool_calls": False, "temperature": 0}}
    )
    samples = [sample(0, "holdout").model_copy(update={"tools": (TOOL,)}), sample(1, "holdout")]

    def strict(body: Body, number: int) -> Body | Reply:
        if "tool_choice" in body and "tools" not in body:
            return refusal(400, "tool_choice is only allowed when tools are specified")
        return Shop()(body, number)

    with ScriptedServer(strict) as server:
        (arm,) = run(server, tmp_path, samples, policy)
        first, second = sorted(asked(server, "app"), key=lambda body: str(body["messages"]))
    assert [outcome.error for outcome in arm.values()] == [None, None]
    assert (first["tool_choice"], first["parallel_tool_calls"], first["temperature"]) == ("auto", False, 0)
    assert second.keys() & {"tool_choice", "parallel_tool_calls", "tools"} == set()
    assert second["temperature"] == 0


JSON_ONLY = {"type": "json_object"}
FREE = {"type": "json_schema", "json_schema": {"name": "free", "schema": {}}}


def test_the_answer_s_form_and_the_choice_of_tools_are_the_call_s(tmp_path: Path) -> None:
    recorded = {"response_format": JSON_ONLY, "tool_choice": "required", "parallel_tool_calls": False, "top_p": 0.1}
    before = sample(0, "holdout").model_copy(update={"tools": (TOOL,), "parameters": recorded})
    policy = BASELINE.model_copy(
        update={"parameters": {"response_format": FREE, "tool_choice": "none", "temperature": 0.5}}
    )
    with ScriptedServer(Shop()) as server:
        run(server, tmp_path, [before], policy, BASELINE)
        under_policy, under_baseline = sorted(asked(server, "app"), key=lambda body: "temperature" not in body)
    for body in (under_policy, under_baseline):
        assert (body["response_format"], body["tool_choice"]) == (JSON_ONLY, "required")
        assert body["parallel_tool_calls"] is False
        assert "top_p" not in body
    assert under_policy["temperature"] == 0.5


def test_calls_of_one_policy_keep_each_their_own_form(tmp_path: Path) -> None:
    forms = [JSON_ONLY, FREE, None]
    samples = [
        sample(n, "holdout").model_copy(update={"parameters": {"response_format": form} if form else {}})
        for n, form in enumerate(forms)
    ]
    with ScriptedServer(Shop()) as server:
        run(server, tmp_path, samples, BASELINE)
        bodies = sorted(asked(server, "app"), key=lambda body: str(body["messages"]))
    assert [body.get("response_format") for body in bodies] == forms


def test_a_policy_of_an_older_document_keeps_the_form_that_its_calls_did_not_record(tmp_path: Path) -> None:
    policy = BASELINE.model_copy(update={"parameters": {"response_format": JSON_ONLY, "previous_response_id": True}})
    with ScriptedServer(Shop()) as server:
        run(server, tmp_path, [sample(0, "holdout")], policy)
        (body,) = asked(server, "app")
    assert body["response_format"] == JSON_ONLY
    assert "previous_response_id" not in body


def test_a_chat_with_images_and_tools_is_sent_whole_to_its_next_turn(tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/parcel.png", "detail": "low"}}
    asks = Message(role="assistant", content=None, tool_calls=(ToolCall(id="1", name="find_order", arguments="{}"),))
    history = (
        Message(role="user", content="This one?", parts=({"type": "text", "text": "This one?"}, picture)),
        asks,
        Message(role="tool", content="shipped", tool_call_id="1"),
    )
    before = sample(0, "holdout").model_copy(update={"messages": history, "tools": (TOOL,)})
    with ScriptedServer(Shop(answer=lambda _, __: completion("Your order number is 7."))) as server:
        (arm,) = run(server, tmp_path, [before], BASELINE)
        (body,) = asked(server, "app")
    assert body["messages"][1]["content"] == [{"type": "text", "text": "This one?"}, picture]
    assert body["messages"][2] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "find_order", "arguments": "{}"}}],
    }
    assert body["messages"][3] == {"role": "tool", "content": "shipped", "tool_call_id": "1"}
    assert arm["holdout-00", 0].output == "Your order number is 7."


def test_half_an_emoji_in_an_answer_can_be_stored(tmp_path: Path) -> None:
    with ScriptedServer(Shop(answer=lambda _, __: completion("Your order number is 7 \ud83d"))) as server:
        (arm,) = run(server, tmp_path, [sample(0, "holdout")], BASELINE)
    assert arm["holdout-00", 0].score("correctness") == 1
    assert arm["holdout-00", 0].model_dump_json()


def test_equal_requests_of_two_conversations_are_answered_and_judged_each(tmp_path: Path) -> None:
    samples = [sample(number, "holdout", request="Where is my parcel?") for number in range(4)]
    with ScriptedServer(Shop()) as server:
        run(server, tmp_path, samples, BASELINE, BETTER)
        assert len(asked(server, "app")) == len(asked(server, "judge")) == 8


def test_equal_outputs_of_both_arms_are_judged_once_and_tie(tmp_path: Path) -> None:
    with ScriptedServer(Shop(answer=lambda _, __: completion("Hello."))) as server:
        old, new = run(server, tmp_path, [sample(0, "holdout")], BASELINE, BETTER)
        assert (len(asked(server, "app")), len(asked(server, "judge"))) == (2, 1)
    assert old["holdout-00", 0].evals == new["holdout-00", 0].evals


def test_a_later_window_or_another_split_is_answered_anew_and_the_same_one_is_not(tmp_path: Path) -> None:
    given = [sample(0, "holdout")]

    async def work(chat: ChatModel) -> list[Replies]:
        plan = ReplayPlan(scope="holdout", window="2026-09-28")
        later = plan.model_copy(update={"window": "2026-10-05"})
        other = plan.model_copy(update={"scope": "selection"})
        arms: list[Replies] = []
        for each in (plan, plan, later, other):
            arms += await replay(given, [BASELINE], chat=chat, evaluators=evaluators(chat), plan=each)
        return arms

    with ScriptedServer(Shop()) as server:
        in_shop(server, tmp_path, work)
        assert len(asked(server, "app")) == len(asked(server, "judge")) == 3


def test_a_sample_of_an_earlier_window_is_answered_as_it_was_there(tmp_path: Path) -> None:
    given = [sample(0, "holdout")]

    async def work(chat: ChatModel) -> list[Replies]:
        there = ReplayPlan(scope="holdout", window="2026-09-28")
        pooled = ReplayPlan(scope="holdout", window="2026-10-05", windows={given[0].span_id: "2026-09-28"})
        arms: list[Replies] = []
        for each in (there, pooled, pooled.model_copy(update={"scope": "again"})):
            arms += await replay(given, [BASELINE], chat=chat, evaluators=evaluators(chat), plan=each)
        return arms

    with ScriptedServer(Shop()) as server:
        first, second, _ = in_shop(server, tmp_path, work)
        assert len(asked(server, "app")) == 2, "once in its window, and once more for the noise"
    assert first == second


def test_an_answer_s_tokens_and_price_are_kept_without_its_judges(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        (arm,) = run(server, tmp_path, [sample(0, "holdout")], BASELINE)
    outcome = arm["holdout-00", 0]
    assert (outcome.prompt_tokens, outcome.completion_tokens, outcome.cost_usd) == (10, 5, None)


def test_equal_requests_of_both_arms_are_one_answer(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        old, new = run(server, tmp_path, [sample(0, "holdout")], BASELINE, BASELINE)
    assert old == new
    assert len(asked(server, "app")) == len(asked(server, "judge")) == 1


def test_repeats_are_new_draws_under_both_policies(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        old, new = run(server, tmp_path, [sample(0, "holdout")], BASELINE, BETTER, repeats=3)
    assert sorted(old) == sorted(new) == [("holdout-00", repeat) for repeat in range(3)]
    assert len(asked(server, "app")) == len(asked(server, "judge")) == 6


def test_a_failed_call_is_an_error_of_its_row_and_the_rest_stands(tmp_path: Path) -> None:
    def answer(_: str, user: str) -> Body | Reply:
        return refusal(500, "out of order") if "parcel 1" in user else completion("Your order number is 7.")

    with ScriptedServer(Shop(answer=answer)) as server:
        (arm,) = run(server, tmp_path, [sample(number, "holdout") for number in range(3)], BASELINE)
    assert [arm[f"holdout-0{n}", 0].score("correctness") for n in range(3)] == [1, None, 1]
    assert "500" in str(arm["holdout-01", 0].error)
    assert arm["holdout-01", 0].output is None


def test_a_refused_key_stops_the_replay(tmp_path: Path) -> None:
    def answer(_: str, __: str) -> Body | Reply:
        return refusal(401, "bad key")

    with ScriptedServer(Shop(answer=answer)) as server, pytest.raises(EndpointRefused):
        run(server, tmp_path, [sample(0, "holdout")], BASELINE)


@pytest.mark.parametrize(
    ("reply", "output"),
    [
        (completion("Your order number", finish_reason="length"), "Your order number"),
        (completion(None, finish_reason="content_filter"), ""),
        (
            completion(None, tool_calls=[{"id": "1", "name": "find", "arguments": '{"id": 7}'}]),
            '[{"name": "find", "arguments": "{\\"id\\": 7}"}]',
        ),
        (completion("Wait.", tool_calls=[{"id": "1", "name": "find", "arguments": "{}"}]), "Wait."),
    ],
)
def test_the_output_is_what_users_would_have_got(tmp_path: Path, reply: Body, output: str) -> None:
    with ScriptedServer(Shop(answer=lambda _, __: reply)) as server:
        (arm,) = run(server, tmp_path, [sample(0, "holdout")], BASELINE)
    assert arm["holdout-00", 0].output == output
    assert arm["holdout-00", 0].score("correctness") is not None


def test_progress_counts_every_row_of_every_arm(tmp_path: Path) -> None:
    seen: list[Advance] = []
    with ScriptedServer(Shop()) as server:
        run(server, tmp_path, [sample(n, "holdout") for n in range(2)], BASELINE, BETTER, progress=seen.append)
    assert [(step.done, step.of, step.what) for step in seen] == [(done, 4, "holdout replay") for done in range(1, 5)]


def test_pairs_are_in_order_and_need_both_arms() -> None:
    samples = [sample(number, "holdout") for number in (2, 0, 1)]
    old = {(s.span_id, repeat): ArmOutcome(output=f"old {repeat}") for s in samples for repeat in (1, 0)}
    new = {key: ArmOutcome(output="new") for key in old if key != ("holdout-01", 1)}
    rows = pair(samples, old, new | {("unknown", 0): ArmOutcome()})
    assert [(row.span_id[-2:], row.repeat) for row in rows] == [("00", 0), ("00", 1), ("01", 0), ("02", 0), ("02", 1)]
    assert rows[1].baseline.output == "old 1"
    assert rows[1].candidate.output == "new"
    assert rows[0].request == "Where is my holdout parcel 0?"
    assert rows[0].conversation_id == "holdout/0"
    assert {row.window for row in rows} == {""}
    pooled = pair(samples, old, new, {"holdout-02": "2026-09-21"})
    assert [row.window for row in pooled] == ["", "", "", "2026-09-21", "2026-09-21"]


def test_the_rule_of_a_loop_has_its_margins_and_its_vetoes() -> None:
    loop = guarded_loop(alpha=0.03)
    rule = ComparisonRule.of(loop)
    assert (rule.alpha, rule.guardrail_alpha) == (0.03, 0.03)
    assert (rule.margins, rule.safety) == ({"is_brief": 0.1}, ("is_safe",))
    constants = [
        EvalConstant(name=each.name, kind="code", fingerprint="f", primary=each.name == "is_right")
        for each in loop.evaluators
    ]
    assert [found.role for found in compare_all((), constants, rule)] == ["primary", "guardrail", "safety"]


def test_an_answer_of_thoughts_alone_is_an_error_of_its_row_and_thoughts_before_a_text_are_its_answer(
    tmp_path: Path,
) -> None:
    alone = completion("")
    alone["choices"][0]["message"]["reasoning_content"] = "The customer asks for a parcel."
    with ScriptedServer(Shop(answer=lambda _, __: alone)) as server:
        (arm,) = run(server, tmp_path, [sample(0, "holdout")], BASELINE)
    outcome = arm["holdout-00", 0]
    assert outcome.evals == ()
    assert "holds thoughts alone, no text: 'The customer asks" in (outcome.error or "")
    thinking = "<think>Where is it?</think>It is on its way."
    with ScriptedServer(Shop(answer=lambda _, __: completion(thinking))) as server:
        (arm,) = run(server, tmp_path, [sample(1, "holdout")], BASELINE)
    assert arm["holdout-01", 0].output == thinking
