"""Which policy spoke: attributes every sample of a window to the prompt that produced it."""

from sia_dagster.core.attribution.attribute import Attribution, attribute, commonest

__all__ = ["Attribution", "attribute", "commonest"]
