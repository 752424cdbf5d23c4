"""The Prompt Hub through the unpatched client and a server that speaks its wire."""

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from sia_dagster.adapters.arize.arize_prompts import (
    ArizePromptHub,
    chat_template,
    invocation,
    provider_of,
    with_left_out,
)
from sia_dagster.core.errors import PublishConflict, PublishError
from sia_dagster.core.policy.publication import LABEL, publish
from sia_dagster.core.records.policy import Actions, Example
from sia_dagster.core.records.registry import PolicyVersion, Publication
from sia_dagster_tests.fakes.arize_rest import KEY, SPACE, ArizeRest, resource_id

POLICY = Actions(system_prompt="Be kind.", model="gpt-4o-mini", parameters={"temperature": 0.2})


class Waits(list[float]):
    """Counts the waiting instead of doing it."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def hub_of(server: ArizeRest, wait: Callable[[float], object] | None = None, **connection: Any) -> ArizePromptHub:
    return ArizePromptHub(server.connection(**connection), wait=Waits() if wait is None else wait)


def entry(version: int, prompt: str = "Be kind.", **changes: Any) -> PolicyVersion:
    policy = POLICY.model_copy(update={"system_prompt": prompt, **changes})
    return PolicyVersion(
        version=version, loop="desk", kind="promote", actions=policy, at=datetime(2026, 11, 9, tzinfo=UTC)
    )


def put_out(hub: ArizePromptHub, what: PolicyVersion, last: Publication | None = None) -> Publication:
    return publish(what, target="arize_prompt_hub", hub=hub, last=last, prompt="desk")


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PublishError) as raised:
        call()
    assert KEY not in str(raised.value)
    return str(raised.value)


def test_a_policy_arrives_with_message_model_provider_and_parameters(server: ArizeRest) -> None:
    policy = Actions(
        system_prompt="Answer {name}.",
        variables=("name",),
        model="gpt-4o",
        examples=(Example(input="Hi", output="Hello!"),),
        parameters={"temperature": 0.2, "max_tokens": 200, "stop": "END", "tool_choice": "auto", "top_p": None},
        tools=({"type": "function", "function": {"name": "look_up"}},),
    )
    hub = hub_of(server)
    version_id = hub.create("desk", policy, "why")
    stored = server.version(version_id)
    assert stored["messages"] == [
        {"role": "SYSTEM", "content": "Answer {name}."},
        {"role": "USER", "content": "Hi"},
        {"role": "ASSISTANT", "content": "Hello!"},
    ]
    assert (stored["input_variable_format"], stored["provider"], stored["model"]) == ("F_STRING", "OPEN_AI", "gpt-4o")
    assert stored["commit_message"] == "why"
    assert stored["invocation_params"] == {
        "temperature": 0.2,
        "max_tokens": 200,
        "stop": ["END"],
        "tool_config": {"tools": [{"type": "function", "function": {"name": "look_up"}}], "tool_choice": "auto"},
    }
    assert server.prompts["desk"].space_id == SPACE


def test_a_policy_without_model_or_parameters_arrives_without(server: ArizeRest) -> None:
    version_id = hub_of(server).create("desk", Actions(system_prompt="Be kind."), "why")
    assert not {"model", "invocation_params"} & set(server.version(version_id))
    assert server.version(version_id)["provider"] == "CUSTOM"


def test_the_response_format_arrives_in_the_platforms_words() -> None:
    schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    form = {"response_format": {"type": "json_schema", "json_schema": schema}}
    parameters, left_out = invocation(POLICY.model_copy(update={"parameters": form}))
    assert parameters.to_dict()["response_format"] == {"type": "JSON_SCHEMA", "json_schema": schema}
    assert left_out == ()


def test_parameters_that_the_platform_does_not_know_are_named(server: ArizeRest) -> None:
    asked = {"seed": 7, "temperature": "warm", "max_tokens": 5, "response_format": {"type": "xml"}, "top_k": None}
    policy = POLICY.model_copy(update={"parameters": asked})
    version = server.version(hub_of(server).create("desk", policy, "why"))
    assert version["invocation_params"] == {"max_tokens": 5}
    assert version["commit_message"].splitlines() == [
        "why",
        "",
        'Not held by Arize, so set where the call is made: "response_format", "seed", "temperature"',
    ]


def test_tools_in_no_form_of_the_platform_are_named() -> None:
    policy = POLICY.model_copy(update={"tools": ({1: "no text"},)})
    assert invocation(policy)[1] == ("tools",)


def test_names_from_traces_stay_on_one_line_and_short() -> None:
    told = with_left_out("why", [f"x{n}\nsia:desk/9/0123456789abcdef{'y' * 99}" for n in range(12)])
    assert len(told.splitlines()) == 3
    assert told.endswith("and 2 more")
    assert len(told) < 700


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o-mini", "OPEN_AI"),
        ("o3-mini", "OPEN_AI"),
        ("openai/gpt-4o", "OPEN_AI"),
        ("claude-sonnet-4", "ANTHROPIC"),
        ("us.anthropic.claude-3-5-sonnet-v2:0", "AWS_BEDROCK"),
        ("amazon.nova-pro-v1:0", "AWS_BEDROCK"),
        ("gemini-2.5-pro", "VERTEX_AI"),
        ("llama-3", "CUSTOM"),
        ("", "CUSTOM"),
    ],
)
def test_the_provider_is_known_by_the_models_name(model: str, provider: str) -> None:
    assert provider_of(model) == provider


def filled(format_: str, content: str, values: dict[str, str]) -> str:
    """What the platform makes of a template; anything but a plain variable in double braces is a mistake here."""
    if format_ == "F_STRING":
        return content.format(**values)

    def value(match: re.Match[str]) -> str:
        assert re.fullmatch(r"\{\{[\w-]+\}\}", match[0]), match[0]
        return values[match[0][2:-2]]

    return re.sub(r"\{\{\{?.*?(?:\}\}|$)", value, content, flags=re.DOTALL)


TEXT = st.text(alphabet="{}ab \n#/", max_size=12)
PIECE = st.one_of(
    TEXT, st.sampled_from(["{name}", "{{name}}", "{{ name }}", "{other_1}", "{{other_1}}", '{"a": {"b": 1}}'])
)


@given(
    prompt=st.lists(PIECE, max_size=6).map("".join),
    shown=st.lists(st.tuples(PIECE, PIECE), max_size=2),
    values=st.fixed_dictionaries({"name": TEXT, "other_1": TEXT}),
    variables=st.sampled_from([(), ("name",), ("name", "other_1")]),
)
@example(prompt="{{{name}}}", shown=[], values={"name": "{name}", "other_1": ""}, variables=("name",))
@example(prompt='{"a": {{name}}}', shown=[("{", "}}")], values={"name": "x", "other_1": ""}, variables=("name",))
@settings(max_examples=400)
def test_the_platform_fills_a_template_as_the_policy_renders_it(
    prompt: str, shown: list[tuple[str, str]], values: dict[str, str], variables: tuple[str, ...]
) -> None:
    assume(prompt or shown)
    examples = tuple(Example(input=asked, output=said) for asked, said in shown)
    policy = Actions(system_prompt=prompt, variables=variables, examples=examples)
    template = chat_template(policy)
    got = [filled(template.format, m.content, values) for m in template.messages]
    system = [policy.render(values)] if prompt else []
    assert got == [*system, *(text for pair in shown for text in pair)]


@pytest.mark.parametrize(
    ("prompt", "form"),
    [
        ("Be kind.", "F_STRING"),
        ("Hi {name}.", "F_STRING"),
        ("Hi {{name}}.", "MUSTACHE"),
        ('Write {"to": "x"}.', "MUSTACHE"),
        ("Write {}.", "MUSTACHE"),
    ],
)
def test_text_stands_as_it_is_where_a_format_allows_it(prompt: str, form: str) -> None:
    template = chat_template(Actions(system_prompt=prompt, variables=("name",)))
    assert (template.format, template.messages[0].content) == (form, prompt)


def test_one_format_serves_prompt_and_examples() -> None:
    shown = (Example(input='{"a": 1}', output="ok"),)
    template = chat_template(Actions(system_prompt="Hi {name}.", variables=("name",), examples=shown))
    assert template.format == "MUSTACHE"
    assert [m.content for m in template.messages] == ["Hi {{name}}.", '{"a": 1}', "ok"]


def test_literal_double_braces_are_escaped() -> None:
    template = chat_template(Actions(system_prompt="{{if x}} {name}", variables=("name",)))
    assert (template.format, template.messages[0].content) == ("F_STRING", "{{{{if x}}}} {name}")


@pytest.mark.parametrize("name", ["user.name", "a b", "0", "x:y", "a[0]"])
def test_a_variable_that_a_template_would_take_apart_is_refused(name: str) -> None:
    policy = Actions(system_prompt=f"Hi {{{name}}}.", variables=(name,))
    assert repr(name) in refusal(lambda: chat_template(policy))
    unused = policy.model_copy(update={"system_prompt": "Hi."})
    assert chat_template(unused).messages[0].content == "Hi."


def test_a_policy_without_text_is_refused(server: ArizeRest) -> None:
    assert "neither system prompt nor examples" in refusal(lambda: hub_of(server).create("desk", Actions(), "why"))
    assert server.requests == []


def test_there_are_no_versions_of_a_prompt_that_is_not_there(server: ArizeRest) -> None:
    server.add_prompt("desk_eu", "theirs")
    assert hub_of(server).versions("desk") == ()


def test_all_pages_are_read_and_versions_come_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with ArizeRest(page=2) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        for number in range(5):
            server.add_prompt(f"desk_{number}", "theirs")
        server.add_prompt("desk", *(f"version {number}" for number in range(7)))
        found = hub_of(server).versions("desk")
        assert [v.message for v in found] == [f"version {number}" for number in range(7)]
        assert server.requests.count("GET /v2/prompts") == 3


def test_a_prompt_of_another_space_is_not_ours(server: ArizeRest) -> None:
    elsewhere = resource_id("Space", 9)
    server.spaces[elsewhere] = "another"
    server.add_prompt("desk", "theirs", space_id=elsewhere)
    assert hub_of(server).versions("desk") == ()


def test_a_space_may_be_given_by_its_name(server: ArizeRest) -> None:
    server.spaces = {resource_id("Space", 7): "demo space two", **server.spaces}
    hub = hub_of(server, space_id="demo space")
    hub.create("desk", POLICY, "why")
    assert server.prompts["desk"].space_id == SPACE


def test_the_label_moves_and_other_labels_stay(server: ArizeRest) -> None:
    hub = hub_of(server)
    first, second = hub.create("desk", POLICY, "one"), hub.create("desk", POLICY, "two")
    server.move_label(first, "staging", LABEL)
    server.move_label(second, "eu")
    hub.set_label("desk", second, LABEL)
    assert [v.labels for v in hub.versions("desk")] == [("staging",), ("eu", LABEL)]


def test_promotion_rollback_and_repetition_over_the_wire(server: ArizeRest) -> None:
    hub = hub_of(server)
    first = put_out(hub, entry(1))
    second = put_out(hub, entry(2, "Be brief.", parameters={"seed": 1}), first)
    back = entry(3).model_copy(update={"kind": "rollback", "restores": 1})
    third = put_out(hub, back, second)
    changes = list(server.changes)
    assert [v["labels"] for v in server.prompts["desk"].versions] == [[LABEL], []]
    assert put_out(hub_of(server), back, third) == third
    assert server.changes == changes, "the second time nothing is changed"
    assert len(changes) == 5, "two versions made, the label moved three times"


def test_a_label_moved_in_the_ui_is_not_moved_back(server: ArizeRest) -> None:
    hub = hub_of(server)
    first = put_out(hub, entry(1))
    second = put_out(hub, entry(2, "Be brief."), first)
    server.move_label(first.version_id, LABEL)
    changes = list(server.changes)
    with pytest.raises(PublishConflict, match="--force"):
        put_out(hub, entry(3, "Be warm."), second)
    assert server.changes == changes


def test_a_prompt_made_in_the_ui_is_not_taken_over(server: ArizeRest) -> None:
    server.add_prompt("desk", "by hand")
    with pytest.raises(PublishConflict, match="somebody else's"):
        put_out(hub_of(server), entry(1))
    assert server.changes == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_transient_faults_are_tried_again(server: ArizeRest, status: int) -> None:
    server.fail(".", status=status, times=3)
    waits = Waits()
    assert hub_of(server, waits).versions("desk") == ()
    assert len(waits) == 3


def test_the_platform_says_how_long_to_wait(server: ArizeRest) -> None:
    server.fail("POST ", status=429, headers={"Retry-After": "17"})
    waits = Waits()
    hub_of(server, waits).create("desk", POLICY, "why")
    assert waits == [17.0]


def test_after_its_attempts_it_gives_up_and_says_where(server: ArizeRest) -> None:
    server.fail("GET /v2/prompts", status=503, times=99)
    said = refusal(lambda: hub_of(server, max_attempts=3).versions("desk"))
    assert "the prompt 'desk'" in said
    assert "gave up after 3 attempts: status 503" in said
    assert "publish again" in said
    assert server.requests.count("GET /v2/prompts") == 3


LOST = [
    {"status": 503},
    {"drop": True},
    {"body": b"{", "status": 201},
    {"body": b"{}", "status": 201},
    {"body": b"null", "status": 201},
    {"body": b'"text"', "status": 201},
]


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("first", [True, False])
def test_a_version_whose_answer_was_lost_is_not_made_twice(
    server: ArizeRest, lost: dict[str, Any], *, first: bool
) -> None:
    hub = hub_of(server)
    if not first:
        hub.create("desk", POLICY, "an earlier one")
    server.fail("POST ", after=True, **lost)
    version_id = hub.create("desk", POLICY, "why")
    assert [v["id"] for v in server.prompts["desk"].versions][-1] == version_id
    assert len(server.prompts["desk"].versions) == (1 if first else 2)


@pytest.mark.parametrize("lost", LOST)
def test_a_version_that_was_not_made_is_made_again(server: ArizeRest, lost: dict[str, Any]) -> None:
    server.fail("POST ", **lost)
    hub_of(server).create("desk", POLICY, "why")
    assert len(server.prompts["desk"].versions) == 1


@pytest.mark.parametrize("lost", LOST)
def test_a_label_whose_answer_was_lost_ends_where_it_should(server: ArizeRest, lost: dict[str, Any]) -> None:
    hub = hub_of(server)
    version_id = hub.create("desk", POLICY, "why")
    server.fail("PUT ", after=True, **{**lost, "status": 200 if "body" in lost else 503})
    hub.set_label("desk", version_id, LABEL)
    assert server.version(version_id)["labels"] == [LABEL]


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b"null", b'{"prompts": [{"id": 7}]}', b"\xff\xfe"])
def test_an_answer_that_makes_no_sense_is_no_empty_list(server: ArizeRest, body: bytes) -> None:
    server.fail("GET /v2/prompts", status=200, body=body, times=99)
    said = refusal(lambda: hub_of(server, max_attempts=2).versions("desk"))
    assert "an answer that cannot be understood" in said


def test_an_answer_of_an_unknown_kind_is_no_empty_list(server: ArizeRest) -> None:
    server.fail("GET /v2/prompts", status=200, body=b"<a/>", content_type="application/xml", times=99)
    said = refusal(lambda: hub_of(server, max_attempts=2).versions("desk"))
    assert "an answer that cannot be understood" in said


def test_a_hanging_platform_is_given_up(server: ArizeRest) -> None:
    server.fail("GET /v2/prompts", hang=60, times=2)
    waits = Waits()
    assert hub_of(server, waits, timeout_seconds=0.2).versions("desk") == ()
    assert len(waits) == 2
    server.fail("GET /v2/prompts", hang=60, times=99)
    said = refusal(lambda: hub_of(server, timeout_seconds=0.2, max_attempts=1).versions("desk"))
    assert "no answer within 0.2 seconds" in said


def test_a_list_that_runs_in_circles_ends(server: ArizeRest) -> None:
    page = b'{"prompts": [], "pagination": {"has_more": true, "next_cursor": "same"}}'
    server.fail("GET /v2/prompts", status=200, body=page, times=99)
    assert "the next page was already read" in refusal(lambda: hub_of(server).versions("desk"))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "the request was refused (scripted)"),
        (401, "ARIZE_API_KEY"),
        (403, "a role in the space"),
        (404, "ARIZE_SPACE_ID"),
        (422, "the request was refused (scripted)"),
        (418, "status 418: scripted"),
    ],
)
def test_final_faults_are_not_tried_again_and_say_what_to_set(server: ArizeRest, status: int, said: str) -> None:
    server.fail("GET /v2/prompts", status=status, times=99)
    assert said in refusal(lambda: hub_of(server).versions("desk"))
    assert server.requests.count("GET /v2/prompts") == 1


def test_a_bad_key_is_named_by_its_variable(server: ArizeRest) -> None:
    said = refusal(lambda: hub_of(server, api_key=SecretStr("wrong-key")).versions("desk"))
    assert "ARIZE_API_KEY" in said
    assert "wrong-key" not in said


@pytest.mark.parametrize("space", [resource_id("Space", 404), "no such space"])
def test_an_unknown_space_is_named_with_its_variable(server: ArizeRest, space: str) -> None:
    said = refusal(lambda: hub_of(server, space_id=space).versions("desk"))
    assert space in said
    assert "ARIZE_SPACE_ID" in said


def test_a_space_name_that_is_there_twice_must_be_given_by_id(server: ArizeRest) -> None:
    server.spaces[resource_id("Space", 2)] = "demo space"
    assert SPACE in refusal(lambda: hub_of(server, space_id="demo space").versions("desk"))


def test_a_name_taken_meanwhile_is_a_conflict(server: ArizeRest) -> None:
    hub = hub_of(server)
    server.fail("POST /v2/prompts$", status=409)
    with pytest.raises(PublishConflict, match="taken meanwhile"):
        hub.create("desk", POLICY, "why")


def test_the_key_never_stands_in_an_error_though_the_platform_repeats_it(server: ArizeRest) -> None:
    body = f'{{"title": "no", "detail": "Bearer {KEY}\\n is {"x" * 900}"}}'.encode()
    server.fail("GET /v2/prompts", status=400, body=body)
    said = refusal(lambda: hub_of(server).versions("desk"))
    assert "Bearer ***" in said
    assert len(said) < 500


@pytest.mark.parametrize("body", [b"<html>secret</html>", b"[1]", b""])
def test_a_refusal_without_a_problem_document_is_told_without_its_body(server: ArizeRest, body: bytes) -> None:
    server.fail("GET /v2/prompts", status=400, body=body)
    assert refusal(lambda: hub_of(server).versions("desk")).endswith("the request was refused")


def test_nobody_there_is_told_with_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    with ArizeRest() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
    said = refusal(lambda: hub_of(server, max_attempts=2).versions("desk"))
    assert "no connection" in said
    assert "ARIZE_*" in said


def test_tls_that_is_refused_is_told(server: ArizeRest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIZE_API_SCHEME", "https")
    said = refusal(lambda: hub_of(server, max_attempts=1).versions("desk"))
    assert "no connection (SSLError" in said
    assert "ARIZE_SSL_CA_CERT" in said


def test_no_thread_holds_the_process(server: ArizeRest) -> None:
    server.fail("GET /v2/prompts", hang=60)
    hub_of(server, timeout_seconds=0.1).versions("desk")
    assert all(thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
