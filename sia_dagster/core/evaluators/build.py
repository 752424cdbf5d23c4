"""Builds the evaluator that the configuration describes."""

import difflib
from collections.abc import Callable
from itertools import permutations

from sia_dagster.core.config.loop import CodeConfig, EvaluatorConfig, LLMClassifyConfig, PlatformConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.evaluators.code import CodeEvaluator, import_function
from sia_dagster.core.evaluators.judge import JudgeSpec, LLMClassify
from sia_dagster.core.evaluators.platform import PlatformEvaluator
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.prompting.prompts import BUILTIN_JUDGES, load_prompt


def build_evaluator(
    config: EvaluatorConfig, *, chat: ChatModel | None, template: str | None, primary: bool
) -> Evaluator:
    """The evaluator that `config` describes; without `chat` a judge has its constant alone and cannot score.

    `template` is the text of a judge's template, as `resolve_template` gives it, and None for other evaluators. Raises
    ConfigError for a template, rails or function that cannot be used.
    """
    if isinstance(config, CodeConfig):
        return CodeEvaluator(config, import_function(config.function), primary=primary)
    if isinstance(config, PlatformConfig):
        return PlatformEvaluator(config, primary=primary)
    _check_rails(config, config.template if template is None else template)
    spec = JudgeSpec.of(config, config.template if template is None else template)
    return LLMClassify(spec, chat, primary=primary)


def _check_rails(config: LLMClassifyConfig, template: str) -> None:
    """Raise ConfigError where a built-in judge's worse label has the higher score: the loop would learn to fail."""
    judge = config.template if config.template in BUILTIN_JUDGES else _judge_with(template)
    own = {label.strip().casefold(): score for label, score in config.rails.items()}
    meant = {label: score for label, score in BUILTIN_JUDGES.get(judge, {}).items() if label in own}
    for better, worse in permutations(meant, 2):
        if meant[better] > meant[worse] and own[better] < own[worse]:
            rails = ", ".join(f"{label}: {score:g}" for label, score in BUILTIN_JUDGES[judge].items())
            raise ConfigError(
                f"the built-in judge {judge!r} calls a good answer {better!r}, and {worse!r} has a higher score here, "
                f"so the loop would look for worse answers; a higher score is better: write rails: {{{rails}}}",
                key="rails",
            )


def _judge_with(template: str) -> str:
    """The built-in judge of which this is the text; empty for a template of one's own."""
    return next((name for name in BUILTIN_JUDGES if load_prompt(name).strip() == template.strip()), "")


def resolve_template(value: str, read_file: Callable[[str], str]) -> str:
    """The template's text: a built-in judge by name, the text itself, or a file.

    Text has a brace or several lines. `read_file` takes the name that the configuration gives and raises OSError for
    a file that it cannot read. Raises ConfigError for such a file.
    """
    if value in BUILTIN_JUDGES:
        return load_prompt(value)
    if "{" in value or "\n" in value.strip():
        return value
    try:
        return read_file(value.strip())
    except (OSError, UnicodeDecodeError) as error:
        near = difflib.get_close_matches(value, BUILTIN_JUDGES, n=1)
        hint = f" Did you mean the built-in judge {near[0]!r}?" if near else ""
        raise ConfigError(
            f"the template {value!r} is neither a built-in judge ({', '.join(BUILTIN_JUDGES)}) nor a file that can be "
            f"read: {error}.{hint} The text itself names {{output}}"
        ) from error
