"""`SelfImprovingLoop`: one loop as a Dagster component, for `defs.yaml`."""

from typing import Any

import dagster as dg
from pydantic import Field

from sia_dagster.core.config import LLMConfig, LoopConfig, ProjectConfig
from sia_dagster.defs.loop import build_loop


class SelfImprovingLoop(dg.Component, dg.Model, dg.Resolvable):
    """Improves one prompt of an LLM application from its production traces.

    The attributes are those of one entry of `loops` in `sia.yaml`, and the sections `llm` and `storage`.
    """

    name: str = Field(description="Key prefix, group and job name of the loop.")
    traces: dict[str, Any] = Field(description="Where the traces are: source, path, where.")
    start: str = Field(description="First day of the first window; weekly windows begin on its weekday.")
    evaluators: list[dict[str, Any]] = Field(description="Evaluators: name, kind and what the kind needs.")
    policy: dict[str, Any] = Field(description="How a better policy is searched: updater, model, limits.")
    validation: dict[str, Any] = Field(description="How a candidate is compared: primary, alpha, min_effect.")
    window: str = Field(default="weekly", description="hourly, daily, weekly or monthly.")
    timezone: str = Field(default="UTC", description="IANA time zone of the windows.")
    sample_limit: int = Field(default=200, description="Calls a window that are evaluated and replayed.")
    write_back: bool = Field(default=False, description="Whether evaluations go back to the trace store.")
    promotion: str = Field(default="manual", description="manual or auto.")
    publish: list[str] = Field(default_factory=lambda: ["file"], description="Where a promoted policy goes.")
    notify: dict[str, Any] = Field(default_factory=dict, description="Who hears of failures and approvals.")
    llm: dict[str, Any] = Field(default_factory=dict, description="The endpoint; see `llm` of sia.yaml.")
    storage: str = Field(default=".sia", description="Folder or fsspec URL of assets, policies and reports.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The loop's definitions. Raises ConfigError's facts as a validation error of the component."""
        entry = self.model_dump(exclude={"llm", "storage"})
        project = ProjectConfig(
            storage=self.storage, llm=LLMConfig.model_validate(self.llm), loops=(LoopConfig.model_validate(entry),)
        )
        return build_loop(project.loops[0], llm=project.llm, storage=project.storage, folder=context.path)
