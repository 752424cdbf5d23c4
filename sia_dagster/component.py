"""`SelfImprovingLoop`: one loop as a Dagster component, for `defs.yaml`."""

import re
from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from sia_dagster.adapters.config.faults import faults
from sia_dagster.adapters.config.file import ConfigFile
from sia_dagster.adapters.config.keys import dotted, is_public
from sia_dagster.adapters.config.references import check_references
from sia_dagster.core.config.loop import ProjectConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.defs.loop_definitions import build_loop


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
    watch: dict[str, Any] = Field(default_factory=dict, description="How the judges are watched: anchors, tolerance.")
    window: str = Field(default="weekly", description="hourly, daily, weekly or monthly.")
    timezone: str = Field(default="UTC", description="IANA time zone of the windows.")
    sample_limit: int = Field(default=200, description="Calls a window that are evaluated and replayed.")
    write_back: bool = Field(default=False, description="Whether evaluations go back to the trace store.")
    promotion: str = Field(default="manual", description="manual or auto.")
    publish: list[str] = Field(default_factory=lambda: ["file"], description="Where a promoted policy goes.")
    prompt_name: str | None = Field(default=None, description="The prompt's name there; by default the loop's.")
    notify: dict[str, Any] = Field(default_factory=dict, description="Who hears of failures and approvals.")
    llm: dict[str, Any] = Field(default_factory=dict, description="The endpoint; see `llm` of sia.yaml.")
    storage: str = Field(default=".sia", description="Folder or fsspec URL of assets, policies and reports.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The loop's definitions; relative paths start at the folder of `defs.yaml`.

        Raises ConfigError that names the attribute and the mend, also for a function or template that is not there.
        """
        project = self._config()
        try:
            check_references(ConfigFile(config=project, folder=context.path))
        except ConfigError as error:
            raise ConfigError(str(error).removeprefix(_ENTRY), key="") from error
        return build_loop(project.loops[0], llm=project.llm, storage=project.storage, folder=context.path)

    def _config(self) -> ProjectConfig:
        entry = self.model_dump(exclude={"llm", "storage"})
        entry["notify"] = _with_variable(entry["notify"], "webhook", key="notify.webhook")
        entry["traces"] = _with_variable(entry["traces"], "api_key", key="traces.api_key")
        llm = _with_variable(self.llm, "api_key", key="llm.api_key")
        if isinstance(stages := llm.get("stages"), dict):
            llm["stages"] = {name: _stage(name, section) for name, section in stages.items()}
        if not is_public(("llm", "completions"), llm.get("completions")):
            llm = _with_variable(llm, "completions", key="llm.completions")
        try:
            return ProjectConfig.model_validate({"storage": self.storage, "llm": llm, "loops": [entry]})
        except ValidationError as error:
            first, *others = [(dotted(key).removeprefix(_ENTRY), sentence) for key, sentence in faults(error)]
            rest = f"; more to mend: {', '.join(key for key, _ in others)}" if others else ""
            # Without the cause: pydantic's own text holds values that came from the environment.
            raise ConfigError(first[1] + rest, key=first[0]) from None


_ENTRY = "loops.0."


def _stage(name: str, section: Any) -> Any:
    """One of `llm.stages` with the variable's name of its key; what is no section is left to the check of all."""
    key = f"llm.stages.{name}.api_key"
    return _with_variable(section, "api_key", key=key) if isinstance(section, dict) else section


def _with_variable(section: Mapping[str, Any], name: str, *, key: str) -> dict[str, Any]:
    """`section` with the variable's name for what is written `${NAME}`. Raises ConfigError, without the value."""
    value = section.get(name)
    if value is None:
        return dict(section)
    match = re.fullmatch(r"\$\{([A-Za-z_]\w*)\}", str(value).strip(), re.ASCII)
    if match is None:
        raise ConfigError(
            "must be exactly ${NAME} of an environment variable, also where Dagster could fill it in: a secret in the "
            "definitions is shown in the UI",
            key=key,
        )
    return {**section, name: match[1]}
