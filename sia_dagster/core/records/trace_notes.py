"""What the reading of a window's spans left out or mended: one value a span, and one note a kind."""

from sia_dagster.core.records.value import Value


class SkippedSpan(Value):
    """A span that could not be used."""

    span_id: str
    reason: str
    """A short stable kind, such as `no_answer` or `cut`: by it the spans are counted."""
    sentence: str
    """What is wrong with this span, and what to do."""

    def __str__(self) -> str:
        """The sentence with the span's id."""
        return f"span {self.span_id}: {self.sentence}"


class TraceNote(Value):
    """What a person should know about a window's traces before anything is paid for."""

    kind: str
    """A short stable name, such as `one_conversation`."""
    sentence: str
    """What was found, in how many samples, and what to do."""
    count: int
    """The samples that it concerns."""
    span_id: str
    """One of them, the first in the order given."""
