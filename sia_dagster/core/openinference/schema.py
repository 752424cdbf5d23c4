"""The normalised span row: what every trace source yields and the `traces` asset stores."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa

_TEXT_COLUMNS = {
    "input_messages": "The chat that was sent: JSON list of OpenInference messages (`llm.input_messages`).",
    "output_messages": "The answer: JSON list of OpenInference messages (`llm.output_messages`).",
    "input_value": "The raw request (`input.value`): JSON for instrumented SDKs, else text.",
    "output_value": "The raw response (`output.value`): JSON for instrumented SDKs, else text.",
    "invocation_parameters": "JSON object of the call's settings (`llm.invocation_parameters`).",
    "tools": "JSON list of the tools that the model was offered (`llm.tools`).",
    "template": "The prompt before filling in (`llm.prompt_template.template`).",
    "template_variables": "JSON object of what the prompt was filled with (`llm.prompt_template.variables`).",
    "tags": "JSON list of what the application tagged the call with (`tag.tags`).",
    "evals": "JSON object `{name: {label, score, explanation}}` of the `eval.*` columns.",
    "annotations": "JSON object `{name: {label, score, explanation}}` of people's `annotation.*` columns.",
}

TEXT_COLUMNS: tuple[str, ...] = tuple(_TEXT_COLUMNS)
"""Columns that are null unless the row is `sampled`: a window's text is read for the calls that are used."""

SPAN_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "span_id": "The call (`context.span_id`); unique.",
        "trace_id": "The request of the application that the call belongs to (`context.trace_id`).",
        "conversation_id": "`session.id`, else `user.id`, else the trace.",
        "user_id": "Who wrote the request (`user.id`, else `metadata.user_id`), where it is recorded.",
        "name": "The span's name, such as `ChatCompletion`.",
        "start_time": "When the call started, UTC.",
        "latency_ms": "How long it took, in milliseconds; null where the end is not recorded.",
        "status": "`OK`, `ERROR` or `UNSET`.",
        "model": "The model that answered (`llm.model_name`); a replay asks for the one that was requested.",
        "prompt_tokens": "Tokens of the request; null for streams that did not count.",
        "completion_tokens": "Tokens of the answer; null for streams that did not count.",
        "sampled": "Whether this call carries its text: chosen by a hash of its id, never by order.",
        **_TEXT_COLUMNS,
    }
)
"""What each column of `SPAN_SCHEMA` holds."""

_TYPES: Mapping[str, Any] = {
    "start_time": pa.timestamp("us", tz="UTC"),
    "latency_ms": pa.float64(),
    "prompt_tokens": pa.int64(),
    "completion_tokens": pa.int64(),
    "sampled": pa.bool_(),
}
_REQUIRED = {"span_id", "start_time", "status", "sampled"}
SPAN_SCHEMA: pa.Schema = pa.schema(
    [pa.field(name, _TYPES.get(name, pa.string()), nullable=name not in _REQUIRED) for name in SPAN_COLUMNS]
)
"""One row for every LLM span of a window, so that counts are true; text for the sampled ones."""
