"""The demo's code evaluator: an example of a function of one sample."""

from sia_dagster.core.records.sample import Sample

MOST_WORDS = 80


def is_brief(sample: Sample) -> bool:
    """Whether the answer has at most 80 words: long answers are not read."""
    return len(sample.output.split()) <= MOST_WORDS
