"""What was said of spans in Phoenix: annotations of models, code and people as columns of their rows."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.phoenix.phoenix_client import PhoenixServer
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.text import storable

if TYPE_CHECKING:
    from phoenix.client import Client

OURS = "sia_dagster"
"""Identifies our annotations: an evaluator's next one takes the place of its last, and nobody else's is touched."""
_ODD = re.compile(r"[^A-Za-z0-9_\s]")
_FIELDS = ("label", "score", "explanation")


def read_annotations(server: PhoenixServer, project_id: str, span_ids: Sequence[str]) -> dict[str, JsonObject]:
    """By span id: `eval.<name>.<field>` of models and code, `annotation.<name>.<field>` of people.

    Characters that no evaluator's name can have become `_` (`user-feedback` is `annotation.user_feedback`). Of
    several with one name the last changed counts. Left out are notes, and what a loop wrote there itself: the same
    window read again is the same. Raises the session's error.
    """

    def question(client: "Client") -> dict[str, JsonObject]:
        return columns_of(
            client.spans.get_span_annotations(span_ids=span_ids, project_identifier=project_id, timeout=server.timeout)
        )

    return server.ask(question)


def columns_of(annotations: Iterable[Mapping[str, Any]]) -> dict[str, JsonObject]:
    """The annotations as columns by span id; as `read_annotations` says."""
    columns: dict[str, JsonObject] = {}
    for annotation in sorted((a for a in annotations if a.get("identifier") != OURS), key=_age):
        said: Mapping[str, Any] = annotation.get("result") or {}
        kind = "annotation" if annotation["annotator_kind"] == "HUMAN" else "eval"
        name = _ODD.sub("_", annotation["name"])
        row = columns.setdefault(str(annotation["span_id"]), {})
        row |= {f"{kind}.{name}.{field}": storable(said.get(field)) for field in _FIELDS}
    return columns


def _age(annotation: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Oldest first, after those whose name had to be changed."""
    written = not _ODD.search(annotation["name"])
    return written, str(annotation.get("updated_at") or ""), str(annotation.get("id") or "")
