"""Reads records of any form on the way that files take, as the calls that a loop would learn from."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.errors import TraceFileError
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
    """The calls that were answered, oldest first, then by id."""
    failed: int
    """Calls with the status of an error."""
    funnel: Funnel

    @property
    def lost(self) -> list[str]:
        """The reasons why records were left out, but for calls that failed."""
        return [loss.reason for loss in self.funnel.losses if loss.step != "answer"]


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
    """The calls in a file of any kind; none if none of its records can be read."""
    funnel, rows = FunnelCount(), list[Record]()
    with suppress(TraceFileError):
        for batch in LocalTraces(path).spans(SpanQuery(window=_WINDOW, sample_limit=1000), funnel):
            rows += batch.to_pylist()
    mapped = samples_from_rows(row for row in rows if row["sampled"])
    return Read(mapped.samples, sum(row["status"] == "ERROR" for row in rows), funnel.result())


def call(sample: Sample) -> Record:
    """What a loop learns from a call, without ids: equal for the same call in any form."""
    kept = {"system_prompt", "messages", "output", "model", "parameters", "tools"}
    return sample.model_dump(include=kept, exclude_defaults=True, mode="json")


def calls(records: Sequence[Mapping[str, Any]]) -> list[Record]:
    """The calls in records, of which none may be lost."""
    read = read_records(records)
    assert read.lost == []
    return [call(sample) for sample in read.samples]
