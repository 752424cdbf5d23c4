"""What is read in an error's body: message, code, field and wait, wherever they stand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.wire.error_bodies import read_error

FAULT = {"type": "extra_forbidden", "loc": ["body", "tools", 0, "strict"], "msg": "Extra inputs are not permitted"}
READ = ("tools.0.strict: Extra inputs are not permitted", "extra_forbidden", "tools.0.strict")


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [FAULT]},
        {"object": "error", "message": {"detail": [FAULT]}, "type": "invalid_request_error", "param": None},
        {"object": "error", "message": json.dumps([FAULT]), "type": "BadRequestError", "code": 400},
        {"object": "error", "message": str([FAULT | {"loc": tuple(FAULT["loc"])}]), "code": 400},
        {"error": {"message": str({"detail": [FAULT]}), "code": 422}},
    ],
)
def test_the_field_that_a_server_reports_is_named(body: object) -> None:
    found = read_error(body)
    assert (found.message, found.code, found.param) == READ


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ('XException - {"error": {"message": "No credit.", "code": "billing"}} (try 2)', "XException - No credit."),
        ('Cannot parse {"error": "no credit"}', 'Cannot parse {"error": "no credit"}'),
        ("Cannot parse {'message': 'no credit'}", "Cannot parse {'message': 'no credit'}"),
        (
            "Invalid content: {'error': {'code': 'insufficient_quota', 'message': 'no credit'}}",
            "Invalid content: {'error': {'code': 'insufficient_quota', 'message': 'no credit'}}",
        ),
        ("a set {1, 2} of [3]", "a set {1, 2} of [3]"),
        ("{", "{"),
        ("[[]]", "[[]]"),
    ],
)
def test_an_error_inside_a_message_is_read_where_it_has_the_form_of_one(message: str, read: str) -> None:
    found = read_error({"error": {"message": message}})
    assert (found.message, found.code) == (read, "billing" if "billing" in message else "")


def test_googles_details_name_the_quotas_and_the_wait() -> None:
    violations = [{"quotaId": "RequestsPerMinute-FreeTier"}, {"quotaId": "RequestsPerDay-FreeTier"}]
    details = [{"violations": violations}, {"reason": "RATE_LIMIT_EXCEEDED"}, {"retryDelay": "25.5s"}, 7]
    found = read_error([{"error": {"code": 429, "message": "Spent.", "status": "EXHAUSTED", "details": details}}])
    assert (found.message, found.retry_after) == ("Spent.: RequestsPerMinute-FreeTier, RequestsPerDay-FreeTier", 25.5)
    assert found.code == "RATE_LIMIT_EXCEEDED"


NESTED = st.recursive(
    st.none()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["{'msg': 1}", "[" * 3000, "{'error': {}}", "-" * 999]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "details", "loc", "metadata", "violations"]), inner
        )
    ),
    max_leaves=12,
)


@given(NESTED)
def test_any_body_is_read(body: object) -> None:
    assert isinstance(read_error(body).message, str)
