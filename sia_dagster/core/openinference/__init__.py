"""OpenInference: spans to samples and back.

Which prompt made a sample is `attribution`.
"""

from sia_dagster.core.openinference.attributes import EMPTY_TEXTS
from sia_dagster.core.openinference.messages import message_attributes, tool_calls_text
from sia_dagster.core.openinference.recorded_template import placeholders
from sia_dagster.core.openinference.samples import MappedSpans, samples_from_rows
from sia_dagster.core.openinference.settings import call_settings, kept_elsewhere, policy_settings
from sia_dagster.core.openinference.tags import MOST_CHARACTERS

__all__ = [
    "EMPTY_TEXTS",
    "MOST_CHARACTERS",
    "MappedSpans",
    "call_settings",
    "kept_elsewhere",
    "message_attributes",
    "placeholders",
    "policy_settings",
    "samples_from_rows",
    "tool_calls_text",
]
