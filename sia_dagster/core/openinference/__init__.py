"""Maps OpenInference spans to samples and back. Which prompt produced a sample is `attribution`'s subject."""

from sia_dagster.core.openinference.messages import message_attributes, tool_calls_text
from sia_dagster.core.openinference.recorded_template import placeholders
from sia_dagster.core.openinference.roles import ROLES
from sia_dagster.core.openinference.samples import LONGEST_TAG, MappedSpans, samples_from_rows
from sia_dagster.core.openinference.settings import call_settings, kept_elsewhere, policy_settings
from sia_dagster.core.openinference.turns import SYSTEM_ROLES

__all__ = [
    "LONGEST_TAG",
    "ROLES",
    "SYSTEM_ROLES",
    "MappedSpans",
    "call_settings",
    "kept_elsewhere",
    "message_attributes",
    "placeholders",
    "policy_settings",
    "samples_from_rows",
    "tool_calls_text",
]
