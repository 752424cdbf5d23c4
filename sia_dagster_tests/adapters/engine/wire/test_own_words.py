"""What an endpoint repeats of a request, or quotes, is not taken for what it says itself."""

import json
import re

import pytest

from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.adapters.engine.wire.own_words import own_words

USER = 'My card says: "The account is suspended",\nand your billing limit is not supported. Is the model not found?'

SENT = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"text": USER}]}],
    "tools": [{"function": {"name": "top_up", "description": "Used where a customer is out of credits or funds."}}],
}


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (f"Cannot parse {USER}", "Cannot parse"),
        (f"Cannot parse {json.dumps(USER)}", "Cannot parse"),
        (f"Cannot parse {USER.upper()} in message 1", "Cannot parse in message 1"),
        (f"Cannot parse {USER[: USER.index(' limit')]}...", "Cannot parse"),
        ("Bad tool top_up: used where a customer is out of credits or funds.", "Bad tool top_up"),
        ("Cannot read (be brief).", "Cannot read"),
        # Quotations, whatever they repeat.
        ("Cannot parse 'Why isn't my account active, is it suspended?'", "Cannot parse"),
        ('Cannot parse the arguments {"reply": "the model was not found"}', "Cannot parse the arguments reply"),
        ("Cannot parse \u201cmy account is suspended\u201d", "Cannot parse"),
        ("Cannot parse 'my account is not active and...", "Cannot parse"),
        (
            "seed Extra inputs [type=x, input_value='no credits left', input_type=str]",
            "seed Extra inputs type x input_type str",
        ),
    ],
)
def test_what_is_repeated_or_quoted_is_left_out(message: str, kept: str) -> None:
    assert re.findall(r"\w+", own_words(message, SENT)) == kept.split()


@pytest.mark.parametrize(
    "message",
    [
        "The model `application model` does not exist",
        "The customers' model 'x' isn't here",
        # What a gateway quotes of the provider behind it.
        "litellm.BadRequestError: XException - 'Your credit balance is too low'",
        "Error code: 400 - {'error': {'message': 'Your credit balance is too low'}}",
        # Words in another order.
        "Is the account suspended, or is the model wrong?",
    ],
)
def test_the_endpoints_own_words_are_kept(message: str) -> None:
    assert own_words(message, SENT) == message


def test_a_text_without_blanks_is_recognised_by_its_letters() -> None:
    wrote = "为什么我的账户余额不足。请你马上告诉我"
    refused = Failure(message=f"无法解析 {wrote}", status=400)
    assert refused.kind == "no_quota"
    sent = {"messages": [{"role": "user", "content": f"你好。{wrote}好吗"}]}
    assert refused.shortened(300, sent).kind == "bad_request"


@pytest.mark.parametrize("message", ["'a " * 1300, '"' * 4000, "a " * 2000, "'a'b" * 1000, "\\u00e9" * 600, ""])
def test_any_message_is_read(message: str) -> None:
    assert isinstance(own_words(message, {"messages": [{"content": "a " * 5000}, {"content": "a a"}]}), str)


def test_a_limits_name_in_quotes_counts_where_no_request_is_quoted() -> None:
    message = "Quota exceeded for quota metric 'Requests' and limit 'Requests of all kinds per day'"
    assert Failure(message=message, status=429).kind == "no_quota"
