"""A judge's template: parsed once, filled in with quoted trace text."""

import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from sia_dagster.core.errors import ConfigError, EvaluatorError
from sia_dagster.core.prompting import quote
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import storable

_TOKEN = re.compile(r"\{\{(?P<literal>[^{}]*)\}\}|\{(?P<name>[A-Za-z_][\w.-]*)\}")
_VARIABLE = re.compile(r"(?:attributes\.llm\.prompt_template\.)?variables\.(?P<name>[\w.-]+)")
_LABELS = {
    "attributes.input.value": "input",
    "attributes.output.value": "output",
    "attributes.llm.input_messages": "messages",
    "attributes.llm.output_messages": "output",
}
"""The field's names for what has a shorter name here: both are quoted under the short one."""


class Part(NamedTuple):
    """A part of a template: literal text, or the name of a placeholder."""

    text: str
    placeholder: bool


class JudgeTemplate(Value):
    """A parsed template. `{name}` is a placeholder, `{{text}}` is `{text}`, any other brace is itself."""

    parts: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders in order of first use."""
        return tuple(dict.fromkeys(part.text for part in self.parts if part.placeholder))

    def fill(self, texts: Mapping[str, str]) -> str:
        """The text with each placeholder's value quoted, on lines of its own.

        No value can end its quote or be filled in again. Equal texts give equal bytes. Raises KeyError for a name
        without a text.
        """
        filled = ""
        for part in self.parts:
            text = quote(storable(texts[part.text]), _label(part.text)) if part.placeholder else part.text
            filled += text if _joins(filled, text, part) else f"\n{text}"
        return filled


def _joins(before: str, text: str, part: Part) -> bool:
    """Whether `text` may follow without a line break: quotes stand on lines of their own."""
    at_boundary = not before or before.endswith("\n") or text.startswith("\n")
    return at_boundary or not (part.placeholder or before.endswith(">>>"))


def parse_template(text: str, known: Collection[str]) -> JudgeTemplate:
    """Parse `text`, whose placeholders may be the names `known`; a name that ends in `*` allows any ending.

    Raises ConfigError that names the unknown placeholder and those known.
    """
    parts: list[Part] = []
    end = 0
    for match in _TOKEN.finditer(text):
        parts.append(Part(text[end : match.start()], placeholder=False))
        name = match["name"]
        if name is None:
            parts.append(Part("{" + match["literal"] + "}", placeholder=False))
        else:
            _check_known(name, known)
            parts.append(Part(name, placeholder=True))
        end = match.end()
    parts.append(Part(text[end:], placeholder=False))
    return JudgeTemplate(parts=tuple(part for part in parts if part.text))


def parse_judge_template(text: str) -> JudgeTemplate:
    """A template over a sample. Raises ConfigError for an unknown placeholder, or without one for the output."""
    template = parse_template(text, SAMPLE_PLACEHOLDERS)
    if not any(_label(name) == "output" for name in template.names):
        raise ConfigError(
            "the template does not show the judge what to judge: write {output} (single braces) where the output "
            "is to stand"
        )
    return template


def sample_texts(sample: Sample, names: Collection[str]) -> dict[str, str]:
    """The text of `sample` for each of the placeholders `names`. Raises EvaluatorError for a missing variable."""
    return {name: _sample_text(sample, name) for name in names}


def _check_known(name: str, known: Collection[str]) -> None:
    if name in known or any(k.endswith("*") and len(name) >= len(k) and name.startswith(k[:-1]) for k in known):
        return
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {{{nearest[0]}}}?" if nearest else ""
    shown = ", ".join(f"{{{k}}}" for k in known)
    raise ConfigError(
        f"the template names {{{name}}}, which nothing fills in.{hint} Known are {shown}. Braces that are meant as "
        f"text are doubled: {{{{{name}}}}}"
    )


def _label(name: str) -> str:
    return _LABELS.get(name) or re.sub(r"\W", "_", name)


def _sample_text(sample: Sample, name: str) -> str:
    if name in _READERS:
        return _READERS[name](sample)
    variable = _VARIABLE.fullmatch(name)
    if variable is None or variable["name"] not in sample.variables:
        recorded = ", ".join(sample.variables) or "none"
        raise EvaluatorError(
            f"span {sample.span_id}: the template asks for {{{name}}}; the variables that the span recorded: {recorded}"
        )
    return sample.variables[variable["name"]]


def _line(message: Message) -> str:
    """`role: text`; of a message that calls tools, the calls as well."""
    calls = [f"[calls {call.name}({call.arguments})]" for call in message.tool_calls]
    return f"{message.role}: {' '.join([*filter(None, [message.content]), *calls])}"


def _history(sample: Sample) -> str:
    return "\n".join(_line(message) for message in sample.messages)


def _input_messages(sample: Sample) -> str:
    head = [Message(role="system", content=sample.system_prompt)] if sample.system_prompt else []
    return _json([message.to_openai() for message in (*head, *sample.messages)])


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False)


_READERS: Mapping[str, Callable[[Sample], str]] = {
    "input": lambda sample: sample.request,
    "output": lambda sample: sample.output,
    "system_prompt": lambda sample: sample.system_prompt,
    "messages": _history,
    "attributes.input.value": lambda sample: sample.request,
    "attributes.output.value": lambda sample: sample.output,
    "attributes.llm.input_messages": _input_messages,
    "attributes.llm.output_messages": lambda sample: _json([{"role": "assistant", "content": sample.output}]),
    "attributes.llm.model_name": lambda sample: sample.recorded_model,
    "attributes.llm.invocation_parameters": lambda sample: _json(sample.parameters),
    "attributes.llm.tools": lambda sample: _json(sample.tools),
    "attributes.llm.prompt_template.template": lambda sample: sample.template or sample.system_prompt,
    "attributes.llm.prompt_template.variables": lambda sample: _json(sample.variables),
}

SAMPLE_PLACEHOLDERS: tuple[str, ...] = (*_READERS, "variables.*", "attributes.llm.prompt_template.variables.*")
"""What a judge's template may name; `*` stands for the name of a template variable."""
