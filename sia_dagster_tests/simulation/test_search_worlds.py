"""The simulated search tasks are what they say: a known best, a score without noise, answers that can be had again."""

import asyncio
import re
from collections.abc import Iterable, Sequence

import pytest

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.guard import check_contract
from sia_dagster.core.ports.model import ChatRequest
from sia_dagster.core.records.guard import stops
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.search import STRATEGIES, MeteredChat, SearchRules, SearchWork, search_policy
from simulation.search_worlds import (
    APPLICATION,
    LEAN,
    MARGIN,
    NARROW,
    PROPOSER,
    SMALL,
    WORLDS,
    Habits,
    SimulatedModel,
    Wording,
    World,
)
from simulation.search_worlds.task import HARMS, named, read_policy, sentences_of

SEED = 3
NO_FAULTS = Habits(
    wrong=0, harmful=0, timid=0, leaks=0, unconditional=0, bloats=0, drops_variable=0, loses_line=0, misquotes=0
)
worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)


def mean(scores: Iterable[float | None]) -> float:
    given = [score for score in scores if score is not None]
    return sum(given) / len(given)


def asked(world: World, sample: Sample, actions: Actions, draw: str = "0", stage: str = "replay") -> ChatRequest:
    messages = tuple(actions.messages(sample.variables, sample.messages))
    return ChatRequest(model=actions.model, messages=messages, draw=draw, stage=stage)


@worlds
def test_the_best_policy_is_much_better_and_no_remedy_can_be_left_out(world: World) -> None:
    best, baseline = world.true_score(world.best), world.true_score(world.baseline)
    assert best - baseline > 0.4
    rules = world.best.system_prompt.splitlines()
    kept = len(world.baseline.system_prompt.splitlines())
    for place in range(kept, len(rules)):
        without = world.best.model_copy(update={"system_prompt": "\n".join(rules[:place] + rules[place + 1 :])})
        assert world.true_score(without) < best - 0.005


@worlds
def test_right_instructions_in_any_wording_make_the_baseline_the_best(world: World) -> None:
    for place in range(2):
        wordings = [(remedy.conditional or remedy.firm)[place] for remedy in world.task.remedies]
        prompt = "\n".join([world.baseline.system_prompt, *wordings])
        policy = world.best.model_copy(update={"system_prompt": prompt})
        assert world.true_score(policy) == pytest.approx(world.true_score(world.best))


@worlds
def test_wordings_are_read_as_what_they_are_meant_to_be(world: World) -> None:
    assert set(read_policy(world.task, world.task.prompt).levels.values()) == {"unasked"}
    for remedy in (remedy for remedy in world.task.remedies if remedy.words):
        meant = {
            "asked": remedy.firm,
            "conditional": remedy.conditional,
            "hedged": remedy.timid,
            "unasked": remedy.wrong,
        }
        for level, texts in meant.items():
            assert {remedy.level(sentences_of(text)) for text in texts} <= {level}
        others = [other for other in world.task.remedies if other is not remedy]
        assert not any(other.asks(text.casefold()) for other in others for text in (*remedy.firm, *remedy.wrong))


@worlds
def test_the_true_score_is_what_the_application_reaches(world: World) -> None:
    for actions in (world.baseline, world.best):
        samples = world.samples(SEED, train=0, selection=0, holdout=250, actions=actions)
        reached = mean(sample.score(world.constants[0].name) for sample in samples)
        assert reached == pytest.approx(world.true_score(actions), abs=0.08)


@worlds
def test_each_fault_is_recognised_in_every_wording_and_in_no_other_faults(world: World) -> None:
    for fault in world.task.faults:
        for clause in (*fault.says, fault.chinese):
            assert named(world.task, f"Problems: {clause.format('x 12')}.") == (fault,)
    clear = world.model(SEED, wording=Wording(garbled=0, chinese=0))
    for sample in world.samples(SEED, train=60, selection=0, holdout=0, model=clear):
        told = {fault.name for fault in named(world.task, sample.evals[0].explanation or "")}
        lacks = {lack.fault.name for lack in world.task.lacks(sample.request, sample.output)}
        assert (told <= lacks and bool(told) == bool(lacks)) if world.task.by_code else told == lacks


@worlds
def test_samples_are_a_window_of_several_conversations_that_name_people_and_numbers(world: World) -> None:
    samples = world.samples(SEED, train=20, selection=10, holdout=10)
    assert samples == world.samples(SEED, train=20, selection=10, holdout=10)
    assert [sum(s.split == split for s in samples) for split in ("train", "selection", "holdout")] == [20, 10, 10]
    assert len({s.conversation_id for s in samples}) == 33
    assert all(s.system_prompt == world.baseline.render(s.variables) for s in samples)
    assert not {s.request for s in samples} & {s.request for s in world.samples(SEED, window=1)}
    assert sum(bool(re.search(r"\d{6}", s.request)) for s in samples) >= 10


@worlds
def test_the_same_request_has_the_same_answer_and_is_counted_once(world: World) -> None:
    sample = world.samples(SEED, train=1, selection=0, holdout=0)[0]

    async def answers(noise: bool) -> list[str]:
        model = world.model(SEED, noise=noise)
        requests = [asked(world, sample, world.baseline, draw=str(n)) for n in range(40)]
        first = [(await model.complete(request)).text for request in requests]
        for request in requests:
            again = await model.complete(request.model_copy(update={"stage": "other"}))
            assert again.cached
            assert again.text == (await world.model(SEED, noise=noise).complete(request)).text
        assert model.total == 40
        return first

    assert len(set(asyncio.run(answers(noise=False)))) == 1
    assert len(set(asyncio.run(answers(noise=True)))) > 1


def test_a_noisy_judge_errs_in_eight_percent() -> None:
    world = WORLDS["rules"]
    samples = world.samples(SEED, train=600, selection=0, holdout=0, model=world.model(SEED, noise=True))
    wrong = mean(float((s.evals[0].score == 1.0) == bool(world.task.lacks(s.request, s.output))) for s in samples)
    assert 0.055 < wrong < 0.105
    quiet = world.samples(SEED, train=100, selection=0, holdout=0)
    assert all((s.evals[0].score == 1.0) != bool(world.task.lacks(s.request, s.output)) for s in quiet)


@worlds
def test_cheaper_models_are_as_good_worse_in_one_slice_and_worse_by_the_margin(world: World) -> None:
    for policy in (world.baseline, world.best):
        of = {m: world.true_score(policy.model_copy(update={"model": m})) for m in (APPLICATION, SMALL, NARROW, LEAN)}
        assert of[SMALL] == of[APPLICATION]
        assert of[LEAN] == pytest.approx(of[APPLICATION] - MARGIN)
        assert of[NARROW] < of[APPLICATION]
    narrow = world.best.model_copy(update={"model": NARROW})
    samples = world.samples(SEED, train=0, selection=0, holdout=250, actions=narrow)
    name, tags = world.constants[0].name, {sample.tags[0] for sample in samples}
    by_tag = {tag: mean(s.score(name) for s in samples if s.tags[0] == tag) for tag in tags}
    others = [score for tag, score in by_tag.items() if tag != world.task.weak_tag]
    assert by_tag[world.task.weak_tag] < min(others) - 0.1


@worlds
def test_a_harmful_sentence_harms(world: World) -> None:
    for harm in HARMS:
        worse = world.best.model_copy(update={"system_prompt": f"{world.best.system_prompt}\nAnswer {harm}."})
        assert world.true_score(worse) < world.true_score(world.best) - 0.1


@worlds
def test_the_guard_lets_the_best_policy_pass(world: World) -> None:
    best = world.baseline.model_copy(update={"system_prompt": world.best.system_prompt})
    assert stops(check_contract(best, world.baseline, world.samples(SEED))) == ()


def searched(
    world: World, samples: Sequence[Sample], model: SimulatedModel, policy: Actions, calls: int = 2000
) -> PolicyUpdate:
    config = PolicyConfig(model=PROPOSER, search_calls=calls)
    chat = MeteredChat(model, config)
    work = SearchWork(world.state(samples, policy), chat, world.evaluators(chat), SearchRules(), config)
    return asyncio.run(search_policy(work, {"edits": STRATEGIES["edits"]()}))


@pytest.mark.parametrize("world", [w for w in WORLDS.values() if w.name != "examples"], ids=lambda world: world.name)
def test_a_proposing_model_without_bad_habits_reaches_the_best_through_our_prompt(world: World) -> None:
    policy, model = world.baseline, world.model(SEED, habits=NO_FAULTS, wording=Wording(garbled=0, chinese=0))
    for window in range(3):
        samples = world.samples(SEED, train=90, selection=0, holdout=0, window=window, actions=policy)
        policy = searched(world, samples, model, policy).candidate or policy
    assert world.true_score(policy) > world.true_score(world.best) - 0.03


def test_the_proposing_model_errs_as_it_is_told() -> None:
    world = WORLDS["rules"]
    samples = world.samples(SEED, train=30, selection=0, holdout=0)

    def texts(**habits: float) -> list[str]:
        model = world.model(SEED, habits=NO_FAULTS.model_copy(update=habits))
        update = searched(world, samples, model, world.baseline, calls=120)
        return [edit.text for each in update.candidates for edit in each.edits]

    assert not re.search(r"\d{6}|in one short sentence|try to", str(texts()))
    assert "Answer in one short sentence" in str(texts(harmful=1.0))
    assert re.search(r"as (?:with \d{6}|for [A-Z]|in ')", str(texts(leaks=1.0)))
    assert "our shop" in str(texts(drops_variable=1.0))
    assert max(len(text.split()) for text in texts()) < 60 < max(len(text.split()) for text in texts(bloats=1.0))
