"""What an endpoint says of a request, and what becomes of the request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.calls.unsupported_parameters import forms_of, refused_by, without_refused
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.records.value import JsonObject

BODY: JsonObject = {
    "model": "gpt-5-temperature",
    "messages": [{"role": "user", "content": "Is it so?"}],
    "temperature": 0,
    "top_p": 0.5,
    "seed": 1,
    "max_tokens": 100,
    "parallel_tool_calls": False,
    "stop": ["."],
    "tools": [{"type": "function", "function": {"name": "find"}}],
    "response_format": {"type": "json_schema", "json_schema": {}},
}

SCHEMA, JSON_MODE = "response_format:json_schema", "response_format:json_object"


def failure(message: str, status: int | None = 400, **facts: Any) -> Failure:
    return Failure(message=message, status=status, **facts)


@pytest.mark.parametrize(
    ("told", "what"),
    [
        # OpenAI
        (
            failure(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
                "instead.",
                param="max_tokens",
                code="unsupported_parameter",
            ),
            "max_tokens",
        ),
        (
            failure(
                "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is "
                "supported.",
                param="temperature",
                code="unsupported_value",
            ),
            "temperature",
        ),
        (failure("Unrecognized request argument supplied: seed"), "seed"),
        (
            failure(
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
                param="response_format",
            ),
            SCHEMA,
        ),
        (failure("Unsupported parameter: 'tools' is not supported with this model.", param="tools"), "tools"),
        # a proxy in front of many
        (
            failure("openai does not support parameters: ['parallel_tool_calls'], for model=gpt-5"),
            "parallel_tool_calls",
        ),
        (failure("No endpoints found that support tool use.", status=404), "tools"),
        # servers that check a request's form
        (failure("body.top_p: Extra inputs are not permitted", status=422), "top_p"),
        (failure("`temperature` is deprecated for this model."), "temperature"),
        (failure("create() got an unexpected keyword argument 'seed'"), "seed"),
        (failure("This model doesn\u2019t support temperature"), "temperature"),
        (failure("This server does not support response_format json_schema"), SCHEMA),
        (failure("ollama/tiny does not support tools"), "tools"),
    ],
)
def test_what_no_call_of_the_model_may_hold_is_found(told: Failure, what: str) -> None:
    assert refused_by(told, BODY) == what


@pytest.mark.parametrize(
    "told",
    [
        failure("Invalid 'temperature': decimal above maximum value. Expected a value <= 2.", param="temperature"),
        failure("max_tokens is too large: 100000. This model supports at most 16384 completion tokens."),
        failure("This model's maximum context length is 8192 tokens."),
        failure("Invalid schema for response_format 'x': 'oneOf' is not permitted.", param="response_format"),
        failure("The provided JSON schema contains features not supported by the grammar backend."),
        failure("Unsupported parameter: 'tool_choice' is not supported here.", param="tool_choice"),
        failure("Unsupported parameter: 'stop' is not supported with this model.", param="stop"),
        failure("Unsupported parameter: 'logprobs'", param="logprobs"),
        failure("gpt-5-temperature is an unknown model", status=404),
        failure("Unsupported parameter: 'temperature'", status=500),
        failure("temperature is not supported", status=None),
        failure("Bad request."),
    ],
)
def test_what_is_that_requests_own_fault_is_not_taken_for_the_models(told: Failure) -> None:
    assert refused_by(told, BODY) is None


def test_what_was_not_sent_was_not_refused() -> None:
    assert refused_by(failure("'frequency_penalty' is not supported"), BODY) is None
    assert (
        refused_by(failure("json_object is not supported"), {"response_format": {"type": "json_object"}}) == JSON_MODE
    )


def test_forms_are_the_response_formats_type_and_tools() -> None:
    assert forms_of(BODY) == (SCHEMA, "tools")
    assert forms_of({"response_format": "auto"}) == ()
    assert forms_of({"response_format": {"type": "text"}}) == ()


def test_a_setting_of_the_draw_is_left_out_and_named() -> None:
    body, left_out = without_refused(BODY, {"temperature": "no", "seed": "no", "frequency_penalty": "no"})
    assert left_out == ("seed", "temperature")
    assert body == {name: value for name, value in BODY.items() if name not in left_out}


def test_a_limit_goes_by_its_other_name_and_nothing_is_left_out() -> None:
    old, new = {"max_tokens": 7}, {"max_completion_tokens": 7}
    assert without_refused(old, {"max_tokens": ""}) == (new, ())
    assert without_refused(new, {"max_completion_tokens": ""}) == (old, ())
    both = {"max_tokens": 7, "max_completion_tokens": 9}
    assert without_refused(both, {"max_tokens": ""}) == ({"max_completion_tokens": 9}, ())


def test_a_limit_that_has_no_name_left_stays_as_it_is() -> None:
    refused = {"max_tokens": "", "max_completion_tokens": ""}
    assert without_refused({"max_tokens": 7}, refused) == ({"max_tokens": 7}, ())


@given(st.sets(st.sampled_from([*BODY, "max_completion_tokens", SCHEMA])), st.sets(st.sampled_from(list(BODY))))
def test_what_is_asked_for_stays_whatever_is_refused(refused: set[str], held: set[str]) -> None:
    body = {name: BODY[name] for name in held}
    found, left_out = without_refused(body, dict.fromkeys(refused, ""))
    asked = {"model", "messages", "stop", "tools", "response_format"}
    assert {name: found[name] for name in asked & set(found)} == {name: body[name] for name in asked & held}
    assert set(left_out) <= refused & held
    assert ("max_tokens" in held) == bool({"max_tokens", "max_completion_tokens"} & set(found))
    assert without_refused(found, dict.fromkeys(refused, ""))[1] == ()
