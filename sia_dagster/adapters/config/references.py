"""Checks what the configuration refers to: the functions and template files of its evaluators."""

import sys
from pathlib import Path

from sia_dagster.adapters.config.file import ConfigFile
from sia_dagster.core.config.loop import CodeConfig, EvaluatorConfig, LLMClassifyConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.evaluators import build_evaluator, resolve_template

_REFERENCE = {"llm_classify": "template", "code": "function", "platform": "name"}


def read_template(value: str, folder: Path) -> str:
    """A judge's template: a built-in judge's, a file in `folder`, or the text itself. Raises ConfigError."""
    return resolve_template(value, lambda name: (folder / Path(name).expanduser()).read_text(encoding="utf-8"))


def importable_from(folder: Path) -> None:
    """Make modules in `folder` importable, as if Python had been started there."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def check_references(loaded: ConfigFile) -> None:
    """Import each evaluator's function and parse each template, so that a run cannot fail on them later.

    Makes modules in the configuration's folder importable. Raises ConfigError with key and line for the first failure.
    """
    importable_from(loaded.folder)
    for position, loop in enumerate(loaded.config.loops):
        for number, evaluator in enumerate(loop.evaluators):
            try:
                _check(evaluator, loaded.folder)
            except ConfigError as error:
                key = f"loops.{position}.evaluators.{number}.{error.key or _REFERENCE[evaluator.kind]}"
                raise loaded.error(str(error).removeprefix(f"{error.key}: "), key) from error


def _check(evaluator: EvaluatorConfig, folder: Path) -> None:
    if isinstance(evaluator, CodeConfig):
        build_evaluator(evaluator, chat=None, template=None, primary=False)
    if isinstance(evaluator, LLMClassifyConfig):
        build_evaluator(evaluator, chat=None, template=read_template(evaluator.template, folder), primary=False)
