"""The window's calls as a table in the database: counted, without doubles, and the sample chosen."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from sia_dagster.adapters.local.kinds import LLM, not_a_call
from sia_dagster.adapters.local.query import GroupQuery, texts_queries
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import FunnelCount

if TYPE_CHECKING:
    import duckdb

FAILED = "the call failed"
UNANSWERED = "no output is recorded"
REPEATED = "a second record of a span"
_REPEATS = """
    SELECT record FROM (
        SELECT rowid AS record, row_number() OVER (
            PARTITION BY span_id ORDER BY answered DESC, latency_ms NULLS LAST, start_time) AS place
        FROM calls WHERE span_id IN (SELECT span_id FROM calls GROUP BY span_id HAVING count(*) > 1)
    ) WHERE place > 1
    """
"""Further records of a span: of a span that was stored at its start and at its end, the whole one stays."""
_INNER = """
    SELECT CASE WHEN outer_.answered OR NOT inner_.answered THEN inner_.rowid ELSE outer_.rowid END AS record,
        outer_.name AS outer_name, inner_.name AS inner_name, outer_.answered OR NOT inner_.answered AS keeps_outer
    FROM calls inner_ JOIN calls outer_ ON inner_.parent_id = outer_.span_id
    WHERE coalesce(contains(inner_.model, outer_.model) OR contains(outer_.model, inner_.model), true)
        AND coalesce(inner_.prompt_tokens = outer_.prompt_tokens, true)
        AND inner_.parent_id IN (SELECT parent_id FROM calls GROUP BY parent_id HAVING count(*) = 1)
    """
"""Calls that are the only call within another call: two instrumentors recorded one request.

One of them may name the snapshot that answered (`gpt-4o-2024-08-06`) or the provider (`openai/gpt-4o`).
"""


class TextsLeftOut(Exception):
    """Calls are needed whose text was left out as the files were converted."""


def load_calls(
    connection: "duckdb.DuckDBPyConnection", queries: Sequence[GroupQuery], query: SpanQuery, funnel: FunnelCount
) -> dict[str, int]:
    """Fill the tables `calls` (each call of the window once) and `repeats` (further records of these).

    Returns how many records of calls each file holds.
    """
    _fill(connection, queries, query, exact=False)
    if _is_nested(connection) and not all(group.group.converted for group in queries):
        _fill(connection, queries, query, exact=True)
    records = connection.execute("SELECT file, count(*) FROM calls GROUP BY file").fetchall()
    _drop_repeats(connection, funnel)
    _drop_nested(connection, funnel)
    return {_files(queries)[number - 1]: count for number, count in records}


def choose(
    connection: "duckdb.DuckDBPyConnection",
    reader: "duckdb.DuckDBPyConnection",
    queries: Sequence[GroupQuery],
    query: SpanQuery,
    funnel: FunnelCount,
) -> None:
    """Fill the tables `texts` and `chosen` of `reader`: the sample's ids with their hash. They may be empty.

    Whether a call has an answer is only known where its text was read. `reader` is a database of its own, since one
    whose memory is filled by `calls` gives each page of a file back to the system, and needs twice the time. Raises
    TextsLeftOut.
    """
    looked, more = 0, query.sample_limit
    reader.execute(f"CREATE TEMP TABLE texts AS {queries[0].texts(query, ())}")
    while True:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE looked_at AS SELECT span_id FROM calls WHERE status <> 'ERROR' AND answered "
            f"IS DISTINCT FROM false ORDER BY md5(span_id), span_id LIMIT {more} OFFSET {looked}"
        )
        _check_texts(connection, queries)
        rows = _rows_looked_at(connection, queries)
        for sql in texts_queries(queries, query, rows):
            reader.execute(f"INSERT INTO texts {sql}")
        found = reader.execute("SELECT count(DISTINCT span_id) FROM texts WHERE answered").fetchall()[0][0]
        if not rows or found >= query.sample_limit:
            break
        looked += more
        more = min(4 * looked, (query.sample_limit - found) * looked // max(found, 1) + 5)
    reader.execute(
        "CREATE TEMP TABLE chosen AS SELECT DISTINCT span_id, md5(span_id) AS hash FROM texts WHERE answered "
        f"ORDER BY hash, span_id LIMIT {query.sample_limit}"
    )
    silent = reader.execute("SELECT span_id FROM texts GROUP BY span_id HAVING NOT bool_or(answered)").fetchall()
    _count_answers(connection, [span_id for (span_id,) in silent], query, funnel)


def _fill(
    connection: "duckdb.DuckDBPyConnection", queries: Sequence[GroupQuery], query: SpanQuery, *, exact: bool
) -> None:
    before = accumulate((len(group.group.files) for group in queries), initial=0)
    union = " UNION ALL ".join(
        group.calls(query.window, first, exact=exact) for group, first in zip(queries, before, strict=False)
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE calls AS {union}")
    connection.execute("CREATE OR REPLACE TEMP TABLE repeats AS FROM calls LIMIT 0")


def _check_texts(connection: "duckdb.DuckDBPyConnection", queries: Sequence[GroupQuery]) -> None:
    lasts = [group.group.last_hash for group in queries if group.group.last_hash]
    if lasts and connection.execute("SELECT max(md5(span_id)) > ? FROM looked_at", [min(lasts)]).fetchall()[0][0]:
        raise TextsLeftOut


def _rows_looked_at(connection: "duckdb.DuckDBPyConnection", queries: Sequence[GroupQuery]) -> dict[str, list[int]]:
    """The rows by file, with those of their repeated records."""
    sql = (
        "SELECT file, list(row ORDER BY row) FROM (FROM calls UNION ALL FROM repeats) "
        "WHERE span_id IN (FROM looked_at) GROUP BY file ORDER BY file"
    )
    return {_files(queries)[number - 1]: rows for number, rows in connection.execute(sql).fetchall()}


def _files(queries: Sequence[GroupQuery]) -> list[str]:
    """The files by the numbers that the table `calls` has for them, less one."""
    return [file for group in queries for file in group.group.files]


def count_left_out(
    connection: "duckdb.DuckDBPyConnection", group: GroupQuery, query: SpanQuery, funnel: FunnelCount
) -> int:
    """Count the window's spans of other kinds, and those that the condition leaves out; returns how many."""
    total = 0
    for kind, spans, example in connection.execute(group.left_out(query.window)).fetchall():
        total += spans
        if kind != LLM:
            funnel.lost("kind", not_a_call(kind), example, spans)
        else:
            funnel.lost("condition", "traces.where leaves it out", example, spans)
    return total


def _drop_repeats(connection: "duckdb.DuckDBPyConnection", funnel: FunnelCount) -> None:
    different = "SELECT count(*), count(DISTINCT span_id) FROM calls"
    rows, spans = connection.execute(different).fetchall()[0]
    if rows == spans:
        return
    example = connection.execute(f"SELECT span_id FROM calls WHERE rowid IN ({_REPEATS}) ORDER BY 1 LIMIT 1")
    funnel.lost("double", REPEATED, example.fetchall()[0][0], rows - spans)
    connection.execute(f"INSERT INTO repeats FROM calls WHERE rowid IN ({_REPEATS})")
    connection.execute(f"DELETE FROM calls WHERE rowid IN ({_REPEATS})")


def _is_nested(connection: "duckdb.DuckDBPyConnection") -> bool:
    if not connection.execute("SELECT count(parent_id) FROM calls").fetchall()[0][0]:
        return False
    return bool(connection.execute(f"SELECT count(*) FROM ({_INNER})").fetchall()[0][0])


def _drop_nested(connection: "duckdb.DuckDBPyConnection", funnel: FunnelCount) -> None:
    if not _is_nested(connection):
        return
    connection.execute(f"CREATE OR REPLACE TEMP TABLE nested AS {_INNER}")
    counted = (
        "SELECT outer_name, inner_name, keeps_outer, count(*), min(span_id) FROM nested JOIN calls "
        "ON calls.rowid = nested.record GROUP BY ALL ORDER BY ALL"
    )
    for outer, inner, keeps_outer, calls, example in connection.execute(counted).fetchall():
        kept = outer if keeps_outer else inner
        reason = (
            f"{inner or 'a span'} within {outer or 'a span'} is the same call, and {kept or 'the other'} was kept; "
            f"to choose, set traces.where: name = '{kept}'"
        )
        funnel.lost("double", reason, example, calls)
    connection.execute("DELETE FROM calls WHERE rowid IN (SELECT record FROM nested)")


def _count_answers(
    connection: "duckdb.DuckDBPyConnection", silent: Sequence[str], query: SpanQuery, funnel: FunnelCount
) -> None:
    """Count what cannot be sampled: failed calls, and those that are known to have no answer."""
    counted = """
        SELECT status = 'ERROR' AS failed,
            coalesce(answered = false OR span_id IN (SELECT unnest(?::VARCHAR[])), false) AS silent,
            count(*), min(span_id)
        FROM calls GROUP BY ALL ORDER BY ALL
        """
    usable = 0
    for failed, is_silent, calls, example in connection.execute(counted, [silent]).fetchall():
        if failed:
            funnel.lost("answer", FAILED, example, calls)
        elif is_silent:
            funnel.lost("answer", UNANSWERED, example, calls)
        else:
            usable += calls
    funnel.sampled = min(usable, query.sample_limit)
    funnel.lost("limit", f"beyond sample_limit ({query.sample_limit:,})", "", usable - funnel.sampled)
