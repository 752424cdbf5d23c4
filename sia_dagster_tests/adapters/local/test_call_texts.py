"""Whether a call has an answer is told without its text, and in the same way."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.local.call_texts import call_texts, is_answered
from sia_dagster.adapters.local.columns import EMPTY_TEXTS, TEXTS
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster_tests.adapters.local.test_traces import WINDOW

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.sampled_from([*EMPTY_TEXTS, " ", "Yes."]),
    st.lists(st.none(), max_size=1),
    st.dictionaries(st.just("a"), st.none(), max_size=1),
)
NAMES = st.sampled_from(
    [f"{name}{end}" for name in ("llm.output_messages", "output.value", "input.value") for end in ("", ".", ".0.a")]
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_an_answer_is_told_as_its_text_tells_it(attributes: dict[str, Any]) -> None:
    texts = dict(zip(TEXTS, call_texts(attributes, {}, SpanQuery(window=WINDOW)), strict=False))
    expected = any((texts[name] or "") not in EMPTY_TEXTS for name in ("output_messages", "output_value"))
    assert is_answered(attributes) == expected
