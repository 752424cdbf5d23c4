"""The strategy `few_shot`: shows the application's model well-judged answers of the window as examples."""

from sia_dagster.core.search.few_shot.strategy import FewShot

__all__ = ["FewShot"]
