"""Stored answers as a file for other tools: JSON lines or Parquet, a row an answer."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sia_dagster.adapters.engine.store.completion_store import chunks
from sia_dagster.adapters.engine.store.stored_values import StoredAnswer
from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply

FORMATS = (".jsonl", ".parquet")

_PLACE = ("key", "loop", "window", "stage", "model")
_REPLY = tuple(name for name in ChatReply.model_fields if name != "cached")
_NUMBERS = {"cost_usd": "float64", "seconds": "float64"}


def export_answers(answers: Iterable[StoredAnswer], path: Path) -> int:
    """Write the answers to `path`, in the format of its ending; how many there were.

    The same answers give the same bytes. The file appears whole, in place of one that is there. Prompts, keys and
    addresses are in no store, so they are in no file either. Raises SiaError where it cannot be written.
    """
    write = _parquet if path.suffix == ".parquet" else _lines
    draft = path.with_name(f".{path.name}.part")
    try:
        try:
            count = write(map(_row, answers), draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise SiaError(f"{path} cannot be written: {error.strerror or error}") from error
    return count


def _row(answer: StoredAnswer) -> dict[str, Any]:
    reply = answer.reply.model_dump(mode="json", include=set(_REPLY))
    return {**answer.model_dump(include=set(_PLACE)), "paid_at": answer.paid_at, **reply}


def _lines(rows: Iterable[dict[str, Any]], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps({**row, "paid_at": row["paid_at"].isoformat()}, ensure_ascii=False) + "\n")
            count += 1
    return count


def _parquet(rows: Iterable[dict[str, Any]], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _type(name)) for name in (*_PLACE, "paid_at", *_REPLY)])
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        for some in chunks(rows):
            flat = [{name: _flat(value) for name, value in row.items()} for row in some]
            writer.write_table(pa.Table.from_pylist(flat, schema=schema))
            count += len(flat)
    return count


def _type(name: str) -> Any:
    """The Arrow type of a column: lists are JSON texts, so that new kinds of answers do not change the columns."""
    import pyarrow as pa

    if name == "paid_at":
        return pa.timestamp("s", tz="UTC")
    kind = ChatReply.model_fields[name].annotation if name in _REPLY else str
    return pa.int64() if kind is int else pa.float64() if name in _NUMBERS else pa.string()


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
