"""A window of 100,000 spans from an Arize store: our trace source against the bare client's Parquet export.

The store is the tests' Flight server on loopback, in its own process, with spans of about 4 KB. Both sides run in a
process of their own and ask for the same window and the same columns; seconds are of the work alone, imports done.
The bare side is `client.spans.export_to_parquet`, which only writes what arrives; `whole` is the same call as it is
written without `columns`. The source does what the `traces` asset does: it exports, filters, normalises, sorts,
samples, counts and writes our span table.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sia_dagster.adapters.arize.arize_client import ArizeConnection
    from sia_dagster.core.ports.trace_store import SpanQuery

SPANS = 100_000
ROUNDS = 5
ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "arize_export.json"
START = datetime(2026, 11, 9, tzinfo=UTC)
END = START + timedelta(days=7)
EVALUATORS = ("helpful",)
_OTHER_COLUMNS = """
    [to_json({'name': 'First Token Stream Event', 'timestamp': start_time})::VARCHAR] AS events,
    '{"policy":"' || md5("context.trace_id") || '","shop":"north"}' AS "attributes.metadata",
    start_time AS time, 900.0 AS latency_ms, '' AS status_message, '' AS "attributes.exception.message",
    '' AS "attributes.exception.stacktrace", '' AS "attributes.exception.type", '' AS "attributes.reranker.model_name",
    '' AS "attributes.tool.name", '' AS "attributes.embedding.model_name", 'openai' AS "attributes.llm.provider",
    'application/json' AS "attributes.input.mime_type", 'application/json' AS "attributes.output.mime_type",
    450 AS "attributes.llm.token_count.total"
    """
"""What else stands in exports of instrumented applications, mostly empty."""


def serve() -> None:
    """Hold the spans and answer until the other end of stdin is closed."""
    import duckdb

    from bench.spans import span_rows
    from simulation.arize_flight import ArizeFlight

    with duckdb.connect() as connection:
        table = connection.sql(f"SELECT *, {_OTHER_COLUMNS} FROM ({span_rows(0, SPANS)})").to_arrow_table()
    with ArizeFlight() as store:
        store.add_table(table)
        print(json.dumps(store.environment), flush=True)
        sys.stdin.read()


def run_bare(folder: Path) -> int:
    """The client's own export of the columns that the source asks for."""
    from sia_dagster.adapters.arize.arize_traces import export_columns

    return _export(folder, export_columns(_query()))


def run_whole(folder: Path) -> int:
    """The client's own export of all columns."""
    return _export(folder, None)


def _export(folder: Path, columns: list[str] | None) -> int:
    import pyarrow.parquet as pq

    from sia_dagster.adapters.arize.arize_client import open_client

    settings = _settings()
    client = open_client(settings)
    client.spans.export_to_parquet(
        path=str(folder / "spans.parquet"),
        space_id=settings.space_id,
        project_name=settings.project,
        start_time=START,
        end_time=END,
        columns=columns,
    )
    return int(pq.read_metadata(folder / "spans.parquet").num_rows)


def run_source(_: Path) -> int:
    """The export and all that the `traces` asset makes of it."""
    from sia_dagster.adapters.arize.arize_traces import ArizeTraces
    from sia_dagster.adapters.files.span_table import stage_spans

    staged = stage_spans(ArizeTraces(_settings()).spans(_query()))
    shutil.rmtree(staged.path.parent)
    return staged.rows


SIDES: dict[str, Callable[[Path], int]] = {"source": run_source, "bare": run_bare, "whole": run_whole}


def _query() -> "SpanQuery":
    from sia_dagster.core.ports.trace_store import SpanQuery
    from sia_dagster.core.records.sample import TimeWindow

    window = TimeWindow(key="2026-11-09", start=START, end=END)
    return SpanQuery(window=window, sample_limit=200, recorded=EVALUATORS, annotated=EVALUATORS)


def _settings() -> "ArizeConnection":
    from pydantic import SecretStr

    from sia_dagster.adapters.arize.arize_client import ArizeConnection
    from simulation.arize_flight import KEY, PROJECT, SPACE

    return ArizeConnection(space_id=SPACE, project=PROJECT, api_key=SecretStr(KEY))


def timed(side: Callable[[Path], int]) -> dict[str, float]:
    """Run one side in this process, when everything that it needs is imported."""
    import duckdb  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from sia_dagster.adapters.arize.arize_client import open_client

    assert open_client(_settings()).spans
    with tempfile.TemporaryDirectory() as folder:
        start, used = time.perf_counter(), time.process_time()
        rows = side(Path(folder))
        seconds, cpu = round(time.perf_counter() - start, 2), round(time.process_time() - used, 2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"rows": rows, "seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak}


@contextmanager
def store() -> Iterator[dict[str, str]]:
    """The server in its own process; the variables that lead the client there."""
    command = [sys.executable, "-m", "bench.arize_export", "serve"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield {"PATH": os.defpath, "HOME": tempfile.gettempdir(), **json.loads(server.stdout.readline())}
        server.communicate()


def measure(side: str, environment: dict[str, str]) -> dict[str, float]:
    """Run one side in a fresh process."""
    command = [sys.executable, "-m", "bench.arize_export", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment)
    return dict(json.loads(done.stdout))


def report() -> dict[str, object]:
    """Measure both sides alternately and compare their best rounds."""
    with store() as environment:
        rounds = [{side: measure(side, environment) for side in SIDES} for _ in range(ROUNDS)]
    best = {side: min((one[side] for one in rounds), key=lambda r: r["seconds"]) for side in SIDES}
    source = best["source"]["seconds"]
    return {
        "spans": SPANS,
        **best,
        "time_ratio": round(source / best["bare"]["seconds"], 2),
        "time_ratio_to_whole": round(source / best["whole"]["seconds"], 2),
        "time_ratio_aim": 1.3,
        "peak_mb": max(one["source"]["peak_mb"] for one in rounds),
        "peak_mb_aim": 500,
    }


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    if len(sys.argv) > 1:
        print(json.dumps(timed(SIDES[sys.argv[1]])))
        return
    found = report()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    for side in SIDES:
        print(f"{side:<6} {found[side]}")
    whole = found["time_ratio_to_whole"]
    print(f"time ratio {found['time_ratio']} (aim 1.3), to all columns {whole}, peak {found['peak_mb']} MB (aim 500)")


if __name__ == "__main__":
    main()
