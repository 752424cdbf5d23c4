"""Attribution: which prompt, and so which policy, produced each sample of a window."""

from sia_dagster.core.attribution.attribute import Attribution, attribute, commonest

__all__ = ["Attribution", "attribute", "commonest"]
