"""Spans in three forms through the local trace source, against DuckDB reading the same files and converting nothing.

`python -m bench.trace_forms [SPANS]`, 100,000 by default. Parquet is scanned as it is; JSON lines and OTLP JSON (pages
of 100 spans) are converted first. The plain side hashes every value of the needed columns of Parquet, and parses every
line of the other two. Each side runs in a process of its own; CPU seconds are the process's. The last row is a file of
5,000 sparse columns, which has no plain side.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.spans import COLUMNS, span_rows

FOLDER = Path(tempfile.gettempdir())
RESULTS = Path(__file__).parent / "results" / "trace_forms.json"
FORMS = ("parquet", "json_lines", "otlp_json")
PART, PAGE = 10_000, 100
SPARSE_ROWS, SPARSE_COLUMNS = 2_000, 5_000


def place(form: str, spans: int) -> Path:
    """Where the files of a form are, which are written once."""
    return FOLDER / f"sia-bench-{form}-{spans}"


def make(spans: int) -> int:
    """Write the files of all forms that are not there yet."""
    import duckdb

    for form in FORMS:
        folder, draft = place(form, spans), place(f"{form}.part", spans)
        if folder.exists():
            continue
        draft.mkdir(exist_ok=True)
        for first in range(0, spans, PART):
            with duckdb.connect() as connection:
                rows = connection.sql(span_rows(first, min(first + PART, spans)))
                WRITERS[form](rows, draft / f"part-{first:08}")
        draft.rename(folder)
    if not (folder := place("sparse", spans)).exists():
        folder.mkdir()
        with (folder / "a.jsonl").open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in sparse_rows())
    return spans


def _parquet(rows: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(rows.to_arrow_table(), f"{path}.parquet", row_group_size=5_000)


def _json_lines(rows: Any, path: Path) -> None:
    with Path(f"{path}.jsonl").open("w") as file:
        for row in rows.to_arrow_table().to_pylist():
            file.write(json.dumps(row | {name: list(map(json.loads, row[name])) for name in MESSAGES}) + "\n")


def _otlp_json(rows: Any, path: Path) -> None:
    spans = [_otlp_span(row) for row in rows.to_arrow_table().to_pylist()]
    with Path(f"{path}.jsonl").open("w") as file:
        for first in range(0, len(spans), PAGE):
            scopes = [{"scope": {"name": "openinference"}, "spans": spans[first : first + PAGE]}]
            file.write(json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": scopes}]}) + "\n")


WRITERS: Mapping[str, Callable[[Any, Path], None]] = {
    "parquet": _parquet,
    "json_lines": _json_lines,
    "otlp_json": _otlp_json,
}
MESSAGES = ("attributes.llm.input_messages", "attributes.llm.output_messages")


def _otlp_span(row: dict[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in row.items():
        if name in MESSAGES:
            for number, message in enumerate(map(json.loads, value)):
                flat = {f"{name}.{number}.{key}": text for key, text in message.items()}
                attributes |= {key.removeprefix("attributes."): text for key, text in flat.items()}
        elif name.startswith("attributes."):
            attributes[name.removeprefix("attributes.")] = value
    pairs = [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in attributes.items()
    ]
    return {
        "traceId": row["context.trace_id"],
        "spanId": row["context.span_id"],
        "name": row["name"],
        "kind": 1,
        "startTimeUnixNano": str(row["start_time"]),
        "endTimeUnixNano": str(row["end_time"]),
        "attributes": pairs,
        "status": {"code": 2 if row["status_code"] == "ERROR" else 1},
    }


def sparse_rows() -> Iterator[dict[str, Any]]:
    """Calls of which each has ten of 5,000 columns."""
    start = int(datetime(2026, 11, 9, tzinfo=UTC).timestamp())
    for number in range(SPARSE_ROWS):
        sparse = {f"attributes.metadata.key_{(number * 10 + n) % SPARSE_COLUMNS}": f"value {n}" for n in range(10)}
        yield {
            "context.span_id": f"{number + 1:016x}",
            "start_time": start + number,
            "attributes.openinference.span.kind": "LLM",
            "attributes.llm.input_messages": [{"message.role": "user", "message.content": f"Question {number}"}],
            "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": "Yes."}],
            **sparse,
        }


def source(form: str, spans: int) -> int:
    """What the `traces` asset does: every record counted, the window's batches staged in one Parquet file."""
    from sia_dagster.adapters.files.span_table import stage_spans
    from sia_dagster.adapters.local.local_traces import LocalTraces
    from sia_dagster.core.ports.trace_store import SpanQuery
    from sia_dagster.core.records.funnel import FunnelCount
    from sia_dagster.core.records.sample import TimeWindow

    start, end = datetime(2026, 11, 9, tzinfo=UTC), datetime(2026, 11, 16, tzinfo=UTC)
    query = SpanQuery(window=TimeWindow(key="2026-11-09", start=start, end=end), sample_limit=200)
    funnel = FunnelCount()
    staged = stage_spans(LocalTraces(place(form, spans)).spans(query, funnel), funnel)
    shutil.rmtree(staged.path.parent)
    return staged.rows


def scan(form: str, spans: int) -> int:
    """DuckDB alone on the same files, under the same limit of memory."""
    import duckdb

    folder = place(form, spans)
    hashes = ", ".join(f'bit_xor(hash("{name}"))' for name in COLUMNS)
    sql = f"SELECT count(*), {hashes} FROM read_parquet('{folder}/*.parquet')"
    if form != "parquet":
        sql = f"SELECT count(*), bit_xor(hash(json::VARCHAR)) FROM read_ndjson_objects('{folder}/*.jsonl')"
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '256MB'")
        return int(connection.execute(sql).fetchall()[0][0])


def measure(side: str, form: str, spans: int) -> dict[str, float]:
    """Run one side in a fresh process: its rows, CPU seconds and peak memory in MB."""
    command = [sys.executable, "-m", "bench.trace_forms", side, form, str(spans)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(spans: int) -> dict[str, object]:
    """Measure both sides of each form, one after the other."""
    measure("make", "-", spans)
    found: dict[str, object] = {"spans": spans}
    for form in FORMS:
        ours, plain = measure("source", form, spans), measure("scan", form, spans)
        ratio = round(ours["cpu_seconds"] / plain["cpu_seconds"], 2)
        found[form] = {"source": ours, "scan": plain, "cpu_ratio": ratio}
        print(f"{form}: source {ours}, scan {plain}, CPU ratio {ratio}", flush=True)
    found["sparse"] = measure("source", "sparse", spans)
    print(f"{SPARSE_ROWS:,} calls over {SPARSE_COLUMNS:,} sparse columns: {found['sparse']}")
    return found


def main() -> None:
    if len(sys.argv) > 2:
        side, form, spans = sys.argv[1], sys.argv[2], int(sys.argv[3])
        rows = make(spans) if side == "make" else {"source": source, "scan": scan}[side](form, spans)
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu, peak = round(used.ru_utime + used.ru_stime, 2), used.ru_maxrss // 1024
        print(json.dumps({"rows": rows, "cpu_seconds": cpu, "peak_mb": peak}))
        return
    found = report(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
