"""Whatever stands in a record's fields, a form reads it or says why not: nothing else is raised."""

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.adapters.local.forms import FORMS, FormError, form_of
from sia_dagster.adapters.local.unknown import what_it_is
from sia_dagster_tests.adapters.local.forms import test_chat_log, test_langfuse, test_langsmith, test_mlflow
from sia_dagster_tests.worlds.form_calls import recorded

NAMES = ("braintrust", "langchain", "langfuse", "langsmith", "mlflow", "mlflow_table", "opik")
RECORDS: list[dict[str, Any]] = [
    *(record for name in NAMES for record in recorded(name)),
    *test_chat_log.RECORDS,
    test_langfuse.BLOB,
    {"id": "trace-1", "observations": [test_langfuse.observation()], "scores": [{"name": "a", "value": 1}]},
    *(test_langsmith.run(inputs=inputs) for inputs in test_langsmith.INPUTS),
    *(test_langsmith.run(outputs=outputs) for outputs in test_langsmith.OUTPUTS),
    test_mlflow.trace({"assessment_name": "a", "feedback": {"value": 1}}),
]
VALUES: list[Any] = [None, True, 0, -1, 1e300, float("nan"), "", "text", "[", "{}", "[[]]", '{"a": 1}', [], {}]
VALUES += [[None], [1, "a"], [[]], [{}], [[{}]], {"a": None}, {"role": 1, "content": 2}, {"lc": 1, "kwargs": 1}]
VALUES += [{"message": None}, [{"role": None}], [["human", None]], {"generations": [[]]}, {"type": "ai", "data": 1}]
VALUES += ["[" * 5000 + "]" * 5000, '{"a":' * 150 + "1" + "}" * 150]


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a record."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in inner for path in [(*here, key), *paths(item, (*here, key))]]


PLACES = [(number, path) for number, record in enumerate(RECORDS) for path in paths(record)]


def read(record: dict[str, Any]) -> None:
    form = form_of(record)
    if form is None:
        assert what_it_is(record)
        return
    with suppress(FormError):
        for span in form.spans(record):
            if not isinstance(span, FormError):
                assert isinstance(span.span_id, str)
                json.dumps(span.attributes, default=str)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from([*VALUES, ...])), min_size=1, max_size=3))
def test_a_form_reads_any_value_in_any_field_or_says_why_not(changes: list[tuple[Any, Any]]) -> None:
    number = changes[0][0][0]
    record = copy.deepcopy(RECORDS[number])
    for (of, path), value in changes:
        if of == number:
            put(record, path, value)
    read(record)


def put(record: Any, path: tuple[Any, ...], value: Any) -> None:
    """Replace what is at the path; an ellipsis removes it. A place that is gone is left alone."""
    *way, last = path
    for step in way:
        try:
            record = record[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(record, dict) and value is ...:
        record.pop(last, None)
    elif isinstance(record, dict) or (isinstance(record, list) and last in range(len(record))):
        record[last] = None if value is ... else value


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_of_one_form_alone(record: dict[str, Any]) -> None:
    names = [form.name for form in FORMS if form.recognises(record)]
    wider = {"Langfuse observations without their traces", "OpenInference spans", "chat log"}
    assert names
    assert wider.issuperset(names[1:])
