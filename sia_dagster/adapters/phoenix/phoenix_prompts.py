"""Publishes policies as prompts with tags in Phoenix: the same text, whatever braces it holds."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection, PhoenixServer, Wait, open_server
from sia_dagster.core.errors import PublishError
from sia_dagster.core.ports.prompt_hub import HubVersion
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.value import JsonObject

if TYPE_CHECKING:
    from phoenix.client import Client
    from phoenix.client.types.prompts import PromptVersion

_PAGE = 100
TemplateFormat = Literal["NONE", "MUSTACHE", "F_STRING"]
_FORMATS: tuple[TemplateFormat, ...] = ("NONE", "MUSTACHE", "F_STRING")
_MODEL_ONLY: JsonObject = {"model": "any", "messages": []}


class PhoenixPrompts:
    """Implements PromptHub: messages are descriptions of versions, labels are tags."""

    def __init__(self, connection: PhoenixConnection, *, wait: Wait | None = None) -> None:
        """`wait` waits between attempts; by default the thread sleeps."""
        self._connection, self._wait = connection, wait

    def versions(self, prompt: str) -> Sequence[HubVersion]:
        """All versions, oldest first, each with its present tags. Raises PublishError."""
        _check_name(prompt, "prompt")
        with open_server(self._connection, error=PublishError, wait=self._wait) as server:
            newest_first = [_hub_version(server, version) for version in _listed(server, prompt)]
        return tuple(reversed(newest_first))

    def create(self, prompt: str, actions: Actions, message: str) -> str:
        """Store a version, and the prompt with its first. Raises PublishError.

        Parameters and tools that Phoenix cannot hold are named in the description. A request whose reply was lost is
        not repeated, since that would make two versions: `versions` shows whether it arrived.
        """
        _check_name(prompt, "prompt")
        with open_server(self._connection, error=PublishError, wait=self._wait) as server:
            try:
                version = prompt_version(actions, message)
            except ValueError as error:
                raise PublishError(f"the policy cannot be stored as the Phoenix prompt {prompt!r}: {error}") from error
            stored = server.ask(lambda client: client.prompts.create(name=prompt, version=version), repeatable=False)
        return str(stored.id)

    def set_label(self, prompt: str, version_id: str, label: str) -> None:
        """Move the tag to that version: a prompt has a tag on one version at a time. Raises PublishError."""
        _check_name(label, "tag")
        with open_server(self._connection, error=PublishError, wait=self._wait) as server:
            server.ask(lambda client: client.prompts.tags.create(prompt_version_id=version_id, name=label))
            # The reply is empty, so that any other server seems to have set the tag as well.
            if label not in _labels(server, version_id):
                raise PublishError(
                    f"Phoenix accepted the tag {label!r} of the prompt {prompt!r} but does not show it on version "
                    f"{version_id}; publish again, and look at the prompt in Phoenix if this happens again"
                )


def _listed(server: PhoenixServer, prompt: str) -> Iterator[dict[str, Any]]:
    """All versions as the server lists them, newest first; empty for an unknown prompt."""
    more: dict[str, str] = {}
    while True:
        versions, cursor = server.page(f"v1/prompts/{prompt}/versions", limit=_PAGE, **more)
        yield from versions
        if cursor is None:
            return
        more = {"cursor": cursor}


def _hub_version(server: PhoenixServer, version: dict[str, Any]) -> HubVersion:
    version_id = server.ask(lambda _: str(version["id"]))
    return HubVersion(id=version_id, message=version.get("description") or "", labels=_labels(server, version_id))


def _labels(server: PhoenixServer, version_id: str) -> tuple[str, ...]:
    def question(client: "Client") -> tuple[str, ...]:
        return tuple(sorted(str(tag["name"]) for tag in client.prompts.tags.list(prompt_version_id=version_id)))

    return server.ask(question)


def _check_name(name: str, what: str) -> None:
    """Raises PublishError that suggests a name which Phoenix accepts."""
    if not NAME.fullmatch(name):
        raise PublishError(
            f"Phoenix does not accept {name!r} as the name of a {what}: small letters, digits, - and _ with a letter "
            f"or digit at both ends; call it {suggestion(name)!r}"
        )


def prompt_version(actions: Actions, message: str) -> "PromptVersion":
    """A prompt version that Phoenix's client fills in exactly as `Actions.messages` does.

    It has the first of Phoenix's template formats that leaves all other braces alone. Parameters and tools that Phoenix
    cannot hold are named below the message. Raises ValueError if no format gives the policy's text.
    """
    from phoenix.client.types.prompts import PromptVersion

    held, lost = _settings(actions)
    description = f"{message}\nNot held by Phoenix: {', '.join(lost)}." if lost else message
    for template_format in _FORMATS:
        request: Any = {"model": actions.model, "messages": _messages(actions, template_format), **held}
        version = PromptVersion.from_openai(request, template_format=template_format, description=description)
        if _fills_alike(version, actions):
            return version
    raise ValueError(
        f"Phoenix's templates take variables named with letters, digits and _ only, not {sorted(actions.variables)}"
    )


def _messages(actions: Actions, template_format: TemplateFormat) -> list[JsonObject]:
    """The policy's chat, with variables as the format writes them and the text's own braces escaped."""
    opening, closing, escape = _MARKS[template_format]
    # While braces are escaped, variables are replaced by marks that no text holds.
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
"""How a variable begins and ends, and whether the text's own braces must be doubled."""


def _fills_alike(version: "PromptVersion", actions: Actions) -> bool:
    """Whether Phoenix's client fills the version in as an application fills in the policy.

    The trial values hold placeholders: its Mustache fills in one variable after the other, and so would replace
    placeholders in a user's text.
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
    """The parameters and tools that Phoenix gives back unchanged, and the names of the others."""
    held: JsonObject = {}
    lost: list[str] = []
    # The tools come first: their choice comes back only together with them.
    tools: JsonObject = {"tools": list(actions.tools)} if actions.tools else {}
    for name, value in (tools | dict(sorted(actions.parameters.items()))).items():
        if _comes_back(held | {name: value}):
            held[name] = value
        else:
            lost.append(name)
    return held, lost


def _comes_back(settings: JsonObject) -> bool:
    """Whether Phoenix's client gives these settings back from a prompt version with them."""
    from phoenix.client.types.prompts import PromptVersion

    request: Any = _MODEL_ONLY | settings
    try:
        given = dict(PromptVersion.from_openai(request).format(sdk="openai").kwargs)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        # RuntimeError: forms that the client does not implement, such as the format `json_object`.
        return False
    return all(_as_list(name, given.get(name)) == _as_list(name, value) for name, value in settings.items())


def _as_list(name: str, value: Any) -> Any:
    """The value in a comparable form: `stop` may be one text or a list of them, with the same meaning."""
    return [value] if name == "stop" and isinstance(value, str) else value


NAME = re.compile(r"[a-z0-9]([_a-z0-9-]*[a-z0-9])?")
"""Names of prompts and tags that Phoenix accepts."""


def suggestion(name: str) -> str:
    """The nearest name that Phoenix accepts; `policy` if nothing of it can be kept."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("_-") or "policy"
