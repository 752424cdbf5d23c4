"""Recovers prompt templates from the prompts of one window alone, or refuses with a reason.

Our own, since template miners (Drain for logs, RoadRunner for pages) always give an answer. A wrong template would put
words into a policy that no application ever sent, so prompts are refused wherever a window leaves open whether a text
is fixed or a value.
"""

from sia_dagster.core.template_recovery.recover import recover
from sia_dagster.core.template_recovery.template import Fill, Recovery, Template, shared_share

__all__ = ["Fill", "Recovery", "Template", "recover", "shared_share"]
