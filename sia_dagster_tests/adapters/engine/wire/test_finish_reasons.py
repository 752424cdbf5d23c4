"""The words for why a generation ended, as endpoints spell them."""

import pytest

from sia_dagster.adapters.engine.wire.finish_reasons import finish_reason_of


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("content_filter: PROHIBITED_CONTENT", "content_filter"),
        ("content_filter: SAFETY. Try again.", "content_filter"),
        ("FinishReason.MAX_TOKENS: cut off", "length"),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", None),
        ("error: stop", None),
        (": stop", None),
    ],
)
def test_a_detail_behind_the_word_changes_nothing(word: str, reason: str | None) -> None:
    assert finish_reason_of(word) == reason
