"""Improves an LLM application's prompt from its own production traces, with evidence, as a Dagster project.

Names are imported when they are first used, so that an application that loads a policy never imports Dagster.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sia_dagster.component import SelfImprovingLoop
    from sia_dagster.policy_in_force import load_policy

    __version__: str

__all__ = ["SelfImprovingLoop", "__version__", "load_policy"]
_HOMES = {"SelfImprovingLoop": "sia_dagster.component", "load_policy": "sia_dagster.policy_in_force"}


def __getattr__(name: str) -> Any:
    """Import `name` from its home. Raises AttributeError for a name that is not exported."""
    if name == "__version__":
        return import_module("importlib.metadata").version("sia-dagster")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
