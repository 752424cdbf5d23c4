"""The estimate: which calls a window makes, what they take, and how near that comes to what a window spent."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.config.loop import LoopConfig, ProjectConfig
from sia_dagster.core.cost.call_sizes import (
    EXPLANATION_TOKENS,
    GROWTH_TOKENS,
    LABEL_TOKENS,
    MESSAGE_TOKENS,
    UPDATE_TOKENS,
)
from sia_dagster.core.cost.estimate import Estimate, StageEstimate, estimate
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.openinference.samples import samples_from_rows
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.prompting.tokens import estimate_tokens
from sia_dagster.core.records.policy import Actions, Example
from sia_dagster.core.records.sample import Message, Sample, Split, ToolCall
from sia_dagster.core.records.spend import Spend, total
from sia_dagster.core.traffic.baseline import build_baseline
from sia_dagster.demo.demo_definitions import demo_config
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster.demo.traffic import WEEKS, week_windows, write_traffic
from sia_dagster.wiring.loop_session import ChatSettings, LoopSession
from sia_dagster.wiring.platforms import trace_source
from sia_dagster.wiring.session import eval_constants
from sia_dagster.wiring.stages import evaluate_window, search_window, validate_window
from sia_dagster_tests.places import EVALUATIONS

START = datetime(2026, 9, 14, tzinfo=UTC)

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll", "larch"]

JUDGE: dict[str, Any] = {
    "name": "correctness",
    "kind": "llm_classify",
    "model": "judge",
    "template": "Is it right?\n{output}",
    "rails": {"right": 1, "wrong": 0},
}

CODE: dict[str, Any] = {"name": "is_brief", "kind": "code", "function": "package.checks:is_brief"}

PLAIN: dict[str, Any] = {"repeats": 1, "pool_windows": 0, "noise_conversations": 0}
"""A validation of the window's own holdout alone."""


def loop(*evaluators: dict[str, Any], validation: dict[str, Any] | None = None, **changes: Any) -> LoopConfig:
    listed = evaluators or (JUDGE,)
    entry = {
        "name": "desk",
        "traces": {"source": "local", "path": "traces"},
        "start": "2026-09-14",
        "evaluators": listed,
        "policy": {"model": "optimizer", "candidates": 2},
        "validation": {"primary": listed[0]["name"], **(PLAIN if validation is None else validation)},
        "watch": {"anchors": 0, "probes": 0},
    }
    return LoopConfig.model_validate({**entry, **changes})


def sample(number: int, split: Split = "train", **fields: Any) -> Sample:
    asked = f"{WORDS[number % 12]} and {WORDS[number // 12 % 12]}"
    given_ = {
        "span_id": f"span-{number:03}",
        "trace_id": f"trace-{number}",
        "conversation_id": f"conversation-{number}",
        "start_time": START + timedelta(minutes=number),
        "split": split,
        "system_prompt": "Be kind.",
        "messages": (Message(role="user", content=asked),),
        "output": "An answer of some words.",
        "model": "application",
    }
    return Sample.model_validate({**given_, **fields})


def window(train: int = 6, selection: int = 4, holdout: int = 10) -> list[Sample]:
    counts: dict[Split, int] = {"train": train, "selection": selection, "holdout": holdout}
    splits = [split for split, count in counts.items() for _ in range(count)]
    return [sample(number, split) for number, split in enumerate(splits)]


def at_one_dollar(_: str, __: str, spend: Spend) -> float:
    return (spend.prompt_tokens + spend.completion_tokens) / 1e6


def calls(found: Estimate) -> dict[tuple[str, str], int]:
    return {(line.stage, line.work): line.spend.calls for line in found.lines}


def line(found: Estimate, stage: str, work: str) -> StageEstimate:
    (only,) = (each for each in found.lines if (each.stage, each.work) == (stage, work))
    return only


def test_every_stage_makes_the_calls_that_its_asset_makes() -> None:
    found = estimate(loop(), window(train=6, selection=4, holdout=10), at_one_dollar)
    assert calls(found) == {
        ("eval_results", "judge correctness"): 20,
        ("next_window_results", "replay"): 30,
        ("next_window_results", "judge correctness"): 30,
        ("updated_policy", "update"): 15,
        ("updated_policy", "replay"): 142,
        ("updated_policy", "judge correctness"): 142,
        ("validation_results", "replay"): 20,
        ("validation_results", "judge correctness"): 20,
    }
    assert [line.model for line in found.lines] == [
        "judge",
        "application",
        "judge",
        "optimizer",
        "application",
        "judge",
        "application",
        "judge",
    ]


def test_repeats_are_replayed_again() -> None:
    found = estimate(loop(validation={**PLAIN, "repeats": 3}), window(), at_one_dollar)
    assert line(found, "validation_results", "replay").spend.calls == 2 * 3 * 10
    assert line(found, "next_window_results", "replay").spend.calls == 3 * 3 * 10
    assert line(found, "updated_policy", "replay").spend.calls == 142


def test_few_conversations_are_replayed_three_times() -> None:
    found = estimate(loop(validation={**PLAIN, "repeats": None}), window(), at_one_dollar)
    assert line(found, "validation_results", "replay").spend.calls == 2 * 3 * 10


@pytest.mark.parametrize(
    ("given_", "rows"),
    [
        ({"pool_windows": 4}, 50),
        ({"pool_windows": 1}, 20),
        ({"pool_windows": 4, "max_conversations": 30}, 30),
        ({"pool_windows": 4, "max_conversations": 8}, 10),
        ({"pool_windows": 4, "repeats": None}, 150),
        # 53 conversations three times are more answers than 60 once: it is not known how many windows before will give.
        ({"pool_windows": 5, "repeats": None}, 159),
        ({"pool_windows": 12, "repeats": None, "max_conversations": 130}, 2 * 130),
    ],
)
def test_the_holdout_is_filled_from_windows_like_this_one(given_: dict[str, Any], rows: int) -> None:
    found = estimate(loop(validation={**PLAIN, **given_}), window(), at_one_dollar)
    assert line(found, "validation_results", "replay").spend.calls == 2 * rows
    assert line(found, "validation_results", "judge correctness").spend.calls == 2 * rows


def test_conversations_are_filled_up_and_samples_counted() -> None:
    talk = [sample(number, "holdout", conversation_id=f"c{number // 2}") for number in range(10)]
    found = estimate(loop(validation={**PLAIN, "pool_windows": 4, "max_conversations": 15}), talk, at_one_dollar)
    assert line(found, "validation_results", "replay").spend.calls == 2 * 30


def test_noise_is_a_second_answer_and_two_second_judgements() -> None:
    found = estimate(loop(validation={**PLAIN, "noise_conversations": 6}), window(), at_one_dollar)
    assert line(found, "validation_results", "replay").spend.calls == 2 * 10 + 6
    assert line(found, "validation_results", "judge correctness").spend.calls == 2 * 10 + 2 * 6
    every = estimate(loop(validation={**PLAIN, "noise_conversations": 20}), window(), at_one_dollar)
    assert line(every, "validation_results", "replay").spend.calls == 2 * 10 + 10


@pytest.mark.parametrize(
    ("watch", "judgements"),
    [
        ({"anchors": 8, "probes": 0}, 16),
        ({"anchors": 8, "probes": 5}, 26),
        ({"anchors": 0, "probes": 50}, 40),
        ({"anchors": 30, "probes": 0}, 40),
        ({"anchors": 100, "probes": 0}, 100),
    ],
)
def test_judges_are_watched_by_anchors_and_two_probes(watch: dict[str, int], judgements: int) -> None:
    found = estimate(loop(JUDGE, CODE, watch=watch), window(), at_one_dollar)
    assert line(found, "judge_watch", "judge correctness").spend.calls == judgements
    assert [each.work for each in found.lines if each.stage == "judge_watch"] == ["judge correctness"]


def test_functions_and_recorded_scores_cost_nothing() -> None:
    platform = {"name": "csat", "kind": "platform"}
    found = estimate(loop(CODE, platform), window(), at_one_dollar)
    assert set(calls(found)) == {
        ("next_window_results", "replay"),
        ("updated_policy", "update"),
        ("updated_policy", "replay"),
        ("validation_results", "replay"),
    }


def test_each_judge_is_booked_by_itself() -> None:
    found = estimate(loop(JUDGE, {**JUDGE, "name": "tone", "model": "other"}), window(), at_one_dollar)
    assert calls(found)["eval_results", "judge tone"] == calls(found)["eval_results", "judge correctness"] == 20


def test_without_samples_nothing_is_called() -> None:
    found = estimate(loop(), [], at_one_dollar)
    assert found == Estimate()
    assert found.total.calls == 0


def test_without_a_train_split_nothing_is_searched() -> None:
    """A candidate of the window before may be validated all the same."""
    found = estimate(loop(), window(train=0), at_one_dollar)
    assert {each.stage for each in found.lines} == {"eval_results", "next_window_results", "validation_results"}


def test_without_a_holdout_nothing_is_decided() -> None:
    found = estimate(loop(watch={"anchors": 5}), window(holdout=0), at_one_dollar)
    assert {each.stage for each in found.lines} == {"eval_results", "judge_watch", "updated_policy"}


@pytest.mark.parametrize("evaluators", [(JUDGE,), (CODE,), (JUDGE, CODE, JUDGE | {"name": "tone"})])
@pytest.mark.parametrize("cap", [1, 7, 240, 1000])
def test_a_search_is_estimated_by_its_cap(evaluators: tuple[dict[str, Any], ...], cap: int) -> None:
    found = estimate(loop(*evaluators, policy={"model": "optimizer", "search_calls": cap}), window(), at_one_dollar)
    search = [each.spend.calls for each in found.lines if each.stage == "updated_policy"]
    assert cap - len(evaluators) <= sum(search) <= cap


def test_near_duplicates_are_judged_and_not_learned_from() -> None:
    twin = sample(0, "selection", span_id="twin", conversation_id="twin")
    found = estimate(loop(), [*window(), twin], at_one_dollar)
    assert line(found, "eval_results", "judge correctness").spend.calls == 21
    same = sample(0, "holdout", span_id="same", conversation_id="same")
    found = estimate(loop(), [*window(train=1), same], at_one_dollar)
    assert "updated_policy" not in {each.stage for each in found.lines}


def test_a_reply_is_as_long_as_the_logged_output_and_its_prompt_is_the_chat() -> None:
    said = sample(
        1,
        "holdout",
        output="word " * 50,
        messages=(
            Message(role="user", content="text", parts=({"type": "text", "text": "seen"}, {"type": "image_url"})),
            Message(role="assistant", tool_calls=(ToolCall(id="1", name="find", arguments='{"q": 1}'),)),
        ),
        tools=({"type": "function", "function": {"name": "find"}},),
    )
    plain = said.model_copy(update={"messages": said.messages[:1], "tools": ()})
    one, other = (estimate(loop(), [sample(0), s], at_one_dollar) for s in (said, plain))
    spent, less = (line(e, "validation_results", "replay").spend for e in (one, other))
    assert spent.completion_tokens == 2 * estimate_tokens(said.output)
    assert spent.prompt_tokens > less.prompt_tokens
    expected = GROWTH_TOKENS + 2 * MESSAGE_TOKENS + estimate_tokens("Be kind.") + estimate_tokens("seen\n")
    assert less.prompt_tokens == 2 * expected


def test_the_policy_in_force_is_what_is_replayed() -> None:
    policy = Actions(system_prompt="Be kind to {name}. " + "Long. " * 100, model="in-force", variables=("name",))
    told = [each.model_copy(update={"variables": {"name": "Ada"}}) for each in window()]
    found = estimate(loop(), told, at_one_dollar, policy=policy)
    replay = line(found, "validation_results", "replay")
    assert (replay.model, replay.spend.calls) == ("in-force", 20)
    assert replay.spend.prompt_tokens > 20 * 100
    shown = estimate(
        loop(), told, at_one_dollar, policy=policy.model_copy(update={"examples": (Example(input="a", output="b"),)})
    )
    assert shown.total.prompt_tokens > found.total.prompt_tokens


def test_samples_without_the_policys_variables_are_judged_and_not_replayed() -> None:
    policy = Actions(system_prompt="Be kind to {name}.", model="in-force", variables=("name",))
    assert set(calls(estimate(loop(), window(), at_one_dollar, policy=policy))) == {
        ("eval_results", "judge correctness")
    }


def test_judges_that_need_not_explain_answer_shorter() -> None:
    long, short = (
        line(
            estimate(loop({**JUDGE, "provide_explanation": said}), window(), at_one_dollar),
            "eval_results",
            "judge correctness",
        ).spend.completion_tokens
        for said in (True, False)
    )
    assert (long, short) == (20 * (LABEL_TOKENS + EXPLANATION_TOKENS), 20 * LABEL_TOKENS)


def test_a_sample_that_lacks_what_the_template_names_is_no_judge_call() -> None:
    asked = {**JUDGE, "template": "{output} for {variables.name}"}
    named = sample(50, "holdout", variables={"name": "Ada"})
    found = estimate(loop(asked), [*window(), named], at_one_dollar)
    assert calls(found)["eval_results", "judge correctness"] == 1


def test_templates_are_files_built_in_or_text() -> None:
    assert estimate(loop({**JUDGE, "template": "correctness"}), window(), at_one_dollar).lines
    mine = loop({**JUDGE, "template": "mine.md"})
    read = estimate(mine, window(), at_one_dollar, read_file={"mine.md": "Is it right?\n{output}"}.__getitem__)
    assert read == estimate(loop(), window(), at_one_dollar)
    with pytest.raises(ConfigError, match=r"the template 'mine\.md' is neither"):
        estimate(mine, window(), at_one_dollar)


def test_the_updater_is_shown_no_more_than_its_budget() -> None:
    many = [sample(number, output="word " * 400) for number in range(140)]
    small, large = (
        line(
            estimate(
                loop(policy={"model": "optimizer", "max_context_tokens": budget}), [*many, *window()], at_one_dollar
            ),
            "updated_policy",
            "update",
        ).spend
        for budget in (2_000, 20_000)
    )
    assert small.prompt_tokens <= 15 * (2_000 + 2 * MESSAGE_TOKENS) < large.prompt_tokens
    assert small.completion_tokens == 15 * UPDATE_TOKENS


def test_an_unknown_price_makes_the_total_unknown_and_is_named() -> None:
    found = estimate(loop(), window(), lambda model, *_: None if model == "judge" else 0.5)
    assert found.unpriced == ("judge",)
    assert found.total.cost_usd is None
    assert found.total.calls > 0
    assert line(found, "updated_policy", "replay").spend.cost_usd is not None


def test_cost_is_tokens_at_their_price() -> None:
    price = Price(input=2.0, output=10.0)
    found = estimate(loop(), window(), lambda _, __, of: price.cost(of.prompt_tokens, of.completion_tokens))
    for each in found.lines:
        told = (each.spend.prompt_tokens * 2 + each.spend.completion_tokens * 10) / 1e6
        assert each.spend.cost_usd == pytest.approx(told)
    assert found.total == total(each.spend for each in found.lines)
    assert found.unpriced == ()


@given(st.permutations(range(12)))
def test_the_order_of_samples_changes_no_number_of_calls(order: Sequence[int]) -> None:
    samples = window(4, 3, 5)
    one = estimate(loop(), samples, at_one_dollar)
    assert calls(estimate(loop(), [samples[place] for place in order], at_one_dollar)) == calls(one)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_more_samples_never_cost_less(train: int, selection: int, holdout: int) -> None:
    fewer = estimate(loop(), window(train, selection, holdout), at_one_dollar).total
    more = estimate(loop(), window(train + 1, selection + 1, holdout + 1), at_one_dollar).total
    assert (more.cost_usd or 0) > (fewer.cost_usd or 0)


async def spent(session: LoopSession, samples: tuple[Sample, ...]) -> Spend:
    """USD and answers that the stages of a window used."""
    evals = await evaluate_window(session, samples)
    mapped = samples_from_rows([]).model_copy(update={"samples": samples})
    constants = eval_constants(session.loop, session.folder)
    state = build_baseline(session.loop.name, session.window, mapped, evals.value, constants)
    search = await search_window(session, state)
    validated = await validate_window(session, Trial(state=state, update=search.value))
    return total(spend for stage in (evals, search, validated) for spend in stage.spend.values())


def test_an_explanation_is_taken_to_be_as_long_as_a_real_judges() -> None:
    path = EVALUATIONS
    real = [estimate_tokens(row["explanation"]) for row in json.loads(path.read_text(encoding="utf-8"))]
    assert fmean(real) == pytest.approx(EXPLANATION_TOKENS, rel=0.05)


def test_the_demos_first_window_asks_what_was_estimated(tmp_path: Path) -> None:
    config: ProjectConfig = demo_config()
    (entry,) = config.loops
    # The first window has none before it; two looks might stop early.
    alone = entry.validation.model_copy(update={"pool_windows": 0, "looks": 1})
    traces = entry.traces.model_copy(update={"path": "traces"})
    entry = entry.model_copy(update={"traces": traces, "validation": alone})
    first = week_windows()[0]
    write_traffic(tmp_path / "traces", first, None, WEEKS[0])
    query = SpanQuery(window=first, where=entry.traces.where, sample_limit=entry.sample_limit)
    batches = trace_source(entry.traces, tmp_path).spans(query)
    samples = samples_from_rows(row for b in batches for row in b.filter(b["sampled"]).to_pylist()).samples
    whole = estimate(entry, samples, lambda *_: None)
    stages = {"eval_results", "updated_policy", "validation_results"}
    found = Estimate(lines=tuple(each for each in whole.lines if each.stage in stages))
    with SimulatedProvider() as provider:
        llm: LLMConfig = config.llm.model_copy(update={"base_url": provider.base_url})
        chat = ChatSettings(llm=llm, completions=tmp_path / "completions.sqlite")
        session = LoopSession(loop=entry, window=first, chat=chat, folder=tmp_path)
        used = asyncio.run(spent(session, samples))
    # The simulated provider counts messages alone: a real one also bills the answer's schema, which is estimated.
    # The search ends before its cap, which is what is estimated.
    assert used.prompt_tokens <= found.total.prompt_tokens <= used.prompt_tokens * 2
    assert used.calls <= found.total.calls <= used.calls * 4 / 3
    # The simulated judge explains itself in a sentence: a real one would use what is estimated for it.
    assert used.completion_tokens <= found.total.completion_tokens


def test_a_guard_model_is_one_call_of_the_update() -> None:
    guarded = loop(policy={"model": "optimizer", "candidates": 2, "guard_model": "guard"})
    found = estimate(guarded, window(train=6, selection=4, holdout=10), at_one_dollar)
    (line,) = [line for line in found.lines if line.model == "guard"]
    assert (line.stage, line.work, line.caller, line.spend.calls) == ("updated_policy", "update guard", "update", 1)
