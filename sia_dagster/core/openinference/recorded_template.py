"""A prompt template as traces record it, in the one form that a policy has: `{name}` or `{{name}}` filled with text."""

import re
import string
from collections.abc import Collection, Iterable, Iterator, Mapping

from sia_dagster.core.records.policy import Actions

_UNESCAPED = re.compile(r"\{\{\{\s*([^{}\s]+)\s*\}\}\}|\{\{&\s*([^{}\s]+)\s*\}\}")
"""Mustache's two ways to write a variable that is not escaped as HTML."""


def placeholders(template: str, names: Iterable[str]) -> tuple[str, ...]:
    """Which of `names` stand in the template as `{name}` or `{{name}}`, sorted."""
    standing = []
    for name in filter(None, names):
        empty = Actions(system_prompt=template, variables=(name,))
        if empty.render({name: ""}) != template:
            standing.append(name)
    return tuple(sorted(standing))


def trusted_text(template: object, variables: Mapping[str, str], prompt: str) -> str | None:
    """`template` in a policy's form, only where filling it in with `variables` gives `prompt` exactly; else None.

    Instrumentation may stamp one template on every call of a block, so what does not refill is not believed. Read
    are the policy's own form, Python's format strings (`{{` and `}}` are braces there), Mustache and Jinja, each with
    plain variables alone: a template with sections, filters, formats or expressions does not refill.
    """
    if not isinstance(template, str) or not template:
        return None
    return next((text for text in _readings(template, variables) if _refills(text, variables, prompt)), None)


def _refills(text: str, variables: Mapping[str, str], prompt: str) -> bool:
    policy = Actions(system_prompt=text, variables=placeholders(text, variables))
    return policy.render(variables) == prompt


def _readings(template: str, variables: Collection[str]) -> Iterator[str]:
    yield template
    if (formatted := _from_format_string(template, variables)) is not None:
        yield formatted
    yield _UNESCAPED.sub(lambda match: "{{" + (match[1] or match[2]) + "}}", template)
    yield template.removesuffix("\n")  # Jinja drops one line feed at the end


def _from_format_string(template: str, variables: Collection[str]) -> str | None:
    """A format string without its escapes; None where it is none, or does more than to insert variables."""
    text = ""
    try:
        for literal, name, form, conversion in string.Formatter().parse(template):
            text += literal
            if name is None:
                continue
            if name not in variables or form or conversion:
                return None
            # After a brace of the text, only the doubled form is read as a variable.
            text += f"{{{{{name}}}}}" if text.endswith("{") else f"{{{name}}}"
    except ValueError:
        return None
    return text
