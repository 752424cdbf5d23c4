"""The HTML report of a window: one self-contained file."""
