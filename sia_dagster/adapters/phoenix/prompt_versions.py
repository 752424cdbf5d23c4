"""A policy as a prompt version of Phoenix: the same text, whatever braces it holds."""

import re
from typing import TYPE_CHECKING, Any, Literal

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.value import JsonObject

if TYPE_CHECKING:
    from phoenix.client.types.prompts import PromptVersion

TemplateFormat = Literal["NONE", "MUSTACHE", "F_STRING"]
_FORMATS: tuple[TemplateFormat, ...] = ("NONE", "MUSTACHE", "F_STRING")
_MODEL_ONLY: JsonObject = {"model": "any", "messages": []}


def prompt_version(actions: Actions, message: str) -> "PromptVersion":
    """The policy as Phoenix's client would fill it in: exactly as `Actions.messages` does.

    Variables are written as the first of Phoenix's template formats writes them that leaves all other braces alone.
    What Phoenix cannot hold of parameters and tools is named below the message. Raises ValueError where no format
    gives the policy's text.
    """
    from phoenix.client.types.prompts import PromptVersion

    held, lost = _settings(actions)
    said = f"{message}\nNot held by Phoenix: {', '.join(lost)}." if lost else message
    for template_format in _FORMATS:
        request: Any = {"model": actions.model, "messages": _messages(actions, template_format), **held}
        version = PromptVersion.from_openai(request, template_format=template_format, description=said)
        if _fills_alike(version, actions):
            return version
    raise ValueError(
        f"Phoenix's templates take variables named with letters, digits and _ only, not {sorted(actions.variables)}"
    )


def _messages(actions: Actions, template_format: TemplateFormat) -> list[JsonObject]:
    """The policy's chat with each variable as that format writes it, and braces of the text kept from it."""
    opening, closing, escape = _MARKS[template_format]
    # Marks that no text holds stand for the variables while braces are escaped.
    marks = {name: f"\0{place}\0" for place, name in enumerate(actions.variables)}
    messages = actions.messages(marks)
    for message in messages:
        text = str(message["content"])
        if escape:
            text = text.replace("{", "{{").replace("}", "}}")
        for name, mark in marks.items():
            text = text.replace(mark, f"{opening}{name}{closing}")
        message["content"] = text
    return messages


_MARKS: dict[TemplateFormat, tuple[str, str, bool]] = {
    "NONE": ("{", "}", False),
    "MUSTACHE": ("{{", "}}", False),
    "F_STRING": ("{", "}", True),
}
"""How a variable begins and ends, and whether the text's own braces are doubled."""


def _fills_alike(version: "PromptVersion", actions: Actions) -> bool:
    """Whether Phoenix's client fills the version in as an application fills in the policy.

    Tried with values that hold placeholders themselves: its Mustache fills one variable in after the other, and so
    would fill in what a user wrote.
    """
    placeholders = " ".join(f"{{{name}}} {{{{{name}}}}}" for name in actions.variables)
    values = {name: f"<{place}> {placeholders}" for place, name in enumerate(actions.variables)}
    try:
        filled = version.format(variables=values, sdk="openai").messages
    except (ValueError, KeyError, IndexError, AttributeError, _template_error()):
        return False
    return list(filled) == actions.messages(values)


def _template_error() -> type[Exception]:
    from phoenix.client.utils.template_formatters import TemplateFormatterError

    return TemplateFormatterError


def _settings(actions: Actions) -> tuple[JsonObject, list[str]]:
    """The parameters and tools that Phoenix gives back as they are, and the names of those that it does not."""
    held: JsonObject = {}
    lost: list[str] = []
    # The tools come first: what is said of their use comes back only beside them.
    tools: JsonObject = {"tools": list(actions.tools)} if actions.tools else {}
    for name, value in (tools | dict(sorted(actions.parameters.items()))).items():
        if _comes_back(held | {name: value}):
            held[name] = value
        else:
            lost.append(name)
    return held, lost


def _comes_back(settings: JsonObject) -> bool:
    """Whether Phoenix's client gives these settings back from a prompt version made of them."""
    from phoenix.client.types.prompts import PromptVersion

    request: Any = _MODEL_ONLY | settings
    try:
        given = dict(PromptVersion.from_openai(request).format(sdk="openai").kwargs)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        # RuntimeError: forms that the client says it does not implement, such as the format `json_object`.
        return False
    return all(_as_list(name, given.get(name)) == _as_list(name, value) for name, value in settings.items())


def _as_list(name: str, value: Any) -> Any:
    """`stop` may be one text or a list of them, which means the same."""
    return [value] if name == "stop" and isinstance(value, str) else value


NAME = re.compile(r"[a-z0-9]([_a-z0-9-]*[a-z0-9])?")
"""What Phoenix accepts as the name of a prompt or a tag."""


def suggestion(name: str) -> str:
    """The nearest name that Phoenix accepts; `policy` where nothing of it can stay."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("_-") or "policy"
