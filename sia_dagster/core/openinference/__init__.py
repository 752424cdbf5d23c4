"""Maps OpenInference spans to samples and back. Which prompt produced a sample is `attribution`'s subject."""

from sia_dagster.core.openinference.messages import message_attributes, tool_calls_text
from sia_dagster.core.openinference.recorded_template import placeholders
from sia_dagster.core.openinference.samples import LONGEST_TAG, MappedSpans, samples_from_rows
from sia_dagster.core.openinference.settings import call_settings, kept_elsewhere, policy_settings

__all__ = [
    "LONGEST_TAG",
    "MappedSpans",
    "call_settings",
    "kept_elsewhere",
    "message_attributes",
    "placeholders",
    "policy_settings",
    "samples_from_rows",
    "tool_calls_text",
]
