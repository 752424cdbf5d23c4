"""Endpoints that refuse: learnt once from the error, remembered by model, and never at the cost of the answer's key."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.engine.calls.routes import Routes
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import CallFailed, ConfigError, EndpointRefused
from sia_dagster.core.evaluators.judge.llm_judge import LLMClassify
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.worlds.chats import KEY, Desk, Waits, ask
from sia_dagster_tests.worlds.evaluation_samples import classified, sample, spec
from simulation.servers import Answer, Body, Reply, ScriptedServer, completion, refusal

VERSION = "2024-10-21"


def refusing(*names: str, text: str = "Yes.") -> Answer:
    """An endpoint that takes none of these parameters, and says so as OpenAI does."""

    def answer(body: Body, _: int) -> Reply | Body:
        for name in names:
            if name in body:
                return Reply(400, {"error": {"message": f"Unsupported parameter: '{name}'.", "param": name}})
        return completion(text)

    return answer


def test_a_refused_setting_is_left_out_and_the_reply_says_so(tmp_path: Path) -> None:
    with ScriptedServer(refusing("temperature")) as server:
        desk = Desk(server.base_url, tmp_path)
        reply = desk.one(ask(parameters={"temperature": 0}))
        assert [("temperature" in body) for body in server.requests] == [True, False]
    assert (reply.text, reply.attempts, reply.left_out) == ("Yes.", 1, ("temperature",))
    assert desk.spend["judge gpt-4o-mini"].left_out == ("temperature",)
    assert desk.waits == []


def test_it_is_refused_once_for_all_rows_of_the_model(tmp_path: Path) -> None:
    with ScriptedServer(refusing("temperature", "seed", "max_tokens")) as server:
        asked = [ask(str(n), parameters={"temperature": 0, "seed": 1, "max_tokens": 9}) for n in range(5)]
        assert all(not isinstance(reply, Exception) for reply in Desk(server.base_url, tmp_path).ask(*asked, workers=1))
        assert len(server.requests) == 3 + 5
        assert server.requests[-1]["max_completion_tokens"] == 9


def test_requests_under_way_are_repeated_without_the_parameter_too(tmp_path: Path) -> None:
    with ScriptedServer(refusing("temperature")) as server:
        asked = [ask(str(n), parameters={"temperature": 0}) for n in range(8)]
        replies = Desk(server.base_url, tmp_path).ask(*asked)
    assert [getattr(reply, "text", reply) for reply in replies] == ["Yes."] * 8


def test_a_later_run_does_not_ask_to_be_refused_again(tmp_path: Path) -> None:
    with ScriptedServer(refusing("temperature")) as server:
        Desk(server.base_url, tmp_path).one(ask("1", parameters={"temperature": 0}))
        server.requests.clear()
        Desk(server.base_url, tmp_path).one(ask("2", parameters={"temperature": 0}))
        assert ["temperature" in body for body in server.requests] == [False]


def test_another_model_of_the_endpoint_is_asked_as_it_stands(tmp_path: Path) -> None:
    with ScriptedServer(refusing("temperature")) as server:
        desk = Desk(server.base_url, tmp_path)
        desk.one(ask("1", parameters={"temperature": 0}))
        server.answer = lambda body, n: completion("Yes.")
        desk.one(ask("2", parameters={"temperature": 0}, model="other"))
        assert server.requests[-1]["temperature"] == 0


def test_the_answer_is_stored_under_what_was_asked_for(tmp_path: Path) -> None:
    """So a run on an endpoint that meanwhile takes the parameter is answered from the store."""
    asked = ask(parameters={"temperature": 0})
    with ScriptedServer(refusing("temperature")) as server:
        Desk(server.base_url, tmp_path).one(asked)
        for left in tmp_path.glob("*.refusals"):
            left.unlink()
        paid = len(server.requests)
        again = Desk(server.base_url, tmp_path).one(asked)
        assert len(server.requests) == paid
    assert (again.cached, again.left_out) == (True, ("temperature",))


def test_a_way_of_answering_that_is_refused_costs_no_request_in_later_runs(tmp_path: Path) -> None:
    def no_schema(body: Body, _: int) -> Reply | Body:
        if body.get("response_format", {}).get("type") == "json_schema":
            return refusal(400, "'response_format' of type 'json_schema' is not supported with this model.")
        arguments = classified("correct")
        call = {"id": "1", "name": "classification", "arguments": arguments}
        return completion(None, tool_calls=[call], finish_reason="tool_calls")

    with ScriptedServer(no_schema) as server:
        for output, requests in (("first", 2), ("second", 1), ("second", 0)):
            server.requests.clear()
            (metrics,) = Desk(server.base_url, tmp_path).run(partial(_judged, output))
            assert (metrics.score, metrics.error, len(server.requests)) == (1.0, None, requests)


async def _judged(text: str, chat: Any) -> list[Any]:
    return [await LLMClassify(spec(), chat).score(sample(text), "logged/0")]


def test_a_row_that_is_at_fault_itself_teaches_nothing(tmp_path: Path) -> None:
    def answer(body: Body, _: int) -> Reply | Body:
        if body["temperature"] > 2:
            return refusal(400, "Invalid 'temperature': expected a value <= 2.")
        return completion("Yes.")

    with ScriptedServer(answer) as server:
        hot, cold = Desk(server.base_url, tmp_path).ask(
            ask("1", parameters={"temperature": 3}), ask("2", parameters={"temperature": 0}), workers=1
        )
        assert [body["temperature"] for body in server.requests] == [3, 0]
    assert isinstance(hot, CallFailed)
    assert not isinstance(cold, Exception)


CHAT = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "bad row: I quote not supported words"})


@pytest.mark.parametrize(
    ("status", "message", "times"),
    [
        # Refused however it is changed.
        (400, "Unable to parse messages[1]: 'Your app says: system messages are not supported on my phone'", 9),
        (400, "Invalid content in messages[1]: 'My thermostat says: temperature not supported'", 9),
        (422, "System role not supported", 9),
        (400, "Unsupported parameter: 'temperature'", 9),
        (400, "Unsupported parameters: 'temperature', 'seed'", 9),
        # Answered when it is sent again.
        (400, "messages[1]: the model did not support 'My thermostat says: no temperature'", 1),
        (400, "temperature: bad row: I quote not supported words", 1),
        (500, "System role not supported", 1),
    ],
)
def test_one_rows_fault_changes_no_other_request(status: int, message: str, times: int, tmp_path: Path) -> None:
    """Nothing is learnt where the changed request is refused too, nor from a 5xx, nor from what a user wrote."""
    refusals = iter([{"error": {"message": message, "type": "invalid_request_error", "code": status}}] * times)

    def answer(body: Body, _: int) -> Reply | Body:
        refusal = next(refusals, None) if "bad row" in str(body["messages"]) else None
        return Reply(status, refusal) if refusal else completion("ok")

    settings = {"temperature": 0.7, "seed": 7}
    with ScriptedServer(answer) as server:
        Desk(server.base_url, tmp_path, max_attempts=1).ask(ask(messages=CHAT, parameters=settings))
        good = (CHAT[0], {"role": "user", "content": "good row"})
        Desk(server.base_url, tmp_path).one(ask(messages=good, parameters=settings))
        sent = server.requests[-1]
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert {name: sent.get(name) for name in settings} == settings


@pytest.mark.parametrize(("status", "calls"), [(400, 1), (413, 1), (422, 1), (500, 2)])
@pytest.mark.parametrize(
    "wrote",
    [
        "It says my account is suspended because of past invoices, is that so?",
        'They wrote: {"error": {"code": "insufficient_quota", "message": "You are out of credits"}} Why?',
        "incorrect api key",
        "Le modèle demandé: model 'x' not found\nérror",
    ],
)
def test_what_a_user_wrote_stops_no_run_where_an_error_repeats_it(
    status: int, calls: int, wrote: str, tmp_path: Path
) -> None:
    body = {"error": {"message": f"Cannot process {json.dumps(wrote)[1:-1]} as input", "type": "invalid_request_error"}}
    with ScriptedServer(lambda *_: Reply(status, body)) as server:
        (outcome,) = Desk(server.base_url, tmp_path, max_attempts=2).ask(ask(wrote))
        assert (type(outcome), len(server.requests)) == (CallFailed, calls), str(outcome)


def test_a_refused_meaning_is_the_rows_error_after_one_request(tmp_path: Path) -> None:
    with ScriptedServer(refusing("stop", "max_tokens", "max_completion_tokens")) as server:
        desk = Desk(server.base_url, tmp_path)
        (stop,) = desk.ask(ask("1", parameters={"stop": ["."]}))
        assert (len(server.requests), isinstance(stop, CallFailed)) == (1, True)
        (limited,) = desk.ask(ask("2", parameters={"max_tokens": 5}))
        assert "Unsupported parameter: 'max_tokens'" in str(limited)
        assert len(server.requests) == 1 + 3


def test_azure_is_asked_at_its_deployment_with_its_own_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "somebody-elses")
    with ScriptedServer(lambda body, n: completion("Yes.")) as server:
        desk = Desk(server.azure_url, tmp_path, provider="azure", api_version=VERSION)
        assert desk.one(ask(model="my-deployment")).text == "Yes."
        (headers,), (address,) = server.headers, server.addresses
    assert address == f"/openai/deployments/my-deployment/chat/completions?api-version={VERSION}"
    assert headers["api-key"] == KEY
    assert "authorization" not in headers


def test_a_deployment_that_is_not_there_stops_the_stage(tmp_path: Path) -> None:
    missing = refusal(404, "The API deployment for this resource does not exist.", code="DeploymentNotFound")
    with ScriptedServer(lambda body, n: missing) as server:
        (error,) = Desk(server.azure_url, tmp_path, provider="azure", api_version=VERSION).ask(ask(model="gone"))
    assert isinstance(error, EndpointRefused)
    assert "there is no model 'gone'" in str(error)


def test_azure_without_a_key_is_refused_before_any_call(tmp_path: Path) -> None:
    config = LLMConfig(provider="azure", base_url="https://desk.example.com", api_version=VERSION)
    with pytest.raises(ConfigError, match=r"llm\.api_key: Azure OpenAI needs a key"):
        Routes(config, api_key=None, limits=tmp_path / "limits", endpoint=None, sleep=Waits())


def test_a_model_is_called_stored_priced_and_counted_under_the_endpoints_name_of_it(tmp_path: Path) -> None:
    names = {"prod-chat": "house-model", "gpt-4o-2024-08-06": "house-model"}
    prices = {"house-model": {"input": 1000.0, "output": 2000.0}}
    with ScriptedServer(lambda body, n: completion("Yes.")) as server:
        desk = Desk(server.base_url, tmp_path, model_names=names, prices=prices)
        reply = desk.one(ask(model="prod-chat"))
        assert desk.one(ask(model="gpt-4o-2024-08-06")).cached
        assert list(desk.spend) == ["judge house-model"]
        desk.one(ask(model="another"))
        assert [body["model"] for body in server.requests] == ["house-model", "another"]
        assert Desk(server.base_url, tmp_path).one(ask(model="house-model")).cached
    assert reply.cost_usd == pytest.approx(0.02)


def test_an_unknown_model_is_refused_with_the_key_that_maps_names(tmp_path: Path) -> None:
    missing = refusal(404, "The model `gpt-4o-2024-08-06` does not exist", code="model_not_found")
    with ScriptedServer(lambda body, n: missing) as server, pytest.raises(EndpointRefused, match=r"llm\.model_names"):
        Desk(server.base_url, tmp_path).one(ask(model="gpt-4o-2024-08-06"))


@pytest.mark.parametrize("charset", ["hex", "rot13", "undefined", "idna", "utf-16", "none", "latin-1", "utf-8"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_reply_is_read_as_utf_8_whatever_its_header_says(charset: str, status: int, tmp_path: Path) -> None:
    body = completion("Größe") if status == 200 else {"error": {"message": "Größe"}}
    reply = Reply(status, json.dumps(body, ensure_ascii=False).encode(), {"content-type": f"a/json; charset={charset}"})
    with ScriptedServer(lambda *_: reply) as server:
        (outcome,) = Desk(server.base_url, tmp_path, max_attempts=1).ask(ask())
    assert "Größe" in getattr(outcome, "text", str(outcome))
    assert isinstance(outcome, ChatReply if status == 200 else CallFailed)
