"""The question in which a model reflects on a few samples, and its answer: the whole prompt, written anew."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.prompting import NOTICE, Form, estimate_tokens, quote
from sia_dagster.core.prompting.prompts import load_prompt
from sia_dagster.core.prompting.structured_answer import Answer
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import Edit
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.search.edits import LEAST_FIELD_TOKENS, edits_between, shown_id, trim_middle, verdict_of

_TEXT: Final = {"type": "string"}
FORM: Final = Form(
    name="new_prompt",
    shape={
        "type": "object",
        "properties": {"thoughts": _TEXT, "samples": {"type": "array", "items": _TEXT}, "system_prompt": _TEXT},
        "required": ["thoughts", "samples", "system_prompt"],
        "additionalProperties": False,
    },
)
"""The form of the model's answer."""
FIELDS: Final = 3
"""Of a sample: request, output and explanation."""
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")
Shown = Sequence[tuple[Sample, ArmOutcome]]
"""Samples of the train split, with the answers under the policy that is reflected on."""


class Reflection(NamedTuple):
    """What an answer proposes, or why it cannot be used."""

    edits: tuple[Edit, ...] = ()
    """Of the prompt that was reflected on, with the samples that the model names; what they leave is as it was."""
    thoughts: str = ""
    problem: str = ""
    """Without text of the answer, which is untrusted; empty exactly if there are `edits`."""


def build_reflection(
    policy: str, shown: Shown, constants: Sequence[EvalConstant], config: PolicyConfig
) -> tuple[JsonObject, ...]:
    """The chat that asks for a new version of the prompt `policy`, within `config.max_context_tokens`.

    The policy is never cut; criteria and samples are cut in the middle.
    """
    most = config.max_context_tokens
    texts = {
        "notice": NOTICE,
        "max_prompt_tokens": str(config.max_prompt_tokens),
        "policy": quote(policy, "policy"),
        "criteria": "\n\n".join(
            quote(trim_middle(f"{each.name}: {each.criteria}", most // 16), "criteria") for each in constants
        ),
        "samples": "",
    }
    room = most - sum(estimate_tokens(str(message["content"])) for message in _filled(texts))
    limit = max(LEAST_FIELD_TOKENS, room // max(1, len(shown)) // FIELDS - LEAST_FIELD_TOKENS)
    blocks = [_block(sample, outcome, constants, limit) for sample, outcome in shown]
    return _filled(texts | {"samples": "\n\n".join(blocks)})


def read_reflection(answer: Answer, policy: str, shown: Shown) -> Reflection:
    """The new version of `policy` in a model's answer, as edits."""
    content = answer.content or {}
    prompt, named, thoughts = content.get("system_prompt"), content.get("samples"), content.get("thoughts")
    if answer.content is None:
        return Reflection(problem=answer.problem)
    if not isinstance(prompt, str) or not prompt.strip():
        return Reflection(problem="the answer has no prompt")
    span_ids = {shown_id(sample.span_id): sample.span_id for sample, _ in shown}
    given = [each for each in named if isinstance(each, str)] if isinstance(named, list) else []
    if unknown := [each for each in given if each not in span_ids]:
        return Reflection(problem=f"the answer names samples that were not shown ({len(unknown)} of {len(given)})")
    found = edits_between(policy, prompt) if policy.strip() else (Edit(operation="add", text=prompt),)
    if not found:
        return Reflection(problem="the answer leaves the prompt as it is")
    samples = tuple(dict.fromkeys(span_ids[each] for each in given))
    edits = tuple(edit.model_copy(update={"samples": samples}) for edit in found)
    return Reflection(edits, thoughts if isinstance(thoughts, str) else "")


def _filled(texts: Mapping[str, str]) -> tuple[JsonObject, ...]:
    system, user = (_PLACEHOLDER.sub(lambda match: texts[match[1]], part) for part in _parts())
    return ({"role": "system", "content": system}, {"role": "user", "content": user})


@cache
def _parts() -> tuple[str, str]:
    system, _, user = load_prompt("gepa").partition("\n---\n")
    return system, user


def _block(sample: Sample, outcome: ArmOutcome, constants: Sequence[EvalConstant], limit: int) -> str:
    """Request and output, with the primary evaluator's explanation and those of others that are not content."""
    primary, *others = constants
    metrics = {metric.name: metric for metric in outcome.evals}
    found = metrics.get(primary.name)
    said = [found.explanation or "" if found else "there was no answer to evaluate"]
    for constant in others:
        metric = metrics.get(constant.name)
        if metric is not None and metric.score is not None and metric.score < constant.high:
            said.append(f"{constant.name}, {verdict_of(metric, constant)}: {metric.explanation or ''}")
    quotes = [("request", sample.request), ("output", outcome.output or ""), ("explanation", "\n".join(said))]
    verdict = verdict_of(found, primary) if found else "no score"
    header = f"Sample {shown_id(sample.span_id)} ({primary.name}: {verdict})"
    return "\n".join([header, *(quote(trim_middle(text, limit), name) for name, text in quotes)])
