"""Which policy spoke: the prompts of a window, told apart, named and counted."""

from sia_dagster.core.attribution.attribute import Attribution, attribute, commonest

__all__ = ["Attribution", "attribute", "commonest"]
