"""Whether a span is a call of a model, by its recorded kind or by what only such calls have."""

import re
from collections.abc import Mapping
from typing import Any, Final

LLM: Final = "LLM"
OTHERS: Final = (
    "CHAIN", "TOOL", "AGENT", "RETRIEVER", "EMBEDDING", "RERANKER", "GUARDRAIL", "EVALUATOR", "PROMPT",
)  # fmt: skip
"""OpenInference's other kinds. Anything else (null, OpenTelemetry's INTERNAL or CLIENT, a name of one's own) says
nothing of what the span is."""
MODEL_ATTRIBUTES: Final = ("llm.model_name", "llm.input_messages", "llm.output_messages")
"""Attributes that only calls of a model have."""
_WORD = re.compile(r"[A-Za-z_]+")


def recorded_kind(value: Any) -> str:
    """OpenInference's kind in `LLM`, `llm`, `OpenInferenceSpanKindValues.LLM` or an enum's repr; else empty."""
    if value == LLM:
        return LLM
    if not isinstance(value, str):
        return ""
    words = {word.upper() for word in _WORD.findall(value)}
    return next((kind for kind in (LLM, *OTHERS) if kind in words), "")


def not_a_call(kind: str | None) -> str:
    """Why a span of this kind is no call of a model."""
    return f"of kind {kind}" if kind else "of no recorded kind, and without llm.* attributes"


def is_call(attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes are those of a model's call."""
    return any(attributes.get(name) not in (None, "", [], {}) for name in MODEL_ATTRIBUTES) or any(
        name.startswith(("llm.input_messages.", "llm.output_messages.")) for name in attributes
    )
