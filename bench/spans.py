"""A million spans through the local trace source, against DuckDB scanning the same columns.

Both sides run in a process of their own; CPU seconds (user and system, imports included) and peak memory are the
process's. The files are those an exporter writes: Parquet, row groups of 5,000 spans, messages as lists of JSON texts,
about 1 KB a message. The scan hashes every value of every column that the mapping needs, under the same memory limit,
which is the least that a reader of these columns can do. The source does what the `traces` asset does: it counts the
records that stand in no window, normalises, sorts, samples, counts and writes Parquet.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

SPANS = 1_000_000
FILES = 10
FOLDER = Path(tempfile.gettempdir()) / f"sia-bench-spans-{SPANS}-2"
RESULTS = Path(__file__).parent / "results" / "spans.json"
ROUNDS = 3
COLUMNS = (
    "context.span_id",
    "context.trace_id",
    "attributes.session.id",
    "name",
    "start_time",
    "end_time",
    "attributes.openinference.span.kind",
    "status_code",
    "attributes.llm.model_name",
    "attributes.llm.token_count.prompt",
    "attributes.llm.token_count.completion",
    "attributes.llm.input_messages",
    "attributes.llm.output_messages",
    "attributes.input.value",
    "attributes.output.value",
    "attributes.llm.invocation_parameters",
)


def make_spans() -> int:
    """Write the files once; they stay in the temporary folder."""
    import duckdb
    import pyarrow.parquet as pq

    FOLDER.mkdir(exist_ok=True)
    for index in range(FILES):
        path = FOLDER / f"part-{index}.parquet"
        if path.exists():
            continue
        each = SPANS // FILES
        with duckdb.connect() as connection:
            table = connection.sql(span_rows(index * each, (index + 1) * each)).to_arrow_table()
        started = path.with_suffix(".part")
        pq.write_table(table, started, row_group_size=5_000)
        started.rename(path)
    return SPANS


def span_rows(first: int, last: int) -> str:
    """Spans `first` to `last` of one week: a tenth are no LLM calls, a fiftieth are errors without an answer."""
    return f"""
        WITH ids AS (SELECT i, md5('span' || i) h, md5('words' || i % 50021) w FROM range({first}, {last}) t(i)),
        texts AS (
            SELECT *, h || ' ' || repeat(w || ' ', 25) AS asked, reverse(h) || repeat(h || ' ', 27) AS said FROM ids)
        SELECT left(h, 16) AS "context.span_id", md5('trace' || i // 2) AS "context.trace_id",
            left(md5('session' || i // 3), 16) AS "attributes.session.id", 'ChatCompletion' AS name,
            1794182400000000000 + i * 604800000 AS start_time, 1794182400900000000 + i * 604800000 AS end_time,
            CASE WHEN i % 10 = 0 THEN 'CHAIN' ELSE 'LLM' END AS "attributes.openinference.span.kind",
            CASE WHEN i % 50 = 3 THEN 'ERROR' ELSE 'OK' END AS status_code,
            'gpt-4o-mini' AS "attributes.llm.model_name",
            300 + i % 97 AS "attributes.llm.token_count.prompt",
            150 + i % 53 AS "attributes.llm.token_count.completion",
            [to_json({{'message.role': 'system', 'message.content': repeat('Be kind and brief. ', 20)}})::VARCHAR,
             to_json({{'message.role': 'user', 'message.content': asked}})::VARCHAR] AS "attributes.llm.input_messages",
            CASE WHEN i % 50 = 3 THEN []
                ELSE [to_json({{'message.role': 'assistant', 'message.content': said}})::VARCHAR]
                END AS "attributes.llm.output_messages",
            '{{"messages":[{{"role":"user","content":"' || asked || '"}}]}}' AS "attributes.input.value",
            '{{"choices":[{{"message":{{"content":"' || said || '"}}}}]}}' AS "attributes.output.value",
            '{{"model":"gpt-4o-mini","temperature":0.2}}' AS "attributes.llm.invocation_parameters"
        FROM texts
        """


def run_source() -> int:
    """What the `traces` asset does: every record counted, the window's batches staged in one Parquet file."""
    from sia_dagster.adapters.files.span_table import stage_spans
    from sia_dagster.adapters.local.local_traces import LocalTraces
    from sia_dagster.core.ports.trace_store import SpanQuery
    from sia_dagster.core.records.funnel import FunnelCount
    from sia_dagster.core.records.sample import TimeWindow

    start, end = datetime(2026, 11, 9, tzinfo=UTC), datetime(2026, 11, 16, tzinfo=UTC)
    query = SpanQuery(window=TimeWindow(key="2026-11-09", start=start, end=end), sample_limit=200)
    funnel = FunnelCount()
    staged = stage_spans(LocalTraces(FOLDER).spans(query, funnel))
    if funnel.lost_at("record"):
        raise SystemExit(f"{FOLDER} is damaged: remove it, it is made again")
    shutil.rmtree(staged.path.parent)
    return staged.rows


def run_scan() -> int:
    """Hash every value of the needed columns."""
    import duckdb

    hashes = ", ".join(f'bit_xor(hash("{name}"))' for name in COLUMNS)
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '256MB'")
        sql = f"SELECT count(*), {hashes} FROM read_parquet('{FOLDER}/*.parquet')"
        return int(connection.execute(sql).fetchall()[0][0])


def measure(side: str) -> dict[str, float]:
    """Run one side in a fresh process: its rows, CPU seconds and peak memory in MB."""
    command = [sys.executable, "-m", "bench.spans", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    return dict(json.loads(done.stdout))


def report() -> dict[str, object]:
    """Measure both sides alternately and compare their best rounds."""
    measure("make")  # in a process of its own: a child's peak counts from its parent's
    rounds = [(measure("source"), measure("scan")) for _ in range(ROUNDS)]
    source, scan = (min((pair[side] for pair in rounds), key=lambda r: r["cpu_seconds"]) for side in (0, 1))
    return {
        "spans": SPANS,
        "source": source,
        "scan": scan,
        "cpu_ratio": round(source["cpu_seconds"] / scan["cpu_seconds"], 2),
        "cpu_ratio_aim": 1.5,
        "peak_mb": max(pair[0]["peak_mb"] for pair in rounds),
        "peak_mb_aim": 500,
    }


def main() -> None:
    if len(sys.argv) > 1:
        rows = {"make": make_spans, "source": run_source, "scan": run_scan}[sys.argv[1]]()
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu, peak = round(used.ru_utime + used.ru_stime, 2), used.ru_maxrss // 1024
        print(json.dumps({"rows": rows, "cpu_seconds": cpu, "peak_mb": peak}))
        return
    found = report()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{SPANS:,} spans: source {found['source']}, scan {found['scan']}")
    print(f"CPU ratio {found['cpu_ratio']} (aim 1.5), peak {found['peak_mb']} MB (aim 500)")


if __name__ == "__main__":
    main()
