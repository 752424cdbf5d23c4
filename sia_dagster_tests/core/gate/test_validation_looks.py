"""Validation in looks, with the A/A arm and a pooled holdout: what is asked, what is decided, what it costs."""

import asyncio
import re
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.engine.batches.batch_chat import BatchChat
from sia_dagster.adapters.engine.batches.batch_routes import BatchTerms
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.gate.validate import validate
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.gate import Carried, HeldOut
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster_tests.worlds.chats import KEY, Waits
from sia_dagster_tests.worlds.chats import WINDOW as SCOPE
from sia_dagster_tests.worlds.search_world import (
    BASELINE,
    BETTER,
    OTHER,
    PROMPT,
    WINDOW,
    Shop,
    asked,
    evaluators,
    in_shop,
    sample,
    state,
    state_of,
)
from simulation.batch_server import BatchServer
from simulation.servers import Answer, Body, Reply, ScriptedServer, completion, refusal

LENIENT = ValidationRules(
    rule=ComparisonRule(guardrail_margin=0.4), repeats=1, looks=2, noise_conversations=0, workers=8
)


def tried(conversations: int, actions: Any = OTHER, **fields: Any) -> Trial:
    update = PolicyUpdate(loop="desk", window=WINDOW, baseline=BASELINE, candidate=actions, changed=True, reason="new")
    return Trial.model_validate({"state": state(holdout=conversations), "update": update} | fields)


def run(
    server: ScriptedServer,
    folder: Path,
    trial: Trial,
    rules: ValidationRules = LENIENT,
    progress: Progress | None = None,
) -> ValidationReport:
    async def work(chat: ChatModel) -> ValidationReport:
        return await validate(trial, chat=chat, evaluators=evaluators(chat), rules=rules, progress=progress)

    return in_shop(server, folder, work)


def wins(conversations: Collection[str]) -> Answer:
    """A shop whose other policy names the order in these conversations alone."""
    numbers = {int(name.rpartition("/")[2]) for name in conversations}

    def answer(system: str, user: str) -> Body | Reply:
        number = re.search(r"parcel (\d+)", user)
        won = system != PROMPT and number is not None and int(number[1]) in numbers
        return completion("Your order number is 7." if won else "Hello.")

    return Shop(answer=answer)


def test_a_clear_gain_stops_at_half_and_costs_half(tmp_path: Path) -> None:
    told: list[Advance] = []
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(40, BETTER), progress=told.append)
        assert len(asked(server, "app")) == len(asked(server, "judge")) == 40
    (look,) = report.interim_analyses
    assert (report.verdict, look.outcome, look.conversations) == ("accept", "accept", 20)
    assert (report.conversations, len(report.rows), report.carries_on) == (40, 20, False)
    assert (told[-1].done, told[-1].of) == (40, 80)


def test_no_trend_stops_at_half_and_is_not_carried(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(40))
        assert len(asked(server, "app")) == 40
    (look,) = report.interim_analyses
    assert (report.verdict, look.outcome, look.conditional_power) == ("inconclusive", "futile", 0.0)
    assert report.reasons[0].startswith("given up after 20 held-out conversations")
    assert not report.carries_on


def undecided(count: int = 40, **fields: Any) -> tuple[Trial, Answer]:
    """Two conversations of either half gain: too much to give up, and too little to show."""
    trial = tried(count, **fields)
    ids = trial.groups
    return trial, wins((*ids[:2], *ids[-2:]))


def test_a_close_case_is_asked_to_the_end_and_carried_on(tmp_path: Path) -> None:
    trial, shop = undecided()
    with ScriptedServer(shop) as server:
        report = run(server, tmp_path, trial)
        assert len(asked(server, "app")) == 80
    assert [(look.outcome, look.conversations) for look in report.interim_analyses] == [
        ("go_on", 20),
        ("undecided", 40),
    ]
    assert (report.verdict, len(report.rows), report.carries_on) == ("inconclusive", 40, True)
    assert report.primary is not None
    assert report.primary.alpha == report.interim_analyses[-1].alpha


@pytest.mark.parametrize(("times", "carries_on"), [(1, True), (2, True), (3, False)])
def test_a_candidate_is_carried_as_often_as_is_configured(tmp_path: Path, times: int, carries_on: bool) -> None:
    trial, shop = undecided()
    carried = Carried(window="2026-09-07", times=times)
    trial = trial.model_copy(update={"update": trial.update.model_copy(update={"carried": carried})})
    with ScriptedServer(shop) as server:
        report = run(server, tmp_path, trial)
    assert (report.carried, report.carries_on) == (carried, carries_on)


def test_a_candidate_that_could_not_be_tested_is_not_carried(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(3, BETTER))
    assert (report.verdict, report.carries_on, report.interim_analyses[0].outcome) == (
        "inconclusive",
        False,
        "undecided",
    )


def test_one_look_asks_everything(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(40, BETTER), LENIENT.model_copy(update={"looks": 1}))
        assert len(asked(server, "app")) == 80
    assert [look.conversations for look in report.interim_analyses] == [40]
    assert report.interim_analyses[0].alpha == 0.05


def test_a_half_that_fails_is_no_reason_to_stop(tmp_path: Path) -> None:
    trial = tried(40, BETTER)
    first = {int(name.rpartition("/")[2]) for name in trial.groups[:20]}

    def answer(_: str, user: str) -> Body | Reply:
        number = re.search(r"parcel (\d+)", user)
        broken = number is not None and int(number[1]) in first
        return refusal(500, "out of order") if broken else completion("Hello.")

    told: list[Advance] = []
    with ScriptedServer(Shop(answer=answer)) as server:
        report = run(server, tmp_path, trial, progress=told.append)
    assert [look.outcome for look in report.interim_analyses] == ["go_on", "undecided"]
    assert len(report.rows) == 40
    assert (told[-1].done, told[-1].of, told[-1].failed) == (80, 80, 40), (
        "what failed at the first look is told at last"
    )


def test_few_conversations_are_repeated(tmp_path: Path) -> None:
    rules = LENIENT.model_copy(update={"repeats": None, "max_conversations": 18})
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(6, BETTER), rules)
        assert len(asked(server, "app")) == 6 * 3 * 2
    assert (report.repeats, len(report.rows)) == (3, 18)


def test_a_drifted_judge_costs_no_call(tmp_path: Path) -> None:
    watch = JudgeWatch(evaluator="correctness", fingerprint="f", drifted=True, reason="it moved")
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(40, BETTER, watch=(watch,)))
        assert not server.requests
    assert (report.verdict, report.candidate, report.watch) == ("inconclusive", BETTER, (watch,))
    assert (report.interim_analyses, report.rows, report.carries_on) == ((), (), False)


def test_a_pooled_conversation_is_answered_as_in_its_own_window_and_named(tmp_path: Path) -> None:
    """A carried candidate's answers of the week before are not paid for again."""
    held = [sample(number, "holdout") for number in range(12)]
    before = WINDOW.model_copy(update={"key": "2026-09-21"})
    earlier = tried(0, BETTER, state=state_of(*held[6:]).model_copy(update={"window": before}))
    pooled = HeldOut(samples=tuple(held), windows={s.span_id: before.key for s in held[6:]})

    async def work(chat: ChatModel) -> tuple[ValidationReport, int, ValidationReport]:
        mine = evaluators(chat)
        first = await validate(earlier, chat=chat, evaluators=mine, rules=LENIENT)
        paid = len(asked(server, "app"))
        now = tried(0, BETTER, state=state_of(*held[:6]), held_out=pooled)
        return first, paid, await validate(now, chat=chat, evaluators=mine, rules=LENIENT)

    with ScriptedServer(Shop()) as server:
        first, paid, report = in_shop(server, tmp_path, work)
        assert (paid, len(asked(server, "app"))) == (12, 24)
    assert (first.conversations, report.conversations) == (6, 12)
    assert {row.span_id: row.window for row in report.rows} == {
        s.span_id: pooled.windows.get(s.span_id, "") for s in held
    }
    assert [row.baseline for row in report.rows if row.window] == [row.baseline for row in first.rows]


NOISY = LENIENT.model_copy(update={"noise_conversations": 5})


def test_noise_is_measured_on_the_first_conversations_of_the_window(tmp_path: Path) -> None:
    told: list[Advance] = []
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(12, BETTER), NOISY, told.append)
        calls = len(asked(server, "app")), len(asked(server, "judge"))
    assert calls == (24 + 5, 24 + 5), "the same answer is judged again once, for both estimates"
    assert [(n.kind, n.evaluator, n.conversations) for n in report.noise] == [
        ("generation", "correctness", 5),
        ("generation", "is_brief", 5),
        ("judge", "correctness", 5),
    ]
    assert all(n.mean_difference == n.changed_share == 0 for n in report.noise)
    assert list(dict.fromkeys(step.what for step in told)) == ["holdout replay", "noise replay", "noise judging"]


def test_noise_is_measured_where_the_looks_were_cut_short(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(40), NOISY)
    assert report.interim_analyses[-1].outcome == "futile"
    assert {n.conversations for n in report.noise} == {5}


def test_pooled_conversations_have_no_part_in_the_noise(tmp_path: Path) -> None:
    held = [sample(number, "holdout") for number in range(8)]
    pooled = HeldOut(samples=tuple(held), windows={s.span_id: "2026-09-21" for s in held[2:]})
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(0, BETTER, state=state_of(*held[:2]), held_out=pooled), NOISY)
    assert {n.conversations for n in report.noise} == {2}


def test_a_window_with_none_of_its_own_has_no_noise_to_tell(tmp_path: Path) -> None:
    held = [sample(number, "holdout") for number in range(6)]
    pooled = HeldOut(samples=tuple(held), windows={s.span_id: "2026-09-21" for s in held})
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(0, BETTER, held_out=pooled), NOISY)
    assert (report.noise, len(report.rows)) == ((), 6)


def test_the_tokens_of_every_answer_are_kept_for_the_price_of_a_week(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(6, BETTER))
    for row in report.rows:
        assert row.baseline.prompt_tokens > 0
        assert row.candidate.completion_tokens > 0


def in_batches(server: BatchServer, folder: Path, trial: Trial, rules: ValidationRules) -> tuple[ValidationReport, int]:
    """The last round's report, and how many rounds it took."""

    async def block() -> tuple[ValidationReport, int]:
        config, waits, rounds = LLMConfig(base_url=server.base_url, mode="batch", prices={}), Waits(), 0
        with closing(SqliteStore(folder / "batch.sqlite")) as store:
            terms = BatchTerms(sleep=waits, clock=lambda: 1_800_000_000.0)
            chat = BatchChat(config, api_key=KEY, store=store, scope=SCOPE, endpoint="shop", terms=terms)
            async with chat:
                while True:
                    rounds += 1
                    mine = evaluators(chat)
                    report = await validate(trial, chat=chat, evaluators=mine, rules=rules)
                    if await chat.settled(wait=waits):
                        return report, rounds

    return asyncio.run(asyncio.wait_for(block(), 60))


@pytest.mark.parametrize("case", ["clear", "hopeless", "close"])
def test_batches_decide_as_calls_do(tmp_path: Path, case: str) -> None:
    trial, shop = undecided() if case == "close" else (tried(40, BETTER if case == "clear" else OTHER), Shop())
    with BatchServer(shop) as server:
        report, rounds = in_batches(server, tmp_path, trial, NOISY)
    with ScriptedServer(shop) as server:
        direct = run(server, tmp_path, trial, NOISY)
    assert report.model_dump_json() == direct.model_dump_json()
    assert rounds == 3, "answers, judgements, and the round that has them all"


FIVE = LENIENT.model_copy(update={"looks": 5, "repeats": None})


def test_a_clear_gain_stops_at_a_quarter(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(100, BETTER), FIVE)
        assert len(asked(server, "app")) == 2 * 25
    (look,) = report.interim_analyses
    assert (report.verdict, look.outcome, look.conversations, look.repeats) == ("accept", "accept", 25, 1)


def test_what_all_first_answers_leave_open_is_answered_a_second_time(tmp_path: Path) -> None:
    trial = tried(60)
    ids, told = trial.groups, list[Advance]()

    async def twice(chat: ChatModel) -> tuple[ValidationReport, ValidationReport]:
        mine = evaluators(chat)
        first = await validate(trial, chat=chat, evaluators=mine, rules=FIVE, progress=told.append)
        return first, await validate(trial, chat=chat, evaluators=mine, rules=FIVE)

    with ScriptedServer(wins((*ids[:2], *ids[15:17], *ids[30:31], *ids[-1:]))) as server:
        report, again = in_shop(server, tmp_path, twice)
        assert len(asked(server, "app")) == 4 * 60, "nothing is paid twice"
    assert again.rows == report.rows
    assert [(look.conversations, look.repeats) for look in report.interim_analyses] == [
        (15, 1),
        (30, 1),
        (45, 1),
        (60, 1),
        (60, 2),
    ]
    assert [look.outcome for look in report.interim_analyses[:4]] == ["go_on"] * 4
    assert (report.repeats, len(report.rows), report.conversations) == (2, 120, 60)
    assert (told[-1].done, told[-1].of) == (240, 240)


@pytest.mark.parametrize(
    ("fields", "conversations", "looks", "repeats"),
    [
        ({}, 160, 5, 2),
        ({}, 54, 5, 2),
        ({}, 53, 4, 3),
        ({"repeats": 1}, 160, 4, 1),
        ({"repeats": 3}, 160, 4, 3),
        ({"looks": 2}, 160, 2, 1),
        ({"in_batches": True}, 160, 2, 1),
        ({"in_batches": True, "looks": 1}, 160, 1, 1),
    ],
)
def test_second_answers_are_for_what_has_one(
    fields: dict[str, Any], conversations: int, looks: int, repeats: int
) -> None:
    rules = ValidationRules(**fields)
    assert (rules.looks_for(conversations), rules.most_repeats(conversations)) == (looks, repeats)


def test_second_answers_are_not_paid_for_where_only_a_check_that_never_fails_is_open(tmp_path: Path) -> None:
    """80 ties exclude a fall of 0.045 at the fifth look's level, not at the fourth's; no answer could change that."""
    rules = FIVE.model_copy(update={"rule": ComparisonRule(margins={"is_brief": 0.045})})
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, tried(80, BETTER), rules)
        assert len(asked(server, "app")) == 2 * 80
    assert [(look.conversations, look.repeats) for look in report.interim_analyses] == [
        (20, 1),
        (40, 1),
        (60, 1),
        (80, 1),
        (80, 1),
    ]
    assert [look.outcome for look in report.interim_analyses] == ["go_on"] * 4 + ["accept"]
    assert (report.verdict, report.repeats) == ("accept", 1)
