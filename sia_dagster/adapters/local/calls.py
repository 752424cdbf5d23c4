"""The window's calls as a table in the database: counted, without doubles, and the sample chosen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sia_dagster.adapters.local.query import GroupQuery
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import FunnelCount

if TYPE_CHECKING:
    import duckdb

FAILED = "the call failed"
UNANSWERED = "no output is recorded"
NESTED = "a second span of one call"
_REPEATS = """
    SELECT row FROM (
        SELECT rowid AS row, row_number() OVER (
            PARTITION BY span_id ORDER BY answered DESC, latency_ms NULLS LAST, start_time) AS place
        FROM calls WHERE span_id IN (SELECT span_id FROM calls GROUP BY span_id HAVING count(*) > 1)
    ) WHERE place > 1
    """
"""Further records of a span: of a span that was stored at its start and at its end, the whole one stays."""
_INNER = """
    SELECT CASE WHEN outer_.answered OR NOT inner_.answered THEN inner_.rowid ELSE outer_.rowid END AS row,
        outer_.name AS outer_name, inner_.name AS inner_name, outer_.answered OR NOT inner_.answered AS keeps_outer
    FROM calls inner_ JOIN calls outer_ ON inner_.parent_id = outer_.span_id
    WHERE coalesce(inner_.model = outer_.model, true)
        AND coalesce(inner_.prompt_tokens = outer_.prompt_tokens, true)
        AND inner_.parent_id IN (SELECT parent_id FROM calls GROUP BY parent_id HAVING count(*) = 1)
    """
"""Calls that are the only call within another call: two instrumentors recorded one request."""


def load_calls(
    connection: "duckdb.DuckDBPyConnection", queries: Sequence[GroupQuery], query: SpanQuery, funnel: FunnelCount
) -> None:
    """Fill the tables `calls` (each call of the window once) and `chosen` (the ids of the sample, with their hash)."""
    union = " UNION ALL ".join(group.calls(query.window) for group in queries)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE calls AS {union}")
    _drop_repeats(connection, funnel)
    _drop_nested(connection, funnel)
    usable = "status <> 'ERROR' AND answered"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE chosen AS SELECT span_id, md5(span_id) AS hash FROM calls WHERE {usable} "
        f"ORDER BY hash, span_id LIMIT {query.sample_limit}"
    )
    _count_answers(connection, query, funnel)


def count_kinds(
    connection: "duckdb.DuckDBPyConnection", group: GroupQuery, query: SpanQuery, funnel: FunnelCount
) -> int:
    """Count the window's spans of other kinds, and those that the condition leaves out; returns all of the window."""
    total = 0
    for kind, meets, spans, example in connection.execute(group.kinds(query.window)).fetchall():
        total += spans
        if kind != "LLM":
            reason = f"of kind {kind}" if kind else "of no recorded kind, and without llm.* attributes"
            funnel.lost("kind", reason, example, spans)
        elif not meets:
            funnel.lost("condition", "traces.where leaves it out", example, spans)
    return total


def _drop_repeats(connection: "duckdb.DuckDBPyConnection", funnel: FunnelCount) -> None:
    different = "SELECT count(*), count(DISTINCT span_id) FROM calls"
    rows, spans = connection.execute(different).fetchall()[0]
    if rows == spans:
        return
    example = connection.execute(f"SELECT span_id FROM calls WHERE rowid IN ({_REPEATS}) ORDER BY 1 LIMIT 1")
    funnel.lost("double", "a second record of a span", example.fetchall()[0][0], rows - spans)
    connection.execute(f"DELETE FROM calls WHERE rowid IN ({_REPEATS})")


def _drop_nested(connection: "duckdb.DuckDBPyConnection", funnel: FunnelCount) -> None:
    if not connection.execute("SELECT count(parent_id) FROM calls").fetchall()[0][0]:
        return
    connection.execute(f"CREATE OR REPLACE TEMP TABLE nested AS {_INNER}")
    counted = (
        "SELECT outer_name, inner_name, keeps_outer, count(*), min(span_id) FROM nested JOIN calls "
        "ON calls.rowid = nested.row GROUP BY ALL ORDER BY ALL"
    )
    for outer, inner, keeps_outer, calls, example in connection.execute(counted).fetchall():
        kept = outer if keeps_outer else inner
        reason = (
            f"{NESTED}: {inner or 'a span'} within {outer or 'a span'}, and {kept or 'the other'} "
            f"was kept; to choose, set traces.where: name = '{kept}'"
        )
        funnel.lost("double", reason, example, calls)
    connection.execute("DELETE FROM calls WHERE rowid IN (SELECT row FROM nested)")


def _count_answers(connection: "duckdb.DuckDBPyConnection", query: SpanQuery, funnel: FunnelCount) -> None:
    counted = "SELECT status = 'ERROR' AS failed, answered, count(*), min(span_id) FROM calls GROUP BY ALL ORDER BY ALL"
    usable = 0
    for failed, answered, calls, example in connection.execute(counted).fetchall():
        if failed:
            funnel.lost("answer", FAILED, example, calls)
        elif not answered:
            funnel.lost("answer", UNANSWERED, example, calls)
        else:
            usable += calls
    funnel.sampled = min(usable, query.sample_limit)
    funnel.lost("limit", f"beyond sample_limit ({query.sample_limit:,})", "", usable - funnel.sampled)
