"""Which columns of a project's spans are asked for."""

from sia_dagster.adapters.local.columns import TEXTS
from sia_dagster.core.ports.trace_store import SpanQuery

_FACTS = (
    "context.span_id",
    "context.trace_id",
    "name",
    "start_time",
    "end_time",
    "latency_ms",
    "status_code",
    "attributes.openinference.span.kind",
    "attributes.session.id",
    "attributes.user.id",
    "attributes.llm.model_name",
    "attributes.llm.token_count.prompt",
    "attributes.llm.token_count.completion",
)

_SAID = {"eval": ("label", "score", "explanation"), "annotation": ("label", "score", "text")}


def export_columns(query: SpanQuery) -> list[str] | None:
    """What the mapping reads, and what was said of spans under the query's names; None asks for all columns.

    A request names columns one by one and knows no pattern, so that only evaluations of known names can be asked for.
    Where the names are not known, all columns come: slower, for events and metadata weigh as much as the messages,
    but no score is missed.
    """
    if query.recorded is None or query.annotated is None:
        return None
    names = {"eval": query.recorded, "annotation": query.annotated}
    said = [
        f"{prefix}.{name}.{field}"
        for prefix, fields in _SAID.items()
        for name in sorted(set(names[prefix]))
        for field in fields
    ]
    return [*_FACTS, *TEXTS.values(), *said]
