"""The prompt of the updater's model: the policy, the criteria and quoted samples, within a budget of tokens."""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.prompting import NOTICE, estimate_tokens, quote
from sia_dagster.core.prompting.prompts import load_prompt
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import JsonObject, Value, fingerprint
from sia_dagster.core.search.failed_samples import shortfall
from sia_dagster.core.search.reflection.clusters import Cluster

PLACEHOLDERS = frozenset({"notice", "max_prompt_tokens", "policy", "criteria", "groups", "focus", "samples"})
MAX_GROUPS, WENT_WELL = 8, 3
LEAST_FIELD_TOKENS = 40
"""A request, output or explanation is shown up to this length at least, however small the budget."""
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_SAFE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class UpdatePrompt(Value):
    """A prompt for the updater's model."""

    messages: tuple[JsonObject, ...]
    span_ids: Mapping[str, str]
    """The span id of each sample shown, by the id it was shown under; empty where none had room."""


class EditTask(Value):
    """The groups of failures that one candidate addresses."""

    instruction: str
    clusters: tuple[Cluster, ...]


class _SampleGroup(Value):
    """One group's samples, in the order in which they are shown while there is room."""

    title: str
    pairs: tuple[tuple[Sample, EvalMetrics], ...]


@cache
def reflection_template() -> tuple[str, str]:
    """The system and the user part of the prompt file."""
    return check_template(load_prompt("reflection"))


def check_template(text: str) -> tuple[str, str]:
    """Both parts of `text`, which a line `---` divides. Raises ValueError for missing or unknown placeholders."""
    system, divider, user = text.partition("\n---\n")
    if not divider:
        raise ValueError("the reflection prompt needs a line --- between its system and its user part")
    found = _PLACEHOLDER.findall(text)
    if wrong := sorted(PLACEHOLDERS.symmetric_difference(found)) or sorted({n for n in found if found.count(n) > 1}):
        raise ValueError(f"the reflection prompt must hold each of its placeholders once; wrong are {wrong}")
    return system, user


def edit_tasks(clusters: Sequence[Cluster], count: int) -> tuple[EditTask, ...]:
    """`count` tasks: all groups, then the first alone, then the next; from the start again after the last."""
    shown = clusters[:MAX_GROUPS]
    every = EditTask(instruction="Propose edits for all groups, the first ones first.", clusters=tuple(shown))
    single = [
        EditTask(instruction=f"Propose edits for group {number} alone; others see to the rest.", clusters=(cluster,))
        for number, cluster in enumerate(shown, start=1)
    ]
    tasks = [every, *single] if len(single) > 1 else [every]
    return tuple(tasks[index % len(tasks)] for index in range(count))


def build_prompt(
    state: StateActions, clusters: Sequence[Cluster], task: EditTask, config: PolicyConfig
) -> UpdatePrompt:
    """The chat that asks for edits of the policy's prompt, of at most `config.max_context_tokens` by estimate.

    The policy is never cut, since edits quote it; criteria and samples are cut in the middle, and samples are taken
    from the groups in turn while there is room. Only the train split is read.
    """
    max_tokens = config.max_context_tokens
    texts = {
        "notice": NOTICE,
        "max_prompt_tokens": str(config.max_prompt_tokens),
        "policy": quote(state.actions.system_prompt if state.actions else "", "policy"),
        "criteria": _criteria(state.eval_constants, max_tokens // 16),
        "groups": _overview(clusters, state.eval_constants),
        "focus": task.instruction,
    }
    room = max_tokens - _tokens(_fill({**texts, "samples": ""}))
    groups = [*_failing(task, clusters, state.eval_constants), _went_well(state)]
    samples, span_ids = _samples(groups, state.eval_constants, room)
    return UpdatePrompt(messages=_fill({**texts, "samples": samples}), span_ids=span_ids)


def shown_id(span_id: str) -> str:
    """The span's id where it is plain; else a hash of it: ids come from traces and stand outside the quotes."""
    return span_id if _SAFE_ID.fullmatch(span_id) else f"span-{fingerprint(span_id)}"


def verdict_of(metric: EvalMetrics, constant: EvalConstant) -> str:
    """The label where it is one of the rails, else the score: a free label may hold text of the trace."""
    if metric.label is not None and metric.label in constant.rails:
        return metric.label
    return "no score" if metric.score is None else f"{metric.score:g}"


def trim_middle(text: str, tokens: int) -> str:
    """`text`, or its beginning and end with a note of how much was left out, in about `tokens`."""
    estimate = estimate_tokens(text)
    if estimate <= tokens:
        return text
    keep = int(len(text) * tokens / estimate)
    head, tail = keep - keep // 3, keep // 3
    left_out = len(text) - head - tail
    return f"{text[:head]}\n[... {left_out} characters left out ...]\n{text[len(text) - tail :]}"


def _fill(texts: Mapping[str, str]) -> tuple[JsonObject, ...]:
    """Both parts filled in at one pass: a placeholder within a text that was filled in stays as it is."""
    system, user = (_PLACEHOLDER.sub(lambda m: texts[m[1]], part) for part in reflection_template())
    return ({"role": "system", "content": system}, {"role": "user", "content": user})


def _tokens(messages: Sequence[JsonObject]) -> int:
    return sum(estimate_tokens(str(message["content"])) for message in messages)


def _criteria(constants: Sequence[EvalConstant], tokens: int) -> str:
    def describe(constant: EvalConstant) -> str:
        role = "it decides" if constant.primary else "it must not get worse"
        scale = ", ".join(f"{label} = {score:g}" for label, score in constant.rails.items())
        scores = scale or f"from {constant.low:g} to {constant.high:g}"
        heading = f"Evaluator {constant.name} ({role}; higher is better: {scores})"
        return f"{heading}\n{quote(trim_middle(constant.criteria, tokens), 'criteria')}"

    return "\n\n".join(describe(constant) for constant in constants)


def _title(cluster: Cluster, number: int, constants: Sequence[EvalConstant]) -> str:
    constant = next(each for each in constants if each.name == cluster.evaluator)
    return f"Group {number} ({cluster.evaluator}: {verdict_of(cluster.failures[0].metric, constant)})"


def _overview(clusters: Sequence[Cluster], constants: Sequence[EvalConstant]) -> str:
    lines = [
        f"- {_title(cluster, number, constants)}: {len(cluster.failures)} answers"
        for number, cluster in enumerate(clusters[:MAX_GROUPS], start=1)
    ]
    if rest := clusters[MAX_GROUPS:]:
        lines.append(f"- {len(rest)} smaller groups with {sum(len(c.failures) for c in rest)} answers, not shown")
    return "\n".join(lines)


def _failing(task: EditTask, clusters: Sequence[Cluster], constants: Sequence[EvalConstant]) -> list[_SampleGroup]:
    return [
        _SampleGroup(
            title=_title(cluster, clusters.index(cluster) + 1, constants),
            pairs=tuple((failure.sample, failure.metric) for failure in cluster.failures),
        )
        for cluster in task.clusters
    ]


def _went_well(state: StateActions) -> _SampleGroup:
    """Samples that the primary evaluator gave its best score, by span id."""
    best = [
        (sample, metric)
        for sample in sorted(state.of("train"), key=lambda sample: sample.span_id)
        for metric in sample.evals
        if state.primary and metric.name == state.primary.name and shortfall(metric, state.primary) == 0
    ]
    return _SampleGroup(title="Answers that went well", pairs=tuple(best[:WENT_WELL]))


def _samples(
    groups: Sequence[_SampleGroup], constants: Sequence[EvalConstant], room: int
) -> tuple[str, dict[str, str]]:
    """The groups with the samples that had room: one of each in turn, none twice, those that are too long left out."""
    by_name = {constant.name: constant for constant in constants}
    blocks: list[list[str]] = [[] for _ in groups]
    span_ids: dict[str, str] = {}
    queues = [deque(group.pairs) for group in groups]
    room -= sum(estimate_tokens(group.title) + 2 for group in groups)
    limit = max(LEAST_FIELD_TOKENS, room // 24)
    while any(queues):
        for queue, shown in zip(queues, blocks, strict=True):
            if not queue:
                continue
            sample, metric = queue.popleft()
            block = _block(sample, metric, by_name[metric.name], limit)
            if (cost := estimate_tokens(block) + 1) <= room and shown_id(sample.span_id) not in span_ids:
                room -= cost
                shown.append(block)
                span_ids[shown_id(sample.span_id)] = sample.span_id
    parts = ["\n\n".join([f"{group.title}:", *shown]) for group, shown in zip(groups, blocks, strict=True) if shown]
    return "\n\n".join(parts), span_ids


def _block(sample: Sample, metric: EvalMetrics, constant: EvalConstant, limit: int) -> str:
    verdict = verdict_of(metric, constant)
    explanation = metric.explanation or ""
    if metric.label is not None and metric.label != verdict:
        explanation = f"{metric.label}: {explanation}"
    quotes = [("request", sample.request), ("output", sample.output), ("explanation", explanation)]
    header = f"Sample {shown_id(sample.span_id)} ({metric.name}: {verdict})"
    return "\n".join([header, *(quote(trim_middle(text, limit), name) for name, text in quotes)])
