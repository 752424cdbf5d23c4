"""What a window will take before it runs: calls, tokens and USD by stage, from its samples alone."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sia_dagster.core.baseline import policy_from_traces
from sia_dagster.core.config import LLMClassifyConfig, LoopConfig, Price
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
LABEL_TOKENS = 12
"""Of a judge's answer without its explanation."""
EXPLANATION_TOKENS = 40
"""Of a judge's explanation, which is asked for in one to three sentences."""
FAILING_SHARE = 1 / 3
"""Of the train samples: as many are assumed to be marked down, and so shown to the updater."""
UPDATE_TOKENS = 250
"""Of an updater's answer: its thoughts and a few edits."""
GROWTH_TOKENS = 30
"""What a candidate's prompt has more than the policy in force."""

PriceOf = Callable[[str], Price | None]


class StageEstimate(Value):
    """The model calls of one kind that one stage makes."""

    stage: str
    """The asset that makes them."""
    work: str
    """`judge <evaluator>`, `replay` or `update`."""
    model: str
    spend: Spend


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
    """One kind of call, and what it takes for each sample by span id."""

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
    judges = [_judging(each, samples, read_file or _no_file) for each in loop.evaluators if each.kind == "llm_classify"]
    kept, _ = set_near_duplicates_aside([sample for sample in samples if _fits(sample, actions)])
    work = [_replaying(kept, actions), *judges]
    arms = loop.policy.candidates + 1
    lines = _lines("eval_results", judges, samples, 1, price_of)
    train = _of(kept, "train")
    if train:
        lines += [_updating(loop, actions, train, judges, price_of)]
        lines += _lines("updated_policy", work, _of(kept, "selection"), arms, price_of)
        lines += _lines("validation_results", work, _of(kept, "holdout"), 2 * loop.validation.repeats, price_of)
    return Estimate(lines=tuple(lines))


def _no_file(name: str) -> str:
    raise OSError(f"no file is read here, {name} neither")


def _of(samples: Iterable[Sample], split: str) -> list[Sample]:
    return [sample for sample in samples if sample.split == split]


def _fits(sample: Sample, actions: Actions) -> bool:
    """Whether the policy can be replayed on it: a sample without its variables is left out of the search."""
    return set(actions.variables) <= set(sample.variables)


def _lines(
    stage: str, work: Sequence[_Work], samples: Sequence[Sample], times: int, price_of: PriceOf
) -> list[StageEstimate]:
    """One line for each kind of call that is made at all."""
    lines = []
    for what, model, known in work:
        calls = [known[sample.span_id] for sample in samples if sample.span_id in known] * times
        lines += [_line(stage, _Work(what, model, {}), calls, price_of)] if calls else []
    return lines


def _line(stage: str, work: _Work, calls: Sequence[_Call], price_of: PriceOf) -> StageEstimate:
    prompt, completion = sum(call.prompt for call in calls), sum(call.completion for call in calls)
    price = price_of(work.model)
    cost = None if price is None else round((prompt * price.input + completion * price.output) / 1_000_000, 9)
    spend = Spend(calls=len(calls), prompt_tokens=prompt, completion_tokens=completion, cost_usd=cost)
    return StageEstimate(stage=stage, work=work.what, model=work.model, spend=spend)


def _judging(config: LLMClassifyConfig, samples: Iterable[Sample], read_file: ReadFile) -> _Work:
    """What judging one output takes; a sample that lacks what the template names is no call."""
    text = resolve_template(config.template, read_file)
    spec = JudgeSpec(
        name=config.name,
        model=config.model,
        template=text,
        rails=dict(config.rails),
        provide_explanation=config.provide_explanation,
    )
    template = parse_judge_template(text)
    fixed = estimate_tokens(spec.system) + estimate_tokens(json.dumps(spec.form.shape)) + 2 * MESSAGE_TOKENS
    answer = LABEL_TOKENS + (EXPLANATION_TOKENS if config.provide_explanation else 0)
    calls = {}
    for sample in samples:
        try:
            texts = sample_texts(sample, template.names)
        except EvaluatorError:
            continue
        calls[sample.span_id] = _Call(fixed + estimate_tokens(template.fill(texts)), answer)
    return _Work(f"judge {config.name}", config.model, calls)


def _replaying(samples: Iterable[Sample], actions: Actions) -> _Work:
    """What one new answer takes, under a candidate of `actions`."""
    calls = {
        sample.span_id: _Call(
            GROWTH_TOKENS
            + _chat_tokens(actions.messages(sample.variables if actions.variables else None, sample.messages))
            + sum(estimate_tokens(json.dumps(tool)) for tool in sample.tools),
            estimate_tokens(sample.output),
        )
        for sample in samples
    }
    return _Work("replay", actions.model, calls)


def _chat_tokens(messages: Iterable[JsonObject]) -> int:
    """Of the texts and tool calls; pictures count nothing."""
    return sum(MESSAGE_TOKENS + estimate_tokens(_said(message)) for message in messages)


def _said(message: JsonObject) -> str:
    content = message.get("content") or ""
    text = content if isinstance(content, str) else "\n".join(str(part.get("text", "")) for part in content)
    return text + json.dumps(message.get("tool_calls", ""))


def _updating(
    loop: LoopConfig, actions: Actions, train: Sequence[Sample], judges: Sequence[_Work], price_of: PriceOf
) -> StageEstimate:
    """One call a candidate, each with the prompt that the updater would build."""
    raise AssertionError
