"""Reads recorded prompt templates into the form of a policy: `{name}` or `{{name}}`, filled with text."""

import re
import string
from collections.abc import Collection, Iterable, Iterator, Mapping

from sia_dagster.core.records.policy import Actions

_UNESCAPED = re.compile(r"\{\{\{\s*([^{}\s]+)\s*\}\}\}|\{\{&\s*([^{}\s]+)\s*\}\}")
"""Mustache's two forms of a variable that is not escaped as HTML."""


def placeholders(template: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that the template holds as `{name}` or `{{name}}`, sorted."""

    def is_held(name: str) -> bool:
        return Actions(system_prompt=template, variables=(name,)).render({name: ""}) != template

    return tuple(sorted(name for name in names if name and is_held(name)))


def trusted_text(template: object, variables: Mapping[str, str], prompt: str) -> str | None:
    """`template` in a policy's form if filling it in with `variables` gives `prompt` exactly; else None.

    Instrumentation may put one template on every call of a block, so a template that does not refill is not trusted.
    Read are the policy's own form, Python's format strings (where `{{` and `}}` are braces), Mustache and Jinja, each
    with plain variables only: a template with sections, filters, formats or expressions does not refill.
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
    """A format string without its escapes; None if it is not one, or does more than insert variables."""
    text = ""
    try:
        for literal, name, form, conversion in string.Formatter().parse(template):
            text += literal
            if name is None:
                continue
            if name not in variables or form or conversion:
                return None
            # After a brace of the text, only double braces are read as a variable.
            text += f"{{{{{name}}}}}" if text.endswith("{") else f"{{{name}}}"
    except ValueError:
        return None
    return text
