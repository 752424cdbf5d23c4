"""Reads records of any form on the way that files take, as the calls that a loop would learn from."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from sia_dagster.adapters.local.columns import TEXTS
from sia_dagster.adapters.local.convert import Converter
from sia_dagster.adapters.local.files import TraceFile
from sia_dagster.core.openinference.samples import samples_from_rows
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import Funnel, FunnelCount
from sia_dagster.core.records.sample import Sample, TimeWindow
from sia_dagster_tests.places import RECORDED_FORMS

Record = dict[str, Any]
START = datetime(2026, 11, 9, tzinfo=UTC)
SECONDS = int(START.timestamp()) + 8 * 3600
"""2026-11-09 08:00 UTC, when all recorded calls were made."""
_WINDOW = TimeWindow(key="2026-11-09", start=START, end=START + timedelta(days=7))


class Read(NamedTuple):
    """What became of the records of a file."""

    samples: tuple[Sample, ...]
    """The calls that were answered, in the order of the records."""
    failed: int
    """Calls with the status of an error."""
    funnel: Funnel

    @property
    def lost(self) -> list[str]:
        """The reasons why records were left out."""
        return [loss.reason for loss in self.funnel.losses]


def recorded(name: str) -> list[Record]:
    """The records of a recording in `corpora/forms/`."""
    records: list[Record] = json.loads((RECORDED_FORMS / f"{name}.json").read_text(encoding="utf-8"))["records"]
    return records


def read_records(records: Iterable[Mapping[str, Any]]) -> Read:
    """The calls in records that are written as JSON lines."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "export.jsonl")
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        return read_file(path)


def read_file(path: Path) -> Read:
    """The calls in a file of any kind."""
    funnel, target = FunnelCount(), path.with_name("staged.parquet")
    converter = Converter(target, SpanQuery(window=_WINDOW, sample_limit=1000), (), funnel)
    converter.read(TraceFile(path, path.name, {}))
    rows = pq.read_table(target).to_pylist() if converter.close() else []
    failed = [row for row in rows if str(row["status_code"]).endswith("ERROR")]
    mapped = samples_from_rows(_normalised(row) for row in rows if row not in failed)
    return Read(mapped.samples, len(failed), funnel.result())


def _normalised(row: Record) -> Record:
    """A staged row with the columns that the mapping to samples reads."""
    ids = ("attributes.session.id", "attributes.user.id", "context.trace_id", "context.span_id")
    return {short: row[column] for short, column in TEXTS.items()} | {
        "span_id": row["context.span_id"],
        "trace_id": row["context.trace_id"],
        "conversation_id": next(row[name] for name in ids if row[name]),
        "user_id": row["attributes.user.id"],
        "name": row["name"],
        "start_time": row["start_time"],
        "model": row["attributes.llm.model_name"],
        "evals": row["evals"],
        "annotations": row["annotations"],
    }


def call(sample: Sample) -> Record:
    """What a loop learns from a call, without ids: equal for the same call in any form."""
    kept = {"system_prompt", "messages", "output", "model", "parameters", "tools"}
    return sample.model_dump(include=kept, exclude_defaults=True, mode="json")


def calls(records: Sequence[Mapping[str, Any]]) -> list[Record]:
    """The calls in records, of which none may be lost."""
    read = read_records(records)
    assert read.lost == []
    return [call(sample) for sample in read.samples]
