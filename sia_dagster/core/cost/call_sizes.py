"""Tokens of one model call of each kind, by sample."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sia_dagster.core.config.loop import LLMClassifyConfig, LoopConfig
from sia_dagster.core.errors import EvaluatorError
from sia_dagster.core.evaluators import resolve_template
from sia_dagster.core.evaluators.judge import JudgeSpec, LLMClassify
from sia_dagster.core.prompting import estimate_tokens
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample, TimeWindow
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.search import guard_prompt
from sia_dagster.core.search.edits import first_prompt

MESSAGE_TOKENS = 4
"""Added to each message by the wire form of a chat."""

LABEL_TOKENS = 10
"""Of a judge's answer without its explanation."""

EXPLANATION_TOKENS = 120
"""Of a judge's explanation: the four in the real export among the tests average 116."""

FAILING_SHARE = 1 / 3
"""Of the train samples: this share is assumed to score low, and so to be shown to the updater."""

FAULTS = ("late", "rude", "long")
"""What the assumed failures are marked down for: as many causes as one question to the updater shows."""

GUARD_TOKENS = 100
"""Of the guard model's answer."""

UPDATE_TOKENS = 600
"""Of an updater's answer: its thoughts and a few edits."""

GROWTH_TOKENS = 30
"""By which a candidate's prompt is longer than that of the policy in force."""


class Call(NamedTuple):
    """The tokens of one call."""

    prompt: int
    completion: int


class Work(NamedTuple):
    """One kind of call, with the tokens of each call by span id."""

    what: str
    model: str
    calls: Mapping[str, Call]


def judge_spec(config: LLMClassifyConfig, read_file: Callable[[str], str]) -> JudgeSpec:
    """The configured judge. Raises ConfigError for its template."""
    return JudgeSpec.of(config, resolve_template(config.template, read_file))


def judging(spec: JudgeSpec, samples: Iterable[Sample]) -> Work:
    """Judging one output; a sample without the fields that the template names takes no call."""
    judge = LLMClassify(spec, None)
    fixed = estimate_tokens(spec.system) + estimate_tokens(json.dumps(spec.form.shape)) + 2 * MESSAGE_TOKENS
    answer = LABEL_TOKENS + (EXPLANATION_TOKENS if spec.provide_explanation else 0)
    calls = {}
    for sample in samples:
        try:
            question = judge.question(sample)
        except EvaluatorError:
            continue
        calls[sample.span_id] = Call(fixed + estimate_tokens(question), answer)
    return Work(f"judge {spec.name}", spec.model, calls)


def replaying(samples: Iterable[Sample], actions: Actions) -> Work:
    """One new answer, under `actions` or a candidate."""
    calls = {}
    for sample in samples:
        chat = actions.messages(sample.variables if actions.variables else None, sample.messages)
        tools = sum(estimate_tokens(json.dumps(tool)) for tool in sample.tools)
        calls[sample.span_id] = Call(GROWTH_TOKENS + _chat_tokens(chat) + tools, estimate_tokens(sample.output))
    return Work("replay", actions.model, calls)


def _chat_tokens(messages: Iterable[JsonObject]) -> int:
    """Of texts and tool calls; images count nothing."""
    return sum(MESSAGE_TOKENS + estimate_tokens(_text(message)) for message in messages)


def _text(message: JsonObject) -> str:
    content = message.get("content") or ""
    text = content if isinstance(content, str) else "\n".join(str(part.get("text", "")) for part in content)
    return text + (json.dumps(message["tool_calls"]) if "tool_calls" in message else "")


def updating(loop: LoopConfig, actions: Actions, train: Sequence[Sample], specs: Sequence[JudgeSpec]) -> Work:
    """One candidate, by the prompt that the updater builds; counted under the first train sample."""
    constant = _primary(loop, specs)
    state = StateActions(
        loop=loop.name,
        window=TimeWindow(key="estimate", start=train[0].start_time, end=train[-1].start_time),
        actions=actions,
        samples=tuple(_assumed(sample, place, constant) for place, sample in enumerate(train)),
        eval_constants=(constant,),
    )
    call = Call(_chat_tokens(first_prompt(state, loop.policy)), UPDATE_TOKENS)
    return Work("update", loop.policy.model, {train[0].span_id: call})


def guarding(loop: LoopConfig, actions: Actions, train: Sequence[Sample], specs: Sequence[JudgeSpec]) -> list[Work]:
    """One question about the chosen edits, where the loop asks a guard model; counted under the first train sample."""
    if not (model := loop.policy.guard_model):
        return []
    constants = tuple(LLMClassify(spec, None, primary=False).constant for spec in specs)
    prompt = _chat_tokens(guard_prompt(actions, ("",), constants)) + GROWTH_TOKENS
    return [Work("update guard", model, {train[0].span_id: Call(prompt, GUARD_TOKENS)})]


def _primary(loop: LoopConfig, specs: Sequence[JudgeSpec]) -> EvalConstant:
    """The primary evaluator; the criteria of a function are not known here."""
    config = next(each for each in loop.evaluators if each.name == loop.validation.primary)
    if isinstance(config, LLMClassifyConfig):
        spec = next(spec for spec in specs if spec.name == config.name)
        return LLMClassify(spec, None, primary=True).constant
    scale = {"low": config.low, "high": config.high}
    return EvalConstant(name=config.name, kind=config.kind, fingerprint="", primary=True, **scale)


def _assumed(sample: Sample, place: int, constant: EvalConstant) -> Sample:
    """The sample with an assumed score: low, for one of FAULTS, in FAILING_SHARE of the samples, else high."""
    turn, of = divmod(place, round(1 / FAILING_SHARE))
    score, word = (constant.high, "right") if of else (constant.low, FAULTS[turn % len(FAULTS)])
    metric = EvalMetrics(name=constant.name, score=score, explanation=f"{word} " * EXPLANATION_TOKENS)
    return sample.model_copy(update={"evals": (metric,)})
