"""The strategy `reflection`: a model reads what evaluators found wrong and proposes edits of the prompt."""

from sia_dagster.core.search.reflection.updater import ReflectionUpdater, first_prompt

__all__ = ["ReflectionUpdater", "first_prompt"]
