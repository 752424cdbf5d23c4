"""Samples as the rows that they could have been read from, for tests of the reading."""

import json
from collections.abc import Iterable
from typing import Any

from sia_dagster.core.openinference.messages import message_attributes
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.value import JsonObject


def sample_to_row(sample: Sample) -> dict[str, Any]:
    """The sample as a sampled row of `SPAN_SCHEMA`; `sample_from_row` gives it back.

    Evaluations and annotations come back as the platform's (`source="platform"`): a trace keeps label, score and
    explanation alone.
    """
    system = [Message(role="system", content=sample.system_prompt)] if sample.system_prompt else []
    answer = Message(role="assistant", content=sample.output)
    return {
        "span_id": sample.span_id,
        "trace_id": sample.trace_id,
        "conversation_id": sample.conversation_id,
        "user_id": sample.user_id or None,
        "name": sample.name or None,
        "start_time": sample.start_time,
        "latency_ms": None,
        "status": "OK",
        "model": sample.model,
        "prompt_tokens": None,
        "completion_tokens": None,
        "sampled": True,
        "input_messages": _dump([message_attributes(m) for m in (*system, *sample.messages)]),
        "output_messages": _dump([message_attributes(answer)]),
        "input_value": None,
        "output_value": None,
        "invocation_parameters": _dump(sample.parameters),
        "tools": _dump([{"tool.json_schema": _dump(tool)} for tool in sample.tools]),
        "template": sample.template,
        "template_variables": _dump(sample.variables),
        "tags": _dump(list(sample.tags)),
        "evals": _dump(_recorded(sample.evals)),
        "annotations": _dump(_recorded(sample.annotations)),
    }


def _recorded(said: Iterable[EvalMetrics]) -> JsonObject:
    return {e.name: {"label": e.label, "score": e.score, "explanation": e.explanation} for e in said}


def _dump(value: JsonObject | list[Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
