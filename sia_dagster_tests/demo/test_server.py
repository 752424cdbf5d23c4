"""The simulated provider over the wire, asked by the real client."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import openai
import pytest

from sia_dagster.core.errors import SiaError
from sia_dagster.core.prompting.quoting import quote
from sia_dagster.demo.application import BASE_POLICY, answer
from sia_dagster.demo.server import HOST, SimulatedProvider
from sia_dagster.demo.simulation_rules import APPLICATION, ELEMENTS, JUDGE, OPTIMIZER


@pytest.fixture(scope="module")
def provider() -> Iterator[SimulatedProvider]:
    with SimulatedProvider(also_serves=["gpt-of-the-traces"]) as running:
        yield running


@pytest.fixture(scope="module")
def client(provider: SimulatedProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=provider.base_url, api_key="any", max_retries=0) as connected:
        yield connected


def ask_application(client: openai.OpenAI, text: str, model: str = APPLICATION) -> openai.types.chat.ChatCompletion:
    return client.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": BASE_POLICY.system_prompt}, {"role": "user", "content": text}],
        temperature=0.3,
    )


def test_application_answers_as_the_function_does(client: openai.OpenAI) -> None:
    messages = [{"role": "system", "content": BASE_POLICY.system_prompt}, {"role": "user", "content": "order 48213?"}]
    reply = ask_application(client, "order 48213?")
    assert reply.choices[0].message.content == answer(messages)
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == APPLICATION
    assert reply.system_fingerprint == "simulated"


def test_same_request_gets_the_same_bytes(provider: SimulatedProvider) -> None:
    body = {"model": APPLICATION, "messages": [{"role": "user", "content": "order 48213 is late"}]}
    assert post(provider, json.dumps(body)) == post(provider, json.dumps(body))


def test_usage_grows_with_the_text(client: openai.OpenAI) -> None:
    short, long = ask_application(client, "late").usage, ask_application(client, "my parcel is late " * 20).usage
    assert short
    assert long
    assert 0 < short.prompt_tokens < long.prompt_tokens
    assert long.total_tokens == long.prompt_tokens + long.completion_tokens


def test_judge_answers_by_the_schema(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=JUDGE,
        messages=[{"role": "user", "content": f"{quote('order 48213?', 'input')}\n{quote('Soon.', 'output')}"}],
        response_format={
            "type": "json_schema",
            "json_schema": {
                "name": "classification",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {
                        "explanation": {"type": "string"},
                        "label": {"type": "string", "enum": ["correct", "incorrect"]},
                    },
                },
            },
        },
    )
    fields = json.loads(reply.choices[0].message.content or "")
    assert fields == {"explanation": " ".join(element.missing for element in ELEMENTS), "label": "incorrect"}


def test_forced_tool_is_called(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=OPTIMIZER,
        messages=[{"role": "user", "content": quote("Be kind.", "policy")}],
        tools=[{"type": "function", "function": {"name": "propose", "parameters": {"type": "object"}}}],
        tool_choice={"type": "function", "function": {"name": "propose"}},
    )
    (choice,) = reply.choices
    (call,) = choice.message.tool_calls or []
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert call.type == "function"
    assert call.function.name == "propose"
    assert json.loads(call.function.arguments)["edits"]


def test_unknown_model_is_refused_as_elsewhere(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist") as caught:
        ask_application(client, "hi", model="gpt-unknown")
    assert caught.value.code == "model_not_found"


def test_model_of_recorded_traces_is_answered_by_the_application(client: openai.OpenAI) -> None:
    named, own = ask_application(client, "late", model="gpt-of-the-traces"), ask_application(client, "late")
    assert named.choices == own.choices
    assert named.system_fingerprint == "simulated"


def test_models_are_listed(client: openai.OpenAI) -> None:
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert listed == dict.fromkeys((APPLICATION, JUDGE, OPTIMIZER, "gpt-of-the-traces"), "simulated")


def test_streaming_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="do not stream"):
        client.chat.completions.create(model=APPLICATION, messages=[{"role": "user", "content": "hi"}], stream=True)


@pytest.mark.parametrize("body", ["{", "[]", "{}", '{"model": "simulated-judge", "messages": "hi"}'])
def test_malformed_body_is_refused(provider: SimulatedProvider, body: str) -> None:
    status, content = post(provider, body)
    assert status == 400
    assert "messages" in json.loads(content)["error"]["message"]


def post(provider: SimulatedProvider, body: str) -> tuple[int, bytes]:
    port = int(provider.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
    connection = http.client.HTTPConnection(HOST, port)
    try:
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_answers_are_counted_by_model() -> None:
    with SimulatedProvider() as counted, openai.OpenAI(base_url=counted.base_url, api_key="any") as client:
        for text in ("a", "b"):
            ask_application(client, text)
        with pytest.raises(openai.NotFoundError):
            ask_application(client, "c", model="gpt-unknown")
        assert counted.calls == {APPLICATION: 2}


def test_leaving_the_block_stops_listening() -> None:
    with SimulatedProvider() as provider:
        url = provider.base_url
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client, pytest.raises(openai.APIConnectionError):
        ask_application(client, "hi")


def test_taken_port_is_said() -> None:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        port = holder.getsockname()[1]
        with (
            pytest.raises(SiaError, match=rf"cannot listen on 127\.0\.0\.1:{port}.*another port"),
            SimulatedProvider(port),
        ):
            pass


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_process_serves_until_it_is_interrupted(interrupt: signal.Signals) -> None:
    with socket.socket() as finder:
        finder.bind((HOST, 0))
        port = finder.getsockname()[1]
    code = (
        "from contextlib import suppress; from sia_dagster.demo.server import SimulatedProvider\n"
        f"with SimulatedProvider({port}) as provider, suppress(KeyboardInterrupt): provider.wait()"
    )
    url = f"http://{HOST}:{port}/v1"
    with (
        subprocess.Popen([sys.executable, "-c", code]) as process,
        openai.OpenAI(base_url=url, api_key="any", max_retries=10) as client,
    ):
        try:
            assert ask_application(client, "hi").model == APPLICATION
            process.send_signal(interrupt)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


def test_given_port_is_taken_and_waited_on() -> None:
    with socket.socket() as finder:
        finder.bind((HOST, 0))
        port = finder.getsockname()[1]
    with SimulatedProvider(port) as provider:
        assert provider.base_url == f"http://127.0.0.1:{port}/v1"
        waiting = threading.Thread(target=provider.wait, daemon=True)
        waiting.start()
        assert waiting.is_alive()
    waiting.join()
    assert not waiting.is_alive()
