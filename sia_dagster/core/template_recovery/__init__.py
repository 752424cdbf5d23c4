"""The fixed part of prompts that were filled in, found from a window's prompts alone, or refused."""

from sia_dagster.core.template_recovery.recover import recover
from sia_dagster.core.template_recovery.template import (
    Fill,
    RecoveredTemplate,
    Recovery,
    Refusal,
    Template,
    shared_share,
)

__all__ = ["Fill", "RecoveredTemplate", "Recovery", "Refusal", "Template", "recover", "shared_share"]
