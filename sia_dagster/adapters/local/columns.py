"""The columns of an OpenInference export as SQL expressions, for all types that Parquet files have them in."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from sia_dagster.adapters.local.kinds import MODEL_ATTRIBUTES, OTHERS

_PREFIX = "attributes."
LLM = f"{_PREFIX}llm."
STATUSES = ("status_code", "status.status_code", "status.code", "StatusCode", "statusCode", "status")
"""Names under which tools write a span's status."""
FAILED = r"""(^|[^A-Z])(ERR(OR)?|FAIL(ED|URE)?|EXCEPTION)([^A-Z]|$)|^2(\.0)?$|CODE["']?: ?2\b"""
"""A status, in capitals, of a call that failed."""

TEXTS = {
    "input_messages": f"{LLM}input_messages",
    "output_messages": f"{LLM}output_messages",
    "input_value": "attributes.input.value",
    "output_value": "attributes.output.value",
    "invocation_parameters": f"{LLM}invocation_parameters",
    "tools": f"{LLM}tools",
    "template": f"{LLM}prompt_template.template",
    "template_variables": f"{LLM}prompt_template.variables",
    "tags": "attributes.tag.tags",
}
"""The export's column by normalised text column."""

EVALUATION = re.compile(r"(eval|annotation)\.([A-Za-z0-9_\s]+)\.(label|score|explanation|text)")
_KINDS = ", ".join(f"'{name}'" for name in ("LLM", *OTHERS))
EMPTY_TEXTS = ("", "[]", "{}", "null")
"""Texts that mean "no value" in a column."""
ANSWERED = "sia_answered"
"""The column of converted files that says whether there is an answer, also where its text is left out."""


class SpanExpressions:
    """SQL expressions over the rows of files whose columns have `types` (name to DuckDB type)."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self.types = types

    @property
    def span_id(self) -> str:
        """The span's id; NULL if it is missing or empty."""
        return self.text("context.span_id")

    def facts(self) -> dict[str, str]:
        """The normalised columns other than text."""
        trace = self.text("context.trace_id")
        ids = [self.text("attributes.session.id"), self.text("attributes.user.id"), trace]
        conversation = [*ids, self.span_id]
        return {
            "span_id": self.span_id,
            "trace_id": trace,
            "parent_id": self._first_text("parent_id", "context.parent_id", "parent_span_id"),
            "conversation_id": f"coalesce({', '.join(conversation)})",
            "user_id": f"coalesce({self.text('attributes.user.id')}, {self.text('attributes.metadata.user_id')})",
            "name": self.text("name"),
            "start_time": f"make_timestamptz({self.moment('start_time')})",
            "latency_ms": self._latency(),
            "status": self.status(),
            "model": self.text(f"{LLM}model_name"),
            "prompt_tokens": self._number(f"{LLM}token_count.prompt", "BIGINT"),
            "completion_tokens": self._number(f"{LLM}token_count.completion", "BIGINT"),
        }

    def stored_within(self, start: int, end: int) -> str:
        """The window (microseconds) as a condition on the stored `start_time`: other row groups are not read."""
        column, kind = quoted("start_time"), self.types["start_time"]
        if kind in _INTEGERS:
            ranges = [(start // 10**6, -(-end // 10**6)), (start // 1000, -(-end // 1000)), (start, end)]
            ranges.append((start * 1000, end * 1000))
            return " OR ".join(f"({column} >= {low} AND {column} < {high})" for low, high in ranges)
        if make := _MAKE.get(kind):
            return f"{column} >= {make}({start})::{kind} AND {column} < {make}({end})::{kind}"
        return "true"

    def unreadable(self) -> tuple[str, ...]:
        """Conditions under which a record belongs to no window; at most one is true, and each reads one column."""
        kind, span_id, start = self.types["start_time"], quoted("context.span_id"), quoted("start_time")
        named = span_id if self.types["context.span_id"] == "VARCHAR" else f"{span_id}::VARCHAR"
        typed = kind in _INTEGERS or kind.startswith(("TIMESTAMP", "DATE"))
        unknown = f"{start if typed else self.moment('start_time')} IS NULL"
        return f"{span_id} IS NULL", f"{named} = ''", f"{named} <> '' AND {unknown}"

    def moment(self, name: str) -> str:
        """Microseconds since 1970 in UTC: numbers by their size, times without a zone as UTC; NULL if unreadable."""
        kind, column = self.types.get(name), quoted(name)
        if kind is None:
            return "NULL::BIGINT"
        if kind.startswith(("TIMESTAMP", "DATE")):
            return f"epoch_us({column}::{'TIMESTAMPTZ' if 'Z' in kind else 'TIMESTAMP'})"
        if kind in _INTEGERS:
            return _from_integer(column)
        number = _from_number(f"TRY_CAST({column} AS DOUBLE)")
        return f"coalesce({number}, epoch_us(TRY_CAST({column}::VARCHAR AS TIMESTAMPTZ)))"

    def status(self) -> str:
        """`OK`, `ERROR` or `UNSET`; `STATUS_CODE_OK` is `OK`, and OTLP's numbers 2 and 1 are `ERROR` and `OK`.

        Other writings (`<StatusCode.ERROR: 2>`, `failed`, an object with `code`) are errors where they say so.
        """
        status = f"upper(coalesce({self._first_text(*STATUSES, f'{_PREFIX}otel.status_code')}, ''))"
        return (
            f"CASE WHEN {status} IN ('OK', 'STATUS_CODE_OK', 'STATUSCODE.OK', '1', '1.0') THEN 'OK' "
            f"WHEN {status} IN ('', 'UNSET', '0', '0.0') THEN 'UNSET' "
            f"WHEN regexp_matches({status}, {literal(FAILED)}) AND NOT regexp_matches({status}, '^NO[ _]?ERR') "
            f"THEN 'ERROR' WHEN {status} LIKE '%OK' THEN 'OK' ELSE 'UNSET' END"
        )

    def has_all_kinds(self) -> str:
        """Whether the span's kind is recorded in one of OpenInference's words."""
        return f"coalesce({self._recorded_kind()} IN ({_KINDS}), false)"

    def _recorded_kind(self) -> str:
        columns = [c for c in ("attributes.openinference.span.kind", "span_kind") if c in self.types]
        return _first([f"upper({self.text(c)})" for c in columns]) if columns else "NULL::VARCHAR"

    def kind(self, *, all_recorded: bool = False) -> str:
        """OpenInference's kind, LLM for a span that only the columns of a model's call tell; else NULL.

        Where `all_recorded` says that `has_all_kinds` is true of all spans, those columns are not read.
        """
        recorded = self._recorded_kind()
        if all_recorded:
            return recorded
        names = "|".join(("LLM", *OTHERS))
        word = f"nullif(regexp_extract({recorded}, '(?:^|[^A-Z])({names})(?:[^A-Z]|$)', 1), '')"
        call = self._any_filled(
            c for c in self.types if c.startswith(tuple(f"attributes.{name}" for name in MODEL_ATTRIBUTES))
        )
        # Written once each: DuckDB computes what stands twice for all rows, before the cases.
        told = f"coalesce({word}, CASE WHEN {call} THEN 'LLM' END)"
        return f"CASE WHEN {recorded} IN ({_KINDS}) THEN {recorded} ELSE {told} END"

    def has_output(self) -> str:
        """Whether there is an answer: messages or the raw value."""
        if ANSWERED in self.types:
            return quoted(ANSWERED)
        messages, value = TEXTS["output_messages"], TEXTS["output_value"]
        return self._any_filled(c for c in self.types if c == value or c.startswith(messages))

    def evals(self, names: Collection[str] | None = None) -> str:
        """JSON object of the platform's evaluations (`eval.<name>.*`), of all names or of these."""
        return quoted("evals") if "evals" in self.types else self._evaluations("eval", names)

    def annotations(self, names: Collection[str] | None = None) -> str:
        """JSON object of people's annotations (`annotation.<name>.*`); their `text` is an explanation."""
        if "annotations" in self.types:
            return quoted("annotations")
        return self._evaluations("annotation", names)

    def _evaluations(self, prefix: str, names: Collection[str] | None) -> str:
        found: dict[str, dict[str, list[str]]] = {}
        for column in sorted(self.types):
            match = EVALUATION.fullmatch(column)
            if match and match[1] == prefix and (names is None or match[2] in names):
                field = "explanation" if match[3] == "text" else match[3]
                found.setdefault(match[2], {}).setdefault(field, []).append(self.text(column))
        if not found:
            return "NULL::VARCHAR"
        texts = [text for fields in found.values() for columns in fields.values() for text in columns]
        # Not a struct, since its keys may not differ in case alone.
        entries = [f"{literal(name)}, {_object(fields)}" for name, fields in sorted(found.items())]
        return f"CASE WHEN {_first(texts)} IS NOT NULL THEN json_object({', '.join(entries)})::VARCHAR END"

    def stored(self, column: str) -> str:
        """A column as it is stored; flattened ones (`<column>.0.message.role`) as one JSON object."""
        if column in self.types:
            return quoted(column)
        prefix = f"{column}."
        flat = [c for c in self.types if c.startswith(prefix)]
        pairs = ", ".join(f"{literal(c.removeprefix(prefix))}, {quoted(c)}" for c in flat)
        return f"json_object({pairs})" if flat else "NULL::VARCHAR"

    def stored_as_text(self, column: str, expression: str) -> str:
        """The value of `expression`, which came from `stored(column)`, as text: nested values as JSON."""
        nested = _is_nested(self.types.get(column, "VARCHAR"))
        return f"nullif({f'to_json({expression})' if nested else expression}::VARCHAR, '')"

    def text(self, column: str) -> str:
        """A column as text; NULL where it is missing or empty."""
        kind = self.types.get(column)
        if kind is None:
            return "NULL::VARCHAR"
        return f"nullif({quoted(column) if kind == 'VARCHAR' else f'{quoted(column)}::VARCHAR'}, '')"

    def _first_text(self, *columns: str) -> str:
        return _first([self.text(column) for column in columns])

    def _latency(self) -> str:
        recorded = self._number("latency_ms", "DOUBLE")
        return f"coalesce({recorded}, ({self.moment('end_time')} - {self.moment('start_time')}) / 1000.0)"

    def _number(self, column: str, kind: str) -> str:
        return f"TRY_CAST({quoted(column)} AS {kind})" if column in self.types else f"NULL::{kind}"

    def _any_filled(self, columns: Iterable[str]) -> str:
        return " OR ".join(self._is_filled(column) for column in columns) or "false"

    def _is_filled(self, column: str) -> str:
        """Whether the column holds a value; of a list only the length is read, which is cheaper."""
        if self.types[column].endswith("[]"):
            return f"coalesce(len({quoted(column)}), 0) > 0"
        return f"coalesce({quoted(column)}::VARCHAR, '') NOT IN {EMPTY_TEXTS}"


_INTEGERS = {"BIGINT", "UBIGINT"}

_MAKE = {
    "TIMESTAMP": "make_timestamp",
    "TIMESTAMP_NS": "make_timestamp",
    "TIMESTAMP WITH TIME ZONE": "make_timestamptz",
}


def quoted(name: str) -> str:
    """A column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def _first(texts: Sequence[str]) -> str:
    return f"coalesce({', '.join(texts)})"


def _object(fields: dict[str, list[str]]) -> str:
    return "{" + ", ".join(f"{literal(key)}: {_first(texts)}" for key, texts in sorted(fields.items())) + "}"


def _is_nested(kind: str) -> bool:
    return kind.endswith("[]") or kind.startswith(("STRUCT", "MAP"))


def _from_integer(column: str) -> str:
    """Microseconds from seconds (below 1e11), milli- (1e14), micro- (1e17) or nanoseconds."""
    return (
        f"CASE WHEN abs({column}) >= 100000000000000000 THEN {column} // 1000 "
        f"WHEN abs({column}) >= 100000000000000 THEN {column} "
        f"WHEN abs({column}) >= 100000000000 THEN {column} * 1000 ELSE {column} * 1000000 END::BIGINT"
    )


def _from_number(number: str) -> str:
    """As `_from_integer`, for fractions; NULL for anything but a finite number."""
    return (
        f"CASE WHEN NOT isfinite({number}) THEN NULL WHEN abs({number}) >= 1e17 THEN {number} / 1000 "
        f"WHEN abs({number}) >= 1e14 THEN {number} WHEN abs({number}) >= 1e11 THEN {number} * 1000 "
        f"ELSE {number} * 1e6 END::BIGINT"
    )
