"""Publishes policies to Arize's Prompt Hub, as messages under a template format, with parameters and provider.

The hub fills `F_STRING` as Python's `str.format` does (`{name}`, literal braces doubled) and `MUSTACHE` by `{{name}}`,
where single braces are text.
"""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, Literal

from sia_dagster.adapters.arize.arize_client import ArizeConnection, open_client
from sia_dagster.adapters.arize.flight_retries import Wait, wait_for_real
from sia_dagster.adapters.arize.rest_calls import PAGE, RestCalls, id_of
from sia_dagster.core.errors import PublishError
from sia_dagster.core.ports.prompt_hub import HubVersion
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.value import JsonObject, Value

Format = Literal["F_STRING", "MUSTACHE"]
Role = Literal["SYSTEM", "USER", "ASSISTANT"]
_NAME: Final = re.compile(r"[^\W\d][\w-]*")
"""Variable names that mean the same in both formats; a dot, a bracket or a colon has a meaning in one of them."""
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
"""The most parameters that a message names, each cut to `_LONGEST_NAME` characters: names come from traces."""
_LONGEST_NAME: Final = 40


class ArizePromptHub:
    """Implements `PromptHub` over the connection's space.

    Prompts are found by their exact name, while the platform's own filter also matches parts of names. After a lost
    reply, the hub is searched before anything is made again.
    """

    def __init__(self, connection: ArizeConnection, *, wait: Wait = wait_for_real) -> None:
        """Nothing is contacted yet; `wait` waits between attempts. Raises ConfigError as `open_client`."""
        client = open_client(connection)
        # Accessed here, since the first access imports them, which must not count as a call's time.
        self._spaces, self._prompts = client.spaces, client.prompts
        self._calls = RestCalls(connection, wait=wait)

    def versions(self, prompt: str) -> tuple[HubVersion, ...]:
        """All versions, oldest first; empty if there is no such prompt. Raises PublishError."""
        found = self._find(prompt)
        if found is None:
            return ()
        # Listed newest first, so that of one moment the later one comes last.
        listed = list(self._versions(prompt, found))[::-1]
        versions = sorted(listed, key=lambda v: v.created_at.timestamp() if v.created_at else 0)
        return tuple(
            HubVersion(id=v.id, message=v.commit_message or "", labels=tuple(v.labels or ())) for v in versions
        )

    def create(self, prompt: str, actions: Actions, message: str) -> str:
        """Store a version, and the prompt with its first one, and return the version's id.

        Parameters that the platform does not know are named in the message. Raises PublishError for a policy that it
        cannot hold faithfully, PublishConflict if somebody has made a prompt of this name meanwhile.
        """
        template = chat_template(actions)
        parameters, left_out = invocation(actions)
        content = {
            "commit_message": with_left_out(message, left_out),
            "input_variable_format": template.format,
            "provider": provider_of(actions.model),
            "messages": _messages(template.messages),
            "model": actions.model or None,
            "invocation_params": parameters,
        }
        prompt_id = self._find(prompt)
        return self._calls.create(
            f"a version of the prompt {prompt!r}",
            lambda: self._make(prompt, prompt_id, content),
            find=lambda: self._made(prompt, content["commit_message"]),
        )

    def set_label(self, prompt: str, version_id: str, label: str) -> None:
        """Move `label` to that version, which keeps its other labels. Raises PublishError."""
        what = f"the label {label!r} of the prompt {prompt!r}"
        # The call replaces all labels of the version, so its present ones are sent along.
        version = self._calls.repeat(what, lambda: self._prompts.get_version(version_id=version_id))
        labels = [name for name in version.labels or () if name != label]
        self._calls.repeat(what, lambda: self._prompts.set_labels(version_id=version_id, labels=[*labels, label]))

    @cached_property
    def _space(self) -> str:
        return self._calls.space(self._spaces)

    def _find(self, prompt: str) -> str | None:
        """The id of the prompt of exactly this name."""
        space = self._space  # Read here, outside the call: a call within a call would share its time limit.
        listed = self._calls.pages(
            f"the prompt {prompt!r}",
            "prompts",
            lambda cursor: self._prompts.list(name=prompt, space=space, limit=PAGE, cursor=cursor),
        )
        return next((found.id for found in listed if found.name == prompt), None)

    def _versions(self, prompt: str, prompt_id: str) -> Iterator[Any]:
        return self._calls.pages(
            f"the versions of the prompt {prompt!r}",
            "prompt_versions",
            lambda cursor: self._prompts.list_versions(prompt=prompt_id, limit=PAGE, cursor=cursor),
        )

    def _make(self, prompt: str, prompt_id: str | None, content: dict[str, Any]) -> str:
        if prompt_id is None:
            return id_of(self._prompts.create(space=self._space, name=prompt, **content).version)
        return id_of(self._prompts.create_version(prompt=prompt_id, **content))

    def _made(self, prompt: str, message: str) -> str | None:
        """The version that an attempt with a lost reply has made, by its unique message."""
        return next((v.id for v in self.versions(prompt) if v.message.split() == message.split()), None)


def _messages(messages: Any) -> list[Any]:
    from arize.prompts.types import LLMMessageRequest

    return [LLMMessageRequest(role=message.role, content=message.content) for message in messages]


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
    """The policy's messages in a format that the hub fills exactly as `Actions.messages` does.

    The system prompt is SYSTEM, also if it came from developer messages, which the hub does not know; each example is
    USER and ASSISTANT, with braces as text. The format is chosen so that the text can stay unchanged, if there is one.
    Raises PublishError for a policy without text and for variable names that a format would interpret.
    """
    parts: list[tuple[Role, _Segments]] = [("SYSTEM", _segments(actions))] if actions.system_prompt else []
    for example in actions.examples:
        parts += [("USER", (example.input,)), ("ASSISTANT", (example.output,))]
    if not parts:
        raise PublishError("the policy has neither system prompt nor examples; Arize stores no prompt without text")
    originals = [actions.system_prompt] * bool(actions.system_prompt)
    originals += [text for example in actions.examples for text in (example.input, example.output)]
    plain = [_f_string(segments) for _, segments in parts]
    if plain != originals and all(_is_plain_mustache(segments) for _, segments in parts):
        return _template("MUSTACHE", parts, [_mustache(segments) for _, segments in parts])
    return _template("F_STRING", parts, plain)


def provider_of(model: str) -> str:
    """The hub's name of the provider, by the model's name; `CUSTOM` for unknown names."""
    return next((name for pattern, name in _PROVIDERS if re.match(pattern, model.lower())), "CUSTOM")


def invocation(actions: Actions) -> tuple[Any, tuple[str, ...]]:
    """The parameters and tools as the client's `InvocationParamsRequest` (None without), and the names left out.

    The client drops unknown keys and refuses wrong types; here both are left out and named. A parameter that is None
    counts as not set.
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
    """The commit message with a line that names what the hub cannot hold."""
    if not left_out:
        return message
    names = [json.dumps(name[:_LONGEST_NAME]) for name in left_out[:_SHOWN]]
    more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
    return f"{message}\n\nNot held by Arize, so set where the call is made: {', '.join(names)}{more}"


_SOURCES: Final = {"tool_config": "tools"}
"""A policy's name for a key of the hub, where they differ."""


def _hub_parameters(actions: Actions) -> JsonObject:
    """The policy's parameters with the hub's keys and forms."""
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
    """The system prompt cut at its variables: `render` fills it with marks that the prompt does not hold."""
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
            f"Arize's templates cannot hold the policy's variable {name[:_LONGEST_NAME]!r}; name it with letters, "
            "digits, underscores and hyphens, not beginning with a digit"
        )
    return _Variable(name=name)


def _f_string(segments: _Segments) -> str:
    return "".join(
        f"{{{s.name}}}" if isinstance(s, _Variable) else s.replace("{", "{{").replace("}", "}}") for s in segments
    )


def _mustache(segments: _Segments) -> str:
    return "".join(f"{{{{{s.name}}}}}" if isinstance(s, _Variable) else s for s in segments)


def _is_plain_mustache(segments: _Segments) -> bool:
    """Whether only variables have opening double braces, so that nothing else is a tag.

    Closing braces are text wherever no tag is open, as in nested JSON.
    """
    opened = len(re.findall(r"(?=\{\{)", _mustache(segments)))
    return opened == sum(isinstance(s, _Variable) for s in segments)


def _template(format_: Format, parts: Sequence[tuple[Role, _Segments]], contents: Sequence[str]) -> ChatTemplate:
    messages = (TemplateMessage(role=role, content=text) for (role, _), text in zip(parts, contents, strict=True))
    return ChatTemplate(format=format_, messages=tuple(messages))
