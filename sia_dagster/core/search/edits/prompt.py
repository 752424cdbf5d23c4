"""The prompt of the updater's model: the policy, the criteria and quoted samples, within a budget of tokens."""

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.prompting import NOTICE, estimate_tokens, quote
from sia_dagster.core.prompting.prompts import load_prompt
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject, Value, fingerprint
from sia_dagster.core.search.causes import Cause, clauses_about, shortfall
from sia_dagster.core.text import count

PLACEHOLDERS = frozenset({"notice", "max_prompt_tokens", "policy", "criteria", "groups", "focus", "samples"})
WENT_WELL = 3
MOST_TRIED = 12
"""Edits that did not help, the newest."""
MOST_SHOWN = 6
"""Samples of one cause at most: more say the same again."""
LEAST_FIELD_TOKENS = 40
"""A request, output or explanation is shown up to this length at least, however small the budget."""
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_SAFE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class UpdatePrompt(Value):
    """A prompt for the updater's model."""

    messages: tuple[JsonObject, ...]
    span_ids: Mapping[str, str]
    """The span id of each sample shown, by the id it was shown under; empty where none had room."""


class Evidence(Value):
    """What is known of the train samples under the policy that is to be edited."""

    samples: Mapping[str, Sample]
    """By span id."""
    metrics: Mapping[str, EvalMetrics]
    """The primary evaluator's, by span id."""
    constants: tuple[EvalConstant, ...]
    """The primary one first."""
    tried: tuple[str, ...] = ()
    """Edits for the same causes that did not help."""
    whole: bool = False
    """Whether explanations are shown whole, not only what they say of the causes: where that did not help."""


class _SampleGroup(Value):
    """One cause's samples, in the order in which they are shown while there is room."""

    title: str
    pairs: tuple[tuple[Sample, EvalMetrics], ...]


class Task(Value):
    """What the model is asked for."""

    template: str
    """The name of the prompt file."""
    focus: str


EDITS = Task(template="edits", focus="Propose a separate edit for each group; others see to what else goes wrong.")


@cache
def edits_template(name: str = EDITS.template) -> tuple[str, str]:
    """The system and the user part of the prompt file."""
    return check_template(load_prompt(name))


def check_template(text: str) -> tuple[str, str]:
    """Both parts of `text`, which a line `---` divides. Raises ValueError for missing or unknown placeholders."""
    system, divider, user = text.partition("\n---\n")
    if not divider:
        raise ValueError("the prompt of the edits needs a line --- between its system and its user part")
    found = _PLACEHOLDER.findall(text)
    if wrong := sorted(PLACEHOLDERS.symmetric_difference(found)) or sorted({n for n in found if found.count(n) > 1}):
        raise ValueError(f"the prompt of the edits must hold each of its placeholders once; wrong are {wrong}")
    return system, user


def build_prompt(
    policy: str, causes: Sequence[Cause], evidence: Evidence, config: PolicyConfig, task: Task = EDITS
) -> UpdatePrompt:
    """The chat that asks for changes of the prompt `policy` for these causes, within `config.max_context_tokens`.

    The policy is never cut, since edits quote it; criteria and samples are cut in the middle, and samples are taken
    from the causes in turn while there is room. Of each explanation what it says of these causes is shown.
    """
    max_tokens = config.max_context_tokens
    constants = evidence.constants
    texts = {
        "notice": NOTICE,
        "max_prompt_tokens": str(config.max_prompt_tokens),
        "policy": quote(policy, "policy"),
        "criteria": _criteria(constants, max_tokens // 16),
        "groups": "\n".join(_named(cause, number, evidence) for number, cause in _numbered(causes)),
        "focus": f"{task.focus}{_tried(evidence.tried)}",
    }
    room = max_tokens - _tokens(_fill(task, {**texts, "samples": ""}))
    groups = [*(_failing(cause, number, causes, evidence) for number, cause in _numbered(causes)), _went_well(evidence)]
    samples, span_ids = _samples(groups, constants, room)
    return UpdatePrompt(messages=_fill(task, {**texts, "samples": samples}), span_ids=span_ids)


def _tried(texts: Sequence[str]) -> str:
    if not texts:
        return ""
    shown = "\n".join(
        quote(trim_middle(text, LEAST_FIELD_TOKENS), "tried") for text in dict.fromkeys(texts[-MOST_TRIED:])
    )
    return (
        "\n\nThese edits were tried for these groups. They did not help, or other answers got worse with them. Propose "
        f"something else, or the same for the requests alone that need it:\n{shown}"
    )


def _numbered(causes: Sequence[Cause]) -> Iterable[tuple[int, Cause]]:
    return enumerate(causes, start=1)


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


def _fill(task: Task, texts: Mapping[str, str]) -> tuple[JsonObject, ...]:
    """Both parts filled in at one pass: a placeholder within a text that was filled in stays as it is."""
    system, user = (_PLACEHOLDER.sub(lambda m: texts[m[1]], part) for part in edits_template(task.template))
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


def _title(cause: Cause, number: int, evidence: Evidence) -> str:
    constant = next(each for each in evidence.constants if each.name == cause.evaluator)
    return f"Group {number} ({cause.evaluator}: {verdict_of(evidence.metrics[cause.samples[0]], constant)})"


def _named(cause: Cause, number: int, evidence: Evidence) -> str:
    """The group and its fault: where answers have several, their explanations do not tell which one is meant."""
    heading = f"- {_title(cause, number, evidence)}, {count(len(cause.samples), 'answer')}:"
    return f"{heading}\n{quote(trim_middle(cause.text, LEAST_FIELD_TOKENS), 'fault')}" if cause.text else heading


def _failing(cause: Cause, number: int, causes: Sequence[Cause], evidence: Evidence) -> _SampleGroup:
    shown = [(evidence.samples[span], evidence.metrics[span]) for span in cause.samples[:MOST_SHOWN]]
    return _SampleGroup(
        title=_title(cause, number, evidence),
        pairs=tuple((sample, metric if evidence.whole else _cut(metric, causes)) for sample, metric in shown),
    )


def _cut(metric: EvalMetrics, causes: Sequence[Cause]) -> EvalMetrics:
    return metric.model_copy(update={"explanation": clauses_about(metric, causes)})


def _went_well(evidence: Evidence) -> _SampleGroup:
    """Samples that the primary evaluator gives its best score, by span id."""
    primary = evidence.constants[0]
    best = [span for span, metric in sorted(evidence.metrics.items()) if shortfall(metric, primary) == 0]
    pairs = tuple((evidence.samples[span], evidence.metrics[span]) for span in best[:WENT_WELL])
    return _SampleGroup(title="Answers that went well", pairs=pairs)


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
