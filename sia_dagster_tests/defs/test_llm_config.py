"""`llm`: providers, and what each stage takes from it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.defs.resources import ModelEndpoint


def llm(**fields: Any) -> LLMConfig:
    return LLMConfig.model_validate(fields)


BASE: dict[str, Any] = {
    "base_url": "https://llm.example.com/v1",
    "api_key": "MAIN_KEY",
    "requests_per_minute": 600,
    "timeout_seconds": 9,
    "prices": {"a": {"input": 1, "output": 2}},
}
AZURE = {"provider": "azure", "base_url": "https://desk.example.com", "api_version": "2024-10-21"}


def test_a_stage_takes_from_llm_what_it_does_not_say() -> None:
    config = llm(**BASE, stages={"judge": {"max_concurrency": 64, "prices": {"b": {"input": 3, "output": 4}}}})
    judge = config.at("judge")
    assert (judge.base_url, judge.api_key, judge.requests_per_minute) == (config.base_url, "MAIN_KEY", 600)
    assert judge.prices == {"a": Price(input=1, output=2), "b": Price(input=3, output=4)}
    assert judge.stages == {}
    assert config.at("replay") == config.at("") == config.model_copy(update={"stages": {}})
    assert config.workers == 64


def test_an_address_of_its_own_takes_neither_key_nor_rate_limits() -> None:
    """A key goes only to the address beside which it stands."""
    own = {"base_url": "http://127.0.0.1:8000/v1", "max_attempts": 2}
    judge = llm(**{**BASE, **AZURE}, stages={"judge": own}).at("judge")
    assert (judge.provider, judge.api_version, judge.api_key, judge.requests_per_minute) == ("openai", None, None, None)
    assert (judge.timeout_seconds, judge.max_attempts) == (9, 2)


def test_stages_may_be_at_azure_while_others_are_not() -> None:
    found = llm(stages={"replay": {**AZURE, "api_key": "AZURE_KEY"}})
    assert (found.at("replay").provider, found.at("judge").provider) == ("azure", "openai")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stages": {"judging": {}}}, "there is no stage 'judging'; write one of judge, replay, update"),
        ({**AZURE, "api_version": None}, "api_version: Azure OpenAI needs one"),
        ({**AZURE, "base_url": "https://api.openai.com/v1"}, "base_url: write the resource's address"),
        ({"api_version": "2024-10-21"}, "api_version: only `provider: azure` takes one"),
        ({"stages": {"judge": {**AZURE, "api_version": None}}}, "stages.judge.api_version: Azure OpenAI needs one"),
        ({"stages": {"judge": {"provider": "azure", "api_version": "1"}}}, "stages.judge.base_url: write"),
    ],
)
def test_what_does_not_fit_is_said(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        llm(**fields)
    assert message in str(refused.value)


def test_a_resource_gives_back_every_setting(tmp_path: Path) -> None:
    config = llm(**{**BASE, **AZURE}, stages={"judge": {"base_url": "http://127.0.0.1/v1", "api_key": "JUDGE_KEY"}})
    resource = ModelEndpoint.of(config, tmp_path / "completions.sqlite")
    assert resource.settings().llm == config
