"""The demo's configuration: valid, and of one piece with the traffic and the simulated models."""

from importlib import resources

import yaml

from sia_dagster.cli import demo_command
from sia_dagster.core.config.loop import CodeConfig, LLMClassifyConfig, ProjectConfig
from sia_dagster.core.config.trace_source import LocalTracesConfig
from sia_dagster.demo import checks
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.server import MODELS
from sia_dagster.demo.traffic import FIRST_WEEK


def configuration() -> ProjectConfig:
    text = resources.files("sia_dagster.demo").joinpath("sia.yaml").read_text(encoding="utf-8")
    return ProjectConfig.model_validate(yaml.safe_load(text))


def test_configuration_is_valid_and_fits_the_traffic() -> None:
    config = configuration()
    (loop,) = config.loops
    assert (loop.name, loop.window, loop.promotion) == ("message_desk", "weekly", "auto")
    assert loop.start == FIRST_WEEK.date()
    assert config.llm.api_key is None
    port = next(option.default for option in demo_command.command.params if option.name == "port")
    assert config.llm.base_url == f"http://127.0.0.1:{port}/v1"
    assert loop.traces == LocalTracesConfig(
        source="local", path=f"{config.storage}/demo/traces/", where="name = 'ChatCompletion'"
    )
    assert loop.sample_limit >= 110


def test_configuration_names_simulated_models_and_prices_them() -> None:
    config = configuration()
    (loop,) = config.loops
    judges = [evaluator.model for evaluator in loop.evaluators if isinstance(evaluator, LLMClassifyConfig)]
    assert {*judges, loop.policy.model, BASE_POLICY.model} == set(MODELS) == set(config.llm.prices)
    assert all("simulated" in name for name in MODELS)
    (code,) = (evaluator for evaluator in loop.evaluators if isinstance(evaluator, CodeConfig))
    assert code.function == f"{checks.__name__}:{checks.is_brief.__name__}"
