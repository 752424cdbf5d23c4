"""Policies as prompts in a real Phoenix server: the same text, found again, with the tag where it belongs."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.adapters.phoenix.phoenix_prompts import NAME, PhoenixPrompts, prompt_version, suggestion
from sia_dagster.core.errors import PublishError
from sia_dagster.core.records.policy import Actions, Example
from sia_dagster_tests.fakes.phoenix_proxy import Fault, PhoenixProxy, no_wait
from sia_dagster_tests.fakes.phoenix_server import Phoenix

POLICY = Actions(
    system_prompt='Greet {name}. Answer as {"ok": true} about {{ topic }}.',
    model="gpt-4o-mini",
    parameters={"temperature": 0.3, "max_tokens": 50},
    examples=(Example(input="Hi {name}", output="{}"),),
    variables=("name", "topic"),
)

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


def hub(phoenix: Phoenix, **changes: Any) -> PhoenixPrompts:
    return PhoenixPrompts(phoenix.project("prompts").connection(**changes), wait=no_wait)


def test_a_policy_comes_back_as_the_application_would_send_it(phoenix: Phoenix) -> None:
    project = phoenix.project("prompts")
    name = project.name
    version_id = hub(phoenix).create(name, POLICY, "the first")
    loaded = project.client.prompts.get(prompt_version_id=version_id)
    values = {"name": "{topic} Anna", "topic": "{{name}}"}
    filled = loaded.format(variables=values, sdk="openai")
    assert list(filled.messages) == POLICY.messages(values)
    assert filled.kwargs == {"model": "gpt-4o-mini", "temperature": 0.3, "max_tokens": 50}


def test_versions_are_listed_oldest_first_with_message_and_tags(phoenix: Phoenix) -> None:
    prompts, name = hub(phoenix), phoenix.project("prompts").name
    assert prompts.versions(name) == ()
    ids = [prompts.create(name, POLICY, f"message {number}") for number in range(3)]
    prompts.set_label(name, ids[1], "production")
    prompts.set_label(name, ids[1], "checked")
    seen = [(version.id, version.message, version.labels) for version in prompts.versions(name)]
    assert seen == [
        (ids[0], "message 0", ()),
        (ids[1], "message 1", ("checked", "production")),
        (ids[2], "message 2", ()),
    ]


def test_more_versions_than_a_page_holds_are_all_listed(phoenix: Phoenix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sia_dagster.adapters.phoenix.phoenix_prompts._PAGE", 2)
    prompts, name = hub(phoenix), phoenix.project("prompts").name
    ids = [prompts.create(name, POLICY, "again") for _ in range(5)]
    assert [version.id for version in prompts.versions(name)] == ids


def test_a_tag_moves_and_stands_on_one_version(phoenix: Phoenix) -> None:
    project = phoenix.project("prompts")
    prompts, name = hub(phoenix), project.name
    first, second = (prompts.create(name, POLICY, message) for message in ("first", "second"))
    for version_id in (first, first, second):
        prompts.set_label(name, version_id, "production")
    assert [version.labels for version in prompts.versions(name)] == [(), ("production",)]
    assert project.client.prompts.get(prompt_identifier=name, tag="production").id == second
    project.client.prompts.tags.create(prompt_version_id=first, name="production")
    assert [version.labels for version in prompts.versions(name)] == [("production",), ()]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Message Desk!", "message-desk"),
        ("a.b", "a-b"),
        ("_x_", "x"),
        ("Größe", "gr-e"),
        ("!!!", "policy"),
        ("", "policy"),
    ],
)
def test_a_name_that_phoenix_refuses_is_refused_before_with_a_better_one(name: str, better: str) -> None:
    from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection

    nowhere = PhoenixPrompts(PhoenixConnection(base_url="http://127.0.0.1:9", max_attempts=1))
    for ask in (
        lambda: nowhere.versions(name),
        lambda: nowhere.create(name, POLICY, ""),
        lambda: nowhere.set_label("fine", "id", name),
    ):
        with pytest.raises(PublishError, match=rf"small letters.*call it '{better}'"):
            ask()


@given(st.text(max_size=30))
def test_the_suggested_name_is_always_one_that_phoenix_accepts(name: str) -> None:
    assert NAME.fullmatch(suggestion(name))


def test_phoenix_accepts_exactly_the_names_that_we_let_through(phoenix: Phoenix) -> None:
    prompts = hub(phoenix)
    for name in ("1", "a-b_c", "9a", "x" * 200):
        assert NAME.fullmatch(name)
        prompts.create(name, POLICY, "")


@pytest.mark.parametrize("name", ["-a", "a_", "A", "a b", "é", "a.b"])
def test_phoenix_itself_refuses_the_names_that_we_refuse(phoenix: Phoenix, name: str) -> None:
    import httpx

    assert not NAME.fullmatch(name)
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        phoenix.project("names").client.prompts.create(name=name, version=prompt_version(POLICY, ""))


def test_what_phoenix_cannot_hold_is_named_in_the_description(phoenix: Phoenix) -> None:
    policy = POLICY.model_copy(
        update={
            "parameters": {
                "temperature": 0.1,
                "logit_bias": {"7": 2},
                "response_format": {"type": "json_object"},
                "stop": "END",
                "reasoning_effort": "extreme",
                "tool_choice": "auto",
            },
            "tools": (TOOL,),
        }
    )
    prompts, name = hub(phoenix), phoenix.project("prompts").name
    version_id = prompts.create(name, policy, "promoted")
    (version,) = prompts.versions(name)
    assert version.message == "promoted\nNot held by Phoenix: logit_bias, reasoning_effort, response_format."
    loaded = phoenix.project("reader").client.prompts.get(prompt_version_id=version_id)
    assert loaded.format(variables={"name": "", "topic": ""}, sdk="openai").kwargs == {
        "model": "gpt-4o-mini",
        "temperature": 0.1,
        "stop": ["END"],
        "tools": [TOOL],
        "tool_choice": "auto",
    }


def test_a_response_format_with_a_schema_is_held() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True}}
    version = prompt_version(Actions(model="m", parameters={"response_format": schema}), "said")
    assert version.format(sdk="openai").kwargs["response_format"] == schema


def test_tools_that_phoenix_cannot_hold_are_named(phoenix: Phoenix) -> None:
    odd = {"name": "no wire form"}
    policy = Actions(model="m", tools=(odd,), parameters={"top_p": 0.5, "tool_choice": "auto"})
    prompts, name = hub(phoenix), phoenix.project("prompts").name
    prompts.create(name, policy, "promoted")
    assert prompts.versions(name)[0].message == "promoted\nNot held by Phoenix: tools, tool_choice."


def test_a_variable_that_no_template_takes_is_refused(phoenix: Phoenix) -> None:
    policy = Actions(system_prompt="Hello {user.name}", model="m", variables=("user.name",))
    with pytest.raises(PublishError, match=r"letters, digits and _ only, not \['user.name'\]"):
        hub(phoenix).create("odd", policy, "")


@pytest.mark.parametrize(
    ("prompt", "variables", "expected"),
    [
        ("No variable, {braces} and {{more}}", (), "NONE"),
        ("Hello {name}, {not this}", ("name",), "MUSTACHE"),
        ("Hello {{name}}, {{not_this}}", ("name",), "F_STRING"),
        ("Hello {name} and {other}", ("name", "other"), "F_STRING"),
    ],
)
def test_the_format_is_the_one_that_leaves_other_braces_alone(
    prompt: str, variables: tuple[str, ...], expected: str
) -> None:
    assert prompt_version(Actions(system_prompt=prompt, variables=variables), "")._template_format == expected


PIECES = st.lists(
    st.sampled_from(
        ["{", "}", "{{", "}}", "{a}", "{{a}}", "{{ b }}", "{b}", "{c}", "{{c}}", "\\", " ", "text", "%", "é"]
    ),
    max_size=8,
).map("".join)


@settings(max_examples=300)
@given(PIECES, st.lists(st.tuples(PIECES, PIECES), max_size=2), st.sampled_from([(), ("a",), ("a", "b")]))
def test_whatever_braces_a_policy_holds_phoenix_fills_it_in_alike(
    prompt: str, examples: list[tuple[str, str]], variables: tuple[str, ...]
) -> None:
    shown = tuple(Example(input=one, output=two) for one, two in examples)
    policy = Actions(system_prompt=prompt, model="m", examples=shown, variables=variables)
    values = {"a": "Anna {b} {{b}}", "b": "Bert {{a}}"}
    filled = prompt_version(policy, "").format(variables=values, sdk="openai")
    assert list(filled.messages) == policy.messages(values)


def test_a_creation_whose_reply_was_lost_is_not_repeated(phoenix: Phoenix) -> None:
    project = phoenix.project("prompts")
    with PhoenixProxy(project.base_url, [Fault(path="/v1/prompts", lose=True, times=1)]) as proxy:
        prompts = hub(phoenix, base_url=proxy.base_url)
        with pytest.raises(PublishError, match="gave no answer in 1 attempts"):
            prompts.create(project.name, POLICY, "once")
        assert [version.message for version in prompts.versions(project.name)] == ["once"]


def test_a_creation_that_was_turned_away_is_repeated(phoenix: Phoenix) -> None:
    project = phoenix.project("prompts")
    with PhoenixProxy(project.base_url, [Fault(path="/v1/prompts", status=503, times=2)]) as proxy:
        prompts = hub(phoenix, base_url=proxy.base_url)
        version_id = prompts.create(project.name, POLICY, "once")
        assert [version.id for version in prompts.versions(project.name)] == [version_id]


@pytest.mark.parametrize("fault", [Fault(page=True), Fault(body=b"{}"), Fault(body=b'{"data": []}')])
def test_a_tag_that_is_not_there_was_not_moved(phoenix: Phoenix, fault: Fault) -> None:
    with (
        PhoenixProxy(phoenix.base_url, [fault]) as proxy,
        pytest.raises(PublishError, match=r"is not Phoenix|does not show it on version v1"),
    ):
        hub(phoenix, base_url=proxy.base_url).set_label("desk", "v1", "production")


def test_refusals_of_the_server_are_errors_of_publishing(phoenix: Phoenix) -> None:
    with pytest.raises(PublishError, match=r"refused a request \(status 4"):
        hub(phoenix).set_label("any", "no-such-version", "production")
    page = Fault(path="/v1/prompts", page=True)
    with PhoenixProxy(phoenix.base_url, [page]) as proxy, pytest.raises(PublishError, match="is not Phoenix"):
        hub(phoenix, base_url=proxy.base_url).versions("any")
