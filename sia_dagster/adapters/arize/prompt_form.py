"""A policy in the form of Arize's Prompt Hub: messages under a template format, parameters, provider.

The hub fills `F_STRING` as Python's `str.format` does (`{name}`, literal braces doubled) and `MUSTACHE` by `{{name}}`,
where single braces are text.
"""

import itertools
import json
import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from sia_dagster.core.errors import PublishError
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.value import JsonObject, Value

Format = Literal["F_STRING", "MUSTACHE"]
Role = Literal["SYSTEM", "USER", "ASSISTANT"]
_NAME: Final = re.compile(r"[^\W\d][\w-]*")
"""Variable names that both formats look up as they stand: a dot, a bracket or a colon means something in one."""
_PROVIDERS: Final[tuple[tuple[str, str], ...]] = (
    (
        r"(us|eu|apac|global)\.(anthropic|amazon|meta|mistral)\.|(anthropic|amazon|meta|mistral|cohere|ai21)\.",
        "AWS_BEDROCK",
    ),
    (r"(openai/)?(gpt-|chatgpt-|o\d)", "OPEN_AI"),
    (r"(anthropic/)?claude", "ANTHROPIC"),
    (r"(google/|vertex_ai/)?gemini", "VERTEX_AI"),
)
_SHOWN: Final = 10
"""At most this many parameters are named, each cut to `_LONGEST_NAME` characters: their names come from traces."""
_LONGEST_NAME: Final = 40


class TemplateMessage(Value):
    """One message as the hub stores it."""

    role: Role
    content: str


class ChatTemplate(Value):
    """A policy's messages under one format."""

    format: Format
    messages: tuple[TemplateMessage, ...]


class _Variable(Value):
    name: str


_Segments = tuple[str | _Variable, ...]


def chat_template(actions: Actions) -> ChatTemplate:
    """The policy's messages in the format under which the hub fills them as `Actions.messages` does.

    The system prompt (of system or developer messages: the hub knows no developer) is SYSTEM; each example is USER and
    ASSISTANT, its braces text. Where it can, the text stands as it is. Raises PublishError for a policy without any
    text and for variable names that a format would take apart.
    """
    parts: list[tuple[Role, _Segments]] = [("SYSTEM", _segments(actions))] if actions.system_prompt else []
    for example in actions.examples:
        parts += [("USER", (example.input,)), ("ASSISTANT", (example.output,))]
    if not parts:
        raise PublishError(
            "the policy has neither a system prompt nor examples, and Arize holds no prompt without text"
        )
    originals = [actions.system_prompt] * bool(actions.system_prompt)
    originals += [text for example in actions.examples for text in (example.input, example.output)]
    plain = [_f_string(segments) for _, segments in parts]
    if plain != originals and all(_is_plain_mustache(segments) for _, segments in parts):
        return _template("MUSTACHE", parts, [_mustache(segments) for _, segments in parts])
    return _template("F_STRING", parts, plain)


def provider_of(model: str) -> str:
    """The hub's name of the provider, by the model's name; `CUSTOM` where the name does not tell."""
    return next((name for pattern, name in _PROVIDERS if re.match(pattern, model.lower())), "CUSTOM")


def invocation(actions: Actions) -> tuple[Any, tuple[str, ...]]:
    """The parameters and tools as the client's `InvocationParamsRequest` (None without), and names of what it lacks.

    The client drops unknown keys and refuses wrong types; here both are left out by name. A parameter that is None is
    not set.
    """
    from arize.prompts.types import InvocationParamsRequest

    held, left_out = dict[str, Any](), list[str]()
    for name, value in _hub_parameters(actions).items():
        try:
            held[name] = getattr(InvocationParamsRequest.from_dict({name: value}), name)
        except (ValueError, TypeError, AttributeError):
            left_out.append(_SOURCES.get(name, name))
    return InvocationParamsRequest(**held) if held else None, tuple(sorted(left_out))


def with_left_out(message: str, left_out: Sequence[str]) -> str:
    """The commit message with a line that names what the hub does not hold."""
    if not left_out:
        return message
    names = [json.dumps(name[:_LONGEST_NAME]) for name in left_out[:_SHOWN]]
    more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
    return f"{message}\n\nNot held by Arize, so set where the call is made: {', '.join(names)}{more}"


_SOURCES: Final = {"tool_config": "tools"}
"""What a key of the hub is called in a policy, where it differs."""


def _hub_parameters(actions: Actions) -> JsonObject:
    """The policy's parameters under the hub's keys and in its forms."""
    given = {name: value for name, value in actions.parameters.items() if value is not None}
    choice = given.pop("tool_choice", None)
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]]
    if isinstance(form := given.get("response_format"), dict) and isinstance(form.get("type"), str):
        given["response_format"] = {**form, "type": form["type"].upper()}
    if actions.tools or choice is not None:
        tools = {"tools": [dict(tool) for tool in actions.tools]} if actions.tools else {}
        given["tool_config"] = {**tools, **({} if choice is None else {"tool_choice": choice})}
    return given


def _segments(actions: Actions) -> _Segments:
    """The system prompt cut at its variables: by `render` itself, filled with tags that the prompt does not hold."""
    marks = (f"\0{salt}:" for salt in itertools.count())
    mark = next(m for m in marks if m not in actions.system_prompt)
    tagged = actions.render({name: f"{mark}{i}\0" for i, name in enumerate(actions.variables)})
    pieces = re.split(f"{re.escape(mark)}(\\d+)\0", tagged)
    found: list[str | _Variable] = []
    for number, piece in enumerate(pieces):
        found.append(_variable(actions.variables[int(piece)]) if number % 2 else piece)
    return tuple(found)


def _variable(name: str) -> _Variable:
    if not _NAME.fullmatch(name):
        raise PublishError(
            f"the policy's variable {name[:_LONGEST_NAME]!r} is no name that Arize's templates can look up; use "
            "letters, digits, underscores and hyphens, not beginning with a digit"
        )
    return _Variable(name=name)


def _f_string(segments: _Segments) -> str:
    return "".join(
        f"{{{s.name}}}" if isinstance(s, _Variable) else s.replace("{", "{{").replace("}", "}}") for s in segments
    )


def _mustache(segments: _Segments) -> str:
    return "".join(f"{{{{{s.name}}}}}" if isinstance(s, _Variable) else s for s in segments)


def _is_plain_mustache(segments: _Segments) -> bool:
    """Whether the only opening double braces are those of the variables, so that nothing else is a tag.

    Closing ones are text wherever no tag is open, as in nested JSON.
    """
    opened = len(re.findall(r"(?=\{\{)", _mustache(segments)))
    return opened == sum(isinstance(s, _Variable) for s in segments)


def _template(format_: Format, parts: Sequence[tuple[Role, _Segments]], contents: Sequence[str]) -> ChatTemplate:
    messages = (TemplateMessage(role=role, content=text) for (role, _), text in zip(parts, contents, strict=True))
    return ChatTemplate(format=format_, messages=tuple(messages))
