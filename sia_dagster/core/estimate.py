"""What a window will take before it runs: calls, tokens and USD by stage, from its samples alone."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sia_dagster.core.baseline import policy_from_traces
from sia_dagster.core.config import LLMClassifyConfig, LoopConfig
from sia_dagster.core.config_llm import Price
from sia_dagster.core.errors import EvaluatorError
from sia_dagster.core.evaluators import ReadFile, resolve_template
from sia_dagster.core.evaluators.llm_classify import JudgeSpec, LLMClassify
from sia_dagster.core.evaluators.template import parse_judge_template, sample_texts
from sia_dagster.core.models import (
    Actions,
    EvalConstant,
    EvalMetrics,
    JsonObject,
    Sample,
    Spend,
    StateActions,
    TimeWindow,
    Value,
)
from sia_dagster.core.reflection.clusters import find_clusters
from sia_dagster.core.reflection.prompt import build_prompt, focuses
from sia_dagster.core.spending import total
from sia_dagster.core.splits import set_near_duplicates_aside
from sia_dagster.core.tokens import estimate_tokens

MESSAGE_TOKENS = 4
"""What a chat's wire form adds to each message."""
LABEL_TOKENS = 10
"""Of a judge's answer without its explanation."""
EXPLANATION_TOKENS = 120
"""Of a judge's explanation: the four of the real export that the tests hold average 116."""
FAILING_SHARE = 1 / 3
"""Of the train samples: as many are assumed to be marked down, and so shown to the updater."""
UPDATE_TOKENS = 600
"""Of an updater's answer: its thoughts and a few edits."""
GROWTH_TOKENS = 30
"""What a candidate's prompt has more than the policy in force."""

PriceOf = Callable[[str, str], Price | None]
"""The price of a model in a stage of the ledger (`judge`, `replay`, `update`); None where it is unknown."""


class StageEstimate(Value):
    """The model calls of one kind that one stage makes."""

    stage: str
    """The asset that makes them."""
    work: str
    """`judge <evaluator>`, `replay` or `update`."""
    model: str
    spend: Spend

    @property
    def caller(self) -> str:
        """What the ledger books the calls under: `judge`, `replay` or `update`."""
        return self.work.partition(" ")[0]


class Estimate(Value):
    """What a window takes if all of its stages run, in the order in which they do."""

    lines: tuple[StageEstimate, ...] = ()

    @property
    def total(self) -> Spend:
        """The sum; `cost_usd` is None as soon as one model's price is unknown."""
        return total(line.spend for line in self.lines)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models whose price is unknown."""
        return tuple(sorted({line.model for line in self.lines if line.spend.cost_usd is None}))


class _Call(NamedTuple):
    prompt: int
    completion: int


class _Work(NamedTuple):
    """One kind of call, and what each takes, by span id."""

    what: str
    model: str
    calls: Mapping[str, _Call]


def estimate(
    loop: LoopConfig,
    samples: Sequence[Sample],
    price_of: PriceOf,
    *,
    policy: Actions | None = None,
    read_file: ReadFile | None = None,
) -> Estimate:
    """What a window with these sampled calls takes at the endpoint; empty without samples.

    `policy` is the one in force, by default that of the traces; `read_file` reads judges' templates that are files.
    Assumed is a window that goes all the way: every candidate is replayed on the selection split beside the policy
    in force, and one of them on the holdout, `repeats` times. Tokens are those of `core.tokens` plus MESSAGE_TOKENS a
    message; logged outputs stand for the replies to come; judges explain in EXPLANATION_TOKENS; FAILING_SHARE of the
    train split is marked down and shown to the updater, which answers in UPDATE_TOKENS; a candidate's prompt is
    GROWTH_TOKENS longer. A window that stops early takes less, and so does one whose policies answer alike, since
    equal requests are one call. Model calls of code evaluators are not known here. Raises ConfigError for a template.
    """
    actions = policy or policy_from_traces(samples)
    if actions is None:
        return Estimate()
    specs = [_spec(each, read_file or _no_file) for each in loop.evaluators if isinstance(each, LLMClassifyConfig)]
    judges = [_judging(spec, samples) for spec in specs]
    kept, _ = set_near_duplicates_aside([sample for sample in samples if _fits(sample, actions)])
    train, selection, holdout = (_of(kept, split) for split in ("train", "selection", "holdout"))
    lines = _lines("eval_results", judges, samples, 1)
    if train:
        replays = [_replaying(kept, actions), *judges]
        lines += _lines("updated_policy", [_updating(loop, actions, train, specs)], train[:1], loop.policy.candidates)
        lines += _lines("updated_policy", replays, selection, loop.policy.candidates + 1)
        lines += _lines("validation_results", replays, holdout, 2 * (loop.validation.repeats or 1))
    return Estimate(lines=tuple(_priced(line, price_of(line.model, line.caller)) for line in lines))


def _no_file(name: str) -> str:
    raise FileNotFoundError(f"{name!r} is not looked for")


def _of(samples: Iterable[Sample], split: str) -> list[Sample]:
    return [sample for sample in samples if sample.split == split]


def _fits(sample: Sample, actions: Actions) -> bool:
    """Whether the policy can be replayed on it: a sample without its variables is left out of the search."""
    return set(actions.variables) <= set(sample.variables)


def _lines(stage: str, work: Sequence[_Work], samples: Sequence[Sample], times: int) -> list[StageEstimate]:
    """One line for each kind of call that is made at all, not yet priced."""
    lines = []
    for what, model, known in work:
        calls = [known[sample.span_id] for sample in samples if sample.span_id in known] * times
        prompt, completion = sum(call.prompt for call in calls), sum(call.completion for call in calls)
        spend = Spend(calls=len(calls), prompt_tokens=prompt, completion_tokens=completion)
        lines += [StageEstimate(stage=stage, work=what, model=model, spend=spend)] if calls else []
    return lines


def _priced(line: StageEstimate, price: Price | None) -> StageEstimate:
    spend, cost = line.spend, None
    if price is not None:
        cost = round((spend.prompt_tokens * price.input + spend.completion_tokens * price.output) / 1_000_000, 9)
    return line.model_copy(update={"spend": spend.model_copy(update={"cost_usd": cost})})


def _spec(config: LLMClassifyConfig, read_file: ReadFile) -> JudgeSpec:
    return JudgeSpec(
        name=config.name,
        model=config.model,
        template=resolve_template(config.template, read_file),
        rails=dict(config.rails),
        provide_explanation=config.provide_explanation,
    )


def _judging(spec: JudgeSpec, samples: Iterable[Sample]) -> _Work:
    """What judging one output takes; a sample that lacks what the template names is no call."""
    template = parse_judge_template(spec.template)
    fixed = estimate_tokens(spec.system) + estimate_tokens(json.dumps(spec.form.shape)) + 2 * MESSAGE_TOKENS
    answer = LABEL_TOKENS + (EXPLANATION_TOKENS if spec.provide_explanation else 0)
    calls = {}
    for sample in samples:
        try:
            texts = sample_texts(sample, template.names)
        except EvaluatorError:
            continue
        calls[sample.span_id] = _Call(fixed + estimate_tokens(template.fill(texts)), answer)
    return _Work(f"judge {spec.name}", spec.model, calls)


def _replaying(samples: Iterable[Sample], actions: Actions) -> _Work:
    """What one new answer takes, under `actions` or a candidate."""
    calls = {}
    for sample in samples:
        chat = actions.messages(sample.variables if actions.variables else None, sample.messages)
        tools = sum(estimate_tokens(json.dumps(tool)) for tool in sample.tools)
        calls[sample.span_id] = _Call(GROWTH_TOKENS + _chat_tokens(chat) + tools, estimate_tokens(sample.output))
    return _Work("replay", actions.model, calls)


def _chat_tokens(messages: Iterable[JsonObject]) -> int:
    """Of the texts and tool calls; pictures count nothing."""
    return sum(MESSAGE_TOKENS + estimate_tokens(_said(message)) for message in messages)


def _said(message: JsonObject) -> str:
    content = message.get("content") or ""
    text = content if isinstance(content, str) else "\n".join(str(part.get("text", "")) for part in content)
    return text + (json.dumps(message["tool_calls"]) if "tool_calls" in message else "")


def _updating(loop: LoopConfig, actions: Actions, train: Sequence[Sample], specs: Sequence[JudgeSpec]) -> _Work:
    """What one candidate takes, by the prompt that the updater builds; booked under the first train sample."""
    constant = _primary(loop, specs)
    state = StateActions(
        loop=loop.name,
        window=TimeWindow(key="estimate", start=train[0].start_time, end=train[-1].start_time),
        actions=actions,
        samples=tuple(_assumed(sample, place, constant) for place, sample in enumerate(train)),
        eval_constants=(constant,),
    )
    clusters = find_clusters(state.samples, state.eval_constants)
    limits = {"max_prompt_tokens": loop.policy.max_prompt_tokens, "budget": loop.policy.max_context_tokens}
    shown = build_prompt(state, clusters, focuses(clusters, 1)[0], **limits)
    call = _Call(_chat_tokens(shown.messages), UPDATE_TOKENS)
    return _Work("update", loop.policy.model, {train[0].span_id: call})


def _primary(loop: LoopConfig, specs: Sequence[JudgeSpec]) -> EvalConstant:
    """The evaluator that decides; of a function its criteria are not known here."""
    config = next(each for each in loop.evaluators if each.name == loop.validation.primary)
    if isinstance(config, LLMClassifyConfig):
        spec = next(spec for spec in specs if spec.name == config.name)
        return LLMClassify(spec, None, primary=True).constant
    scale = {"low": config.low, "high": config.high}
    return EvalConstant(name=config.name, kind=config.kind, fingerprint="", primary=True, **scale)


def _assumed(sample: Sample, place: int, constant: EvalConstant) -> Sample:
    """The sample as if it was marked down, or found good: every so many are."""
    score = constant.low if place % round(1 / FAILING_SHARE) == 0 else constant.high
    metric = EvalMetrics(name=constant.name, score=score, explanation="word " * EXPLANATION_TOKENS)
    return sample.model_copy(update={"evals": (metric,)})
