"""The strategy `edits`, the default: a model reads what evaluators found wrong and proposes edits of the prompt."""

from sia_dagster.core.search.edits.apply import apply_edits
from sia_dagster.core.search.edits.estimate import first_prompt
from sia_dagster.core.search.edits.prompt import LEAST_FIELD_TOKENS, shown_id, trim_middle, verdict_of
from sia_dagster.core.search.edits.rewrites import edits_between
from sia_dagster.core.search.edits.strategy import Edits

__all__ = [
    "LEAST_FIELD_TOKENS",
    "Edits",
    "apply_edits",
    "edits_between",
    "first_prompt",
    "shown_id",
    "trim_middle",
    "verdict_of",
]
