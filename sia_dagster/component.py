"""`SelfImprovingLoop`: one loop as a Dagster component, for `defs.yaml`."""

import re
from typing import Any

import dagster as dg
from pydantic import BaseModel, PrivateAttr, ValidationError

from sia_dagster.adapters.config.faults import faults
from sia_dagster.adapters.config.file import ConfigFile
from sia_dagster.adapters.config.keys import Key, dotted, is_public, is_secret
from sia_dagster.adapters.config.references import check_references
from sia_dagster.core.config.loop import LoopConfig, ProjectConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.defs.loop_definitions import build_loop
from sia_dagster.defs.section_fields import with_fields_of


@with_fields_of(ProjectConfig, "llm", "storage")
@with_fields_of(LoopConfig)
class SelfImprovingLoop(dg.Component, dg.Model, dg.Resolvable):
    """Improves one prompt of an LLM application from its production traces.

    The attributes are those of one entry of `loops` in `sia.yaml`, and the sections `llm` and `storage`.
    """

    _source: Any = PrivateAttr(default=None)
    """Dagster's tree of source positions in `defs.yaml`; None for a component that was made in Python."""

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> "SelfImprovingLoop":
        """The component for the attributes of `defs.yaml`."""
        component: SelfImprovingLoop = super().resolve_from_model(context, model)
        component._source = context.source_position_tree
        return component

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The loop's definitions; relative paths start at the folder of `defs.yaml`.

        Raises ConfigError that names the attribute and what to change, also for a missing function or template.
        """
        project = self._config()
        try:
            check_references(ConfigFile(config=project, folder=context.path))
        except ConfigError as error:
            raise self._error(str(error).removeprefix(f"{error.key}: "), error.key) from error
        return build_loop(project.loops[0], llm=project.llm, storage=project.storage, folder=context.path)

    def _config(self) -> ProjectConfig:
        loop = self.model_dump()
        project = {"llm": loop.pop("llm"), "storage": loop.pop("storage"), "loops": [loop]}
        try:
            return ProjectConfig.model_validate(self._with_variables(project, ()))
        except ValidationError as error:
            (key, sentence), *others = faults(error)
            rest = f"; other errors: {', '.join(_attribute(dotted(other)) for other, _ in others)}" if others else ""
            # Without the cause: pydantic's own text holds values that came from the environment.
            raise self._error(sentence + rest, dotted(key)) from None

    def _with_variables(self, value: Any, key: Key) -> Any:
        """`value` with the variable's name for every secret `${NAME}`. Raises ConfigError, without the value."""
        if isinstance(value, dict):
            return {name: self._with_variables(inner, (*key, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._with_variables(inner, (*key, position)) for position, inner in enumerate(value)]
        if value is None or not is_secret(key) or is_public(key, value):
            return value
        match = re.fullmatch(r"\$\{([A-Za-z_]\w*)\}", str(value).strip(), re.ASCII)
        if match is None:
            raise self._error(
                "must be exactly ${NAME} of an environment variable, also where Dagster could fill it in: a secret in "
                "the definitions is shown in the UI",
                dotted(key),
            )
        return match[1]

    def _error(self, message: str, key: str) -> ConfigError:
        """An error about a key of the project, with its line in `defs.yaml`, or the line of the section around it."""
        attribute = _attribute(key)
        if self._source is None:
            return ConfigError(message, key=attribute)
        path = ["attributes", *(int(part) if part.isdigit() else part for part in attribute.split("."))]
        position, _ = self._source.lookup_closest_and_path(path, None)
        return ConfigError(message, key=attribute, line=position.start.line, file=position.filename)


def _attribute(key: str) -> str:
    """What a key of the project is called among the component's attributes."""
    return key.removeprefix("loops.0.")
