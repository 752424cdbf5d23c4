"""The demo loop's definitions: the real loop over a simulated provider that each run starts by itself."""

from functools import cache
from pathlib import Path

import dagster as dg
import yaml

from sia_dagster.core.config.loop import ProjectConfig
from sia_dagster.defs.loop_definitions import build_loop, loop_resources
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.resources import Clock, ModelEndpoint
from sia_dagster.wiring.loop_session import ChatSettings

ENDPOINT = "simulated provider"


@cache
def _provider_url() -> str:
    """The address of this process's simulated provider, started at the first call and gone with the process."""
    from sia_dagster.demo.server import SimulatedProvider

    return SimulatedProvider().__enter__().base_url


class SimulatedEndpoint(ModelEndpoint):
    """A *simulated* OpenAI-compatible endpoint on loopback, started by the run that needs it."""

    def settings(self) -> ChatSettings:
        """The settings with the address of the running provider."""
        settings = super().settings()
        return settings.model_copy(update={"llm": settings.llm.model_copy(update={"base_url": _provider_url()})})


def demo_config() -> ProjectConfig:
    """The configuration in `sia.yaml` of this folder."""
    text = Path(__file__).with_name("sia.yaml").read_text(encoding="utf-8")
    return ProjectConfig.model_validate(yaml.safe_load(text))


def demo_definitions(folder: Path | None = None) -> dg.Definitions:
    """The demo loop with its storage under `folder`, by default the working folder.

    Its clock decides each window at its end, so that the simulated weeks follow each other.
    """
    config = demo_config()
    loop = config.loops[0]
    own = loop_resources(LoopNames(loop, (folder or Path()).absolute()), llm=config.llm, storage=config.storage)
    model = SimulatedEndpoint(**{**dict(own["model"]), "endpoint": ENDPOINT})
    resources = {"model": model, "clock": Clock(at="window_end")}
    defs = build_loop(loop, llm=config.llm, storage=config.storage, folder=folder, resources=resources)
    return dg.Definitions.merge(defs, dg.Definitions(executor=dg.in_process_executor))
