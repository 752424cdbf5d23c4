"""A window's spans as one Parquet file: written batch by batch, of which the sampled calls are read back."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydantic import Field

from sia_dagster.adapters.files.storage import StoragePath
from sia_dagster.core.errors import TraceError, TracesUnavailable
from sia_dagster.core.ports.trace_store import ReadStoredWindow
from sia_dagster.core.records.document import TABLE_FORMAT
from sia_dagster.core.records.funnel import Funnel, FunnelCount
from sia_dagster.core.records.value import Value

if TYPE_CHECKING:
    import pyarrow as pa

_WRITING: dict[str, Any] = {"compression": "zstd", "use_dictionary": ["name", "status", "model"]}
"""Ids and texts do not repeat, so a dictionary would not help them."""


class SpanFile(Value):
    """Spans staged in a local file, and their counts."""

    path: Path
    rows: int = 0
    sampled: int = 0
    """Calls with text, which are evaluated and replayed."""
    by_status: dict[str, int] = Field(default_factory=dict)
    by_model: dict[str, int] = Field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0


class SampledSpans(Value):
    """The sampled calls of a window as rows of `SPAN_SCHEMA`, oldest first."""

    rows: tuple[dict[str, Any], ...] = ()
    calls: int = 0
    """All calls of the window, sampled or not."""
    funnel: Funnel = Funnel()
    """What became of the window's records before these calls."""


_FUNNEL = b"sia.funnel"
"""The key of the file's metadata that holds the funnel as JSON."""


def stage_spans(batches: "Iterator[pa.RecordBatch]", funnel: FunnelCount | None = None) -> SpanFile:
    """Write all batches to a temporary file in flat memory and count them; `place` removes the file.

    `funnel` is what counts while the batches are read; its result is stored with them.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from sia_dagster.core.openinference.schema import SPAN_SCHEMA

    schema = SPAN_SCHEMA.with_metadata(TABLE_FORMAT)
    counts: Counter[str] = Counter()
    status: Counter[str] = Counter()
    models: Counter[str] = Counter()
    with _staging_file() as path, pq.ParquetWriter(path, schema, **_WRITING) as writer:
        for batch in batches:
            writer.write_batch(batch)
            counts["rows"] += batch.num_rows
            for name in ("sampled", "prompt_tokens", "completion_tokens"):
                counts[name] += int(pc.sum(batch.column(name)).as_py() or 0)
            for column, counter in (("status", status), ("model", models)):
                for entry in pc.value_counts(batch.column(column)).to_pylist():
                    counter[str(entry["values"] or "unknown")] += entry["counts"]
        if funnel:
            writer.add_key_value_metadata({_FUNNEL: funnel.result().model_dump_json().encode()})
    return SpanFile(path=path, **counts, by_status=dict(sorted(status.items())), by_model=dict(sorted(models.items())))


@contextmanager
def _staging_file() -> Iterator[Path]:
    """A file in a temporary folder of its own, which is removed after an error."""
    folder = Path(tempfile.mkdtemp(prefix="sia_spans_"))
    try:
        yield folder / "spans.parquet"
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def place(file: SpanFile, target: StoragePath) -> None:
    """Move a staged file to its place, completely or not at all, replacing what was there."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(target, Path):
            # Beside the target, since a rename is atomic only within one file system.
            draft = target.with_name(f".{target.name}.{file.path.parent.name}")
            try:
                shutil.copyfile(file.path, draft)
                draft.replace(target)
            finally:
                draft.unlink(missing_ok=True)
        else:
            target.fs.put_file(str(file.path), target.path)
    finally:
        shutil.rmtree(file.path.parent, ignore_errors=True)


def read_sampled(file: "IO[bytes] | Path") -> SampledSpans:
    """The sampled calls of a span file, how many calls it holds, and its funnel, by the file's metadata."""
    import pyarrow.parquet as pq

    stored = pq.read_metadata(file)
    rows = pq.read_table(file, filters=[("sampled", "==", True)]).to_pylist()
    counted = (stored.metadata or {}).get(_FUNNEL)
    funnel = Funnel.model_validate_json(counted) if counted else Funnel()
    return SampledSpans(rows=tuple(rows), calls=stored.num_rows, funnel=funnel)


def stored_in(folder: StoragePath) -> ReadStoredWindow:
    """The sampled calls of a loop's `traces` assets, `<folder>/<window key>.parquet`."""

    def stored(key: str) -> tuple[dict[str, Any], ...] | None:
        path = folder / f"{key}.parquet"
        try:
            with path.open("rb") as file:
                return read_sampled(file).rows
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [""])[0]
            # Errors of the system have a number, errors in the Parquet file have not.
            if getattr(error, "errno", None) is not None:
                raise TracesUnavailable(f"{path} cannot be read now ({reason}); check `storage`") from error
            raise TraceError(f"{path} cannot be read ({reason}); materialise its asset again") from error

    return stored
