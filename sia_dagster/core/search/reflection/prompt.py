"""What the updater's model is shown: the policy, the criteria and quoted samples, within a budget of tokens."""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache

from sia_dagster.core.prompting import NOTICE, estimate_tokens, quote
from sia_dagster.core.prompting.prompts import load_prompt
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import JsonObject, Value, fingerprint
from sia_dagster.core.search.reflection.clusters import Cluster, shortfall

PLACEHOLDERS = frozenset({"notice", "max_prompt_tokens", "policy", "criteria", "groups", "focus", "samples"})


MAX_GROUPS, WENT_WELL = 8, 3


LEAST_FIELD_TOKENS = 40
"""A request, output or explanation is shown at least this far, however small the budget."""


_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


_SAFE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class Shown(Value):
    """A prompt for the updater's model."""

    messages: tuple[JsonObject, ...]
    span_ids: Mapping[str, str]
    """The span id of each sample shown, by the id it was shown under; empty where none had room."""


class Focus(Value):
    """Which groups one candidate is to mend."""

    instruction: str
    clusters: tuple[Cluster, ...]


class _Shelf(Value):
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


def focuses(clusters: Sequence[Cluster], count: int) -> tuple[Focus, ...]:
    """`count` different tasks: all groups, then the first alone, then the next; round again when they are used up."""
    shown = clusters[:MAX_GROUPS]
    every = Focus(instruction="Propose edits for all groups, the first ones first.", clusters=tuple(shown))
    single = [
        Focus(instruction=f"Propose edits for group {number} alone; others see to the rest.", clusters=(cluster,))
        for number, cluster in enumerate(shown, start=1)
    ]
    tasks = [every, *single] if len(single) > 1 else [every]
    return tuple(tasks[index % len(tasks)] for index in range(count))


def build_prompt(
    state: StateActions, clusters: Sequence[Cluster], focus: Focus, *, max_prompt_tokens: int, budget: int
) -> Shown:
    """The chat that asks for edits of the policy's prompt, of at most `budget` tokens by estimate.

    The policy is never cut, since edits quote it; criteria and samples are cut in the middle, and samples are taken
    from the groups in turn while there is room. Only the train split is read.
    """
    texts = {
        "notice": NOTICE,
        "max_prompt_tokens": str(max_prompt_tokens),
        "policy": quote(state.actions.system_prompt if state.actions else "", "policy"),
        "criteria": _criteria(state.eval_constants, budget // 16),
        "groups": _overview(clusters, state.eval_constants),
        "focus": focus.instruction,
    }
    room = budget - _tokens(_fill({**texts, "samples": ""}))
    shelves = [*_failing(focus, clusters, state.eval_constants), _went_well(state)]
    samples, span_ids = _samples(shelves, state.eval_constants, room)
    return Shown(messages=_fill({**texts, "samples": samples}), span_ids=span_ids)


def shown_id(span_id: str) -> str:
    """The span's id where it is plain; else a hash of it: ids come from traces and stand outside the quotes."""
    return span_id if _SAFE_ID.fullmatch(span_id) else f"span-{fingerprint(span_id)}"


def verdict_of(metric: EvalMetrics, constant: EvalConstant) -> str:
    """The label where it is one of the rails, else the score: a free label may hold text of the trace."""
    if metric.label is not None and metric.label in constant.rails:
        return metric.label
    return "no score" if metric.score is None else f"{metric.score:g}"


def trim_middle(text: str, tokens: int) -> str:
    """`text`, or its beginning and end with a note of how much was left out, so that about `tokens` are shown."""
    estimate = estimate_tokens(text)
    if estimate <= tokens:
        return text
    keep = int(len(text) * tokens / estimate)
    head, tail = keep - keep // 3, keep // 3
    left_out = len(text) - head - tail
    return f"{text[:head]}\n[... {left_out} characters left out ...]\n{text[len(text) - tail :]}"


def _fill(texts: Mapping[str, str]) -> tuple[JsonObject, ...]:
    """Both parts filled in at one pass: a text that holds a placeholder is not filled again."""
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


def _failing(focus: Focus, clusters: Sequence[Cluster], constants: Sequence[EvalConstant]) -> list[_Shelf]:
    return [
        _Shelf(
            title=_title(cluster, clusters.index(cluster) + 1, constants),
            pairs=tuple((failure.sample, failure.metric) for failure in cluster.failures),
        )
        for cluster in focus.clusters
    ]


def _went_well(state: StateActions) -> _Shelf:
    """Samples that the primary evaluator gave its best score, by span id."""
    best = [
        (sample, metric)
        for sample in sorted(state.of("train"), key=lambda sample: sample.span_id)
        for metric in sample.evals
        if state.primary and metric.name == state.primary.name and shortfall(metric, state.primary) == 0
    ]
    return _Shelf(title="Answers that went well", pairs=tuple(best[:WENT_WELL]))


def _samples(shelves: Sequence[_Shelf], constants: Sequence[EvalConstant], room: int) -> tuple[str, dict[str, str]]:
    """The shelves with what had room: one sample of each in turn, none twice, one that is too long passed over."""
    by_name = {constant.name: constant for constant in constants}
    blocks: list[list[str]] = [[] for _ in shelves]
    span_ids: dict[str, str] = {}
    queues = [deque(shelf.pairs) for shelf in shelves]
    room -= sum(estimate_tokens(shelf.title) + 2 for shelf in shelves)
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
    parts = ["\n\n".join([f"{shelf.title}:", *shown]) for shelf, shown in zip(shelves, blocks, strict=True) if shown]
    return "\n\n".join(parts), span_ids


def _block(sample: Sample, metric: EvalMetrics, constant: EvalConstant, limit: int) -> str:
    verdict = verdict_of(metric, constant)
    said = metric.explanation or ""
    if metric.label is not None and metric.label != verdict:
        said = f"{metric.label}: {said}"
    quotes = [("request", sample.request), ("output", sample.output), ("explanation", said)]
    header = f"Sample {shown_id(sample.span_id)} ({metric.name}: {verdict})"
    return "\n".join([header, *(quote(trim_middle(text, limit), name) for name, text in quotes)])
