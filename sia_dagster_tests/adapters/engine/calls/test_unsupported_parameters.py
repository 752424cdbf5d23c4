"""What an endpoint says of a request, and what becomes of the request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.calls.unsupported_parameters import SYSTEM_ROLE, forms_of, refused_by, without_refused
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


def chat(*turns: str, system: str | None = "Be brief.") -> list[JsonObject]:
    head = [] if system is None else [{"role": "system", "content": system}]
    return [*head, *({"role": role, "content": f"{role} {n}"} for n, role in enumerate(turns))]


@pytest.mark.parametrize(
    ("turns", "message", "refused"),
    [
        (("user",), "System role not supported", True),
        (("user",), "This model does not support system messages.", True),
        (("user",), "Only user and assistant roles are supported!", True),
        (("user", "assistant", "user"), "Conversation roles must alternate user/assistant/user/assistant/...", True),
        (("user", "user"), "Conversation roles must alternate user/assistant/user/assistant/...", False),
        (("assistant", "user"), "Conversation roles must alternate user/assistant/user/assistant/...", True),
        (("user",), "The system is not available.", False),
        (("user",), "The system prompt is too long.", False),
    ],
)
@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_refused_system_role_is_found(turns: tuple[str, ...], message: str, refused: bool, status: int) -> None:
    body = {"model": "m", "messages": chat(*turns)}
    assert refused_by(failure(message, status), body) == (SYSTEM_ROLE if refused else None)
    assert refused_by(failure(message, status), {"model": "m", "messages": chat(*turns, system=None)}) is None


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        (chat("user"), [{"role": "user", "content": "Be brief.\n\nuser 0"}]),
        (chat(), [{"role": "user", "content": "Be brief."}]),
        (
            chat("assistant"),
            [{"role": "user", "content": "Be brief."}, {"role": "assistant", "content": "assistant 0"}],
        ),
        (
            [
                *chat(),
                {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
                *chat("user", system=None),
            ],
            [{"role": "user", "content": "Be brief.\n\nBe kind.\n\nuser 0"}],
        ),
        (
            [*chat(), {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Be brief."},
                        {"type": "image_url", "image_url": {"url": "x"}},
                    ],
                }
            ],
        ),
    ],
)
def test_a_refused_system_message_becomes_the_users_first_words(
    messages: list[JsonObject], sent: list[JsonObject]
) -> None:
    body, left_out = without_refused({"messages": messages}, {SYSTEM_ROLE: "no"})
    assert (body["messages"], left_out) == (sent, (SYSTEM_ROLE,))
    assert without_refused(body, {SYSTEM_ROLE: "no"}) == (body, ())


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ("invalid temperature: only 1 is allowed for this model", "temperature"),
        ("`temperature` may only be set to 1 when thinking is enabled.", "temperature"),
        ("temperature must be 1 for this model", "temperature"),
        ("`temperature` and `top_p` cannot both be specified for this model.", "temperature"),
        ("Only the default value of top_p is supported", "top_p"),
        ("`temperature` must be strictly positive", "temperature=0"),
        ("temperature: must be > 0", "temperature=0"),
        ("temperature must be between 0 and 1", None),
    ],
)
def test_a_setting_that_must_have_its_default_is_as_good_as_refused(message: str, what: str | None) -> None:
    assert refused_by(failure(message), BODY) == what


def test_where_only_zero_is_refused_another_value_is_sent() -> None:
    refused = {"temperature=0": "no"}
    assert without_refused({"temperature": 0}, refused) == ({}, ("temperature",))
    assert without_refused({"temperature": 0.0}, refused) == ({}, ("temperature",))
    assert without_refused({"temperature": 0.7}, refused) == ({"temperature": 0.7}, ())
