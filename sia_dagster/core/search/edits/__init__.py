"""The strategy `edits`, the default: a model reads what evaluators found wrong and proposes edits of the prompt."""

from sia_dagster.core.search.edits.estimate import first_prompt
from sia_dagster.core.search.edits.strategy import Edits

__all__ = ["Edits", "first_prompt"]
