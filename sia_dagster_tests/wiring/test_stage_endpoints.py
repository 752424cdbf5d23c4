"""Judge, application model and updater at endpoints of their own: one budget, and keys that go nowhere else."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.engine.calls.routes import Routes
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import ConfigError, SpendCapReached
from sia_dagster.wiring.endpoint import open_chat
from sia_dagster.wiring.loop_session import ChatSettings
from sia_dagster_tests.worlds.chats import Desk, Waits, ask
from simulation.loops import WEEKS
from simulation.servers import Body, ScriptedServer, completion


def echo(body: Body, _: int) -> Body:
    return completion(str(body["messages"][-1]["content"]))


def desk(folder: Path, main: ScriptedServer, judge: ScriptedServer, **config: Any) -> Desk:
    """A desk whose judge is at a server of its own."""
    own = {"base_url": judge.base_url, "api_key": "JUDGE_KEY"}
    found = Desk(main.base_url, folder, stages={"judge": own}, **config)
    found.key = {"": "main-key", "judge": "judge-key"}  # type: ignore[assignment]  # as the wiring gives them
    return found


def test_each_stage_calls_its_own_endpoint_with_its_own_key(tmp_path: Path) -> None:
    with ScriptedServer(echo) as main, ScriptedServer(echo) as judge:
        desk(tmp_path, main, judge).ask(
            ask("1"), ask("2", stage="replay"), ask("3", stage="update"), ask("4", stage="")
        )
        assert [body["messages"][-1]["content"] for body in judge.requests] == ["1"]
        assert sorted(body["messages"][-1]["content"] for body in main.requests) == ["2", "3", "4"]
        assert {headers["authorization"] for headers in judge.headers} == {"Bearer judge-key"}
        assert {headers["authorization"] for headers in main.headers} == {"Bearer main-key"}


def test_the_same_request_to_another_endpoint_is_another_answer(tmp_path: Path) -> None:
    with ScriptedServer(echo) as main, ScriptedServer(echo) as judge:
        desk(tmp_path, main, judge).ask(ask("1"), ask("1", stage="replay"))
        assert (len(main.requests), len(judge.requests)) == (1, 1)


def test_one_cap_holds_over_all_endpoints(tmp_path: Path) -> None:
    with ScriptedServer(echo) as main, ScriptedServer(echo) as judge:
        found = desk(tmp_path, main, judge, budget_tokens=40)
        outcomes = found.ask(*(ask(str(n), stage=("judge", "replay")[n % 2]) for n in range(6)), workers=1)
        assert len(main.requests) + len(judge.requests) == 2
    assert [type(outcome) for outcome in outcomes[2:]] == [SpendCapReached] * 4


def test_a_stage_has_its_own_prices(tmp_path: Path) -> None:
    with ScriptedServer(echo) as main, ScriptedServer(echo) as judge:
        own = {"base_url": judge.base_url, "prices": {"m": {"input": 2e6, "output": 0}}}
        found = Desk(main.base_url, tmp_path, stages={"judge": own}, prices={"m": {"input": 1e6, "output": 0}})
        judged, replayed = found.ask(ask("1", model="m"), ask("1", model="m", stage="replay"))
    assert (getattr(judged, "cost_usd", None), getattr(replayed, "cost_usd", None)) == (20.0, 10.0)


def test_stages_without_settings_of_their_own_share_a_route(tmp_path: Path) -> None:
    config = LLMConfig.model_validate({"stages": {"judge": {"max_concurrency": 4}, "update": {}}})
    routes = Routes(config, api_key="k", limits=tmp_path / "limits", endpoint=None, sleep=Waits())
    assert routes.of("update") is routes.of("replay") is routes.of("")
    assert routes.of("judge").concurrency.limit == 4
    assert config.workers == 32


@pytest.mark.parametrize("own", [{"base_url": "example.com/v1"}, {"base_url": "https://user@example.com"}])
def test_an_address_that_is_none_names_the_stage(tmp_path: Path, own: dict[str, Any]) -> None:
    config = LLMConfig.model_validate({"stages": {"judge": own}})
    with pytest.raises(ConfigError, match=r"^llm\.stages\.judge\.base_url: ") as refused:
        Routes(config, api_key="k", limits=tmp_path / "limits", endpoint=None, sleep=Waits())
    assert refused.value.key == "llm.stages.judge.base_url"
    with pytest.raises(ConfigError, match=r"^llm\.base_url: "):
        Routes(LLMConfig(base_url="x"), api_key="k", limits=tmp_path / "limits", endpoint=None, sleep=Waits())


async def _asked(settings: ChatSettings) -> None:
    async with open_chat(settings, "desk", WEEKS[0]) as chat:
        for stage in ("judge", "replay", "update"):
            await chat.complete(ask(stage, stage=stage))


def test_a_key_that_a_script_gives_goes_to_the_address_it_was_given_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPDATE_KEY", "update-key")
    with ScriptedServer(echo) as main, ScriptedServer(echo) as judge:
        stages = {"judge": {"base_url": judge.base_url}, "update": {"api_key": "UPDATE_KEY"}}
        llm = LLMConfig.model_validate({"base_url": main.base_url, "stages": stages})
        settings = ChatSettings.model_validate({"llm": llm, "completions": tmp_path / "c.sqlite", "key": "given-key"})
        asyncio.run(_asked(settings))
        assert "authorization" not in judge.headers[0]
        assert [headers["authorization"] for headers in main.headers] == ["Bearer given-key", "Bearer update-key"]


def test_a_variable_of_a_stage_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    llm = LLMConfig.model_validate({"stages": {"judge": {"api_key": "JUDGE_KEY"}}})
    with pytest.raises(ConfigError, match=r"llm\.stages\.judge\.api_key: .*JUDGE_KEY is not set"):
        asyncio.run(_asked(ChatSettings(llm=llm, completions=tmp_path / "c.sqlite")))
