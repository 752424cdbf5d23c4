"""Whatever becomes of a file on its way, each of its records is sampled or counted with its reason."""

import gzip
import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.core.errors import TraceFileError
from sia_dagster_tests.adapters.local.forms.test_broken_records import VALUES, paths, put
from sia_dagster_tests.adapters.local.test_traces import funnel, span
from sia_dagster_tests.places import RECORDED_FORMS

FILES = [path.read_bytes() for path in sorted(RECORDED_FORMS.iterdir())]
FILES += [json.dumps([span(n) for n in range(3)], indent=1).encode()]
ODD = [*VALUES, float("inf"), 10**30, "9" * 5000, {"seconds": 1e999}, "\ud83d", "[object Object]"]
WHERE = ["", "name = 'x'", "attributes.llm.model_name IS NULL", "parent_id IS DISTINCT FROM 'x'"]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A recording with some bytes changed, put in or lost, and perhaps without its end; packed or not."""
    content = draw(st.sampled_from(FILES))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        content = content[:start] + draw(st.binary(max_size=4)) + content[start + draw(st.integers(0, 20)) :]
    content = content[: draw(st.one_of(st.none(), st.integers(0, len(content))))]
    return gzip.compress(content) if draw(st.booleans()) else content


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """Spans with other values in some fields, and some fields lost; `...` takes a field away."""
    rows: list[Any] = [span(n, parent_id=None, attributes__session__id="s") for n in range(3)]
    for _ in range(draw(st.integers(1, 5))):
        row = draw(st.sampled_from(rows))
        put(row, draw(st.sampled_from(paths(row))), draw(st.sampled_from([*ODD, ...])))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@settings(max_examples=25, deadline=None)
@given(st.one_of(damaged(), changed()), st.sampled_from(WHERE))
def test_each_record_is_sampled_or_counted(content: bytes, where: str) -> None:
    with TemporaryDirectory() as folder:
        Path(folder, "a").write_bytes(content)
        with suppress(TraceFileError):
            funnel(folder, where if b"context.span_id" in content else "")
