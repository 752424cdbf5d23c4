"""The estimate of tokens holds limits; it never has to be exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.prompting.tokens import estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("a b c", 3), ("Answer the customer's message.", 8), ("你好吗", 3)],
)
def test_known_texts(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(st.characters()))
def test_no_fewer_than_words_and_no_more_than_bytes(text: str) -> None:
    assert len(text.split()) <= estimate_tokens(text) <= max(1, len(text.encode("utf-8", "surrogatepass")))


@given(st.text(), st.text())
def test_a_longer_text_never_takes_fewer(text: str, more: str) -> None:
    assert estimate_tokens(text) <= estimate_tokens(text + more)


@given(st.text(), st.text())
def test_two_texts_together_take_no_more_than_apart(text: str, more: str) -> None:
    assert estimate_tokens(text + more) <= estimate_tokens(text) + estimate_tokens(more)
