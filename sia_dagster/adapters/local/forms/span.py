"""What a form gives: spans with OpenInference attributes, whatever tool wrote the record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sia_dagster.core.records.value import JsonObject


@dataclass(slots=True, kw_only=True)
class Span:
    """One span. Times, status and kind are as recorded; `convert.py` reads them, whatever form has them."""

    span_id: str
    start: Any
    """A moment: text, a number (seconds, milli-, micro- or nanoseconds, by its size) or a datetime."""
    trace_id: str = ""
    parent_id: str = ""
    name: str = ""
    end: Any = None
    status: Any = None
    """OpenTelemetry's status: OK, ERROR, UNSET, or their numbers 1, 2, 0."""
    kind: Any = None
    """OpenInference's kind (LLM, CHAIN, ...); anything else counts as not recorded."""
    attributes: JsonObject = field(default_factory=dict)
    """OpenInference attributes: dotted keys, with nested values or JSON text."""
    events: list[JsonObject] = field(default_factory=list)
    """The span's events, each with `name` and flat `attributes`: some conventions put messages there."""
    columns: JsonObject = field(default_factory=dict)
    """The record's columns as `traces.where` names them, and evaluations (`eval.<name>.label`)."""


class FormError(ValueError):
    """A record of a form cannot be read; the text says why, without the record's own text."""


BAD_SHAPES = (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError)
"""What reading a record may raise: traces are untrusted, and a form says itself (FormError) what it expects."""


class Form(NamedTuple):
    """How records of one tool are read."""

    name: str
    """As people call it, such as `OTLP JSON`."""
    recognises: Callable[[JsonObject], bool]
    """Whether a record is of this form, by its keys; it must be quick, and false for all other forms."""
    spans: Callable[[JsonObject], Iterable[Span | FormError]]
    """A record's spans, with an error in place of each one that cannot be read. Raises FormError for the record."""
    lacks: tuple[str, ...] = ()
    """What its records never hold, such as `sessions`: said once."""
