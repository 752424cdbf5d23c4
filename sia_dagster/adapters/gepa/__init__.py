"""The gepa library as a search strategy, behind the desk. Needs `sia-dagster[gepa]`."""

from sia_dagster.adapters.gepa.gepa_strategy import Gepa

__all__ = ["Gepa"]
