"""What a convention gives, and what several of them share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sia_dagster.core.records.value import JsonObject

KIND: Final = "openinference.span.kind"
_COUNTS: Final = {
    "llm.token_count.prompt": ("input_tokens", "prompt_tokens", "inputTokens", "promptTokens", "input"),
    "llm.token_count.completion": ("output_tokens", "completion_tokens", "outputTokens", "completionTokens", "output"),
}


class Convention(NamedTuple):
    """How one convention names what OpenInference names otherwise."""

    name: str
    prefixes: tuple[str, ...]
    """How its attributes start; a span with such an attribute is converted."""
    convert: Callable[[JsonObject, Sequence[JsonObject]], JsonObject]
    """From the span's attributes and events to OpenInference attributes; {} where they describe no call of a model.
    A span of another kind than LLM gets its kind alone. Raises FormError for a call that would be misread."""


def usage(attributes: Mapping[str, Any], prefix: str = "") -> JsonObject:
    """The token counts, under any of the names that are in use; some tools write 0 where they do not know."""
    return {
        count: next((attributes[prefix + name] for name in names if attributes.get(prefix + name)), None)
        for count, names in _COUNTS.items()
    }
