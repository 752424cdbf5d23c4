"""Policies as prompts with tags in Phoenix."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection, PhoenixServer, Wait, open_server
from sia_dagster.adapters.phoenix.prompt_versions import NAME, prompt_version, suggestion
from sia_dagster.core.errors import PublishError
from sia_dagster.core.ports.prompt_hub import HubVersion
from sia_dagster.core.records.policy import Actions

if TYPE_CHECKING:
    from phoenix.client import Client

_PAGE = 100


class PhoenixPrompts:
    """Plays PromptHub: messages are descriptions of versions, labels are tags."""

    def __init__(self, connection: PhoenixConnection, *, wait: Wait | None = None) -> None:
        """`wait` waits between attempts; in its place the thread sleeps."""
        self._connection, self._wait = connection, wait

    def versions(self, prompt: str) -> Sequence[HubVersion]:
        """All versions, oldest first, each with the tags that stand on it now. Raises PublishError."""
        _check_name(prompt, "prompt")
        with open_server(self._connection, error=PublishError, wait=self._wait) as server:
            newest_first = [_hub_version(server, version) for version in _listed(server, prompt)]
        return tuple(reversed(newest_first))

    def create(self, prompt: str, actions: Actions, message: str) -> str:
        """Store a version, and the prompt with its first. Raises PublishError.

        What Phoenix cannot hold of parameters and tools is named in the description. A request whose reply was lost
        is not repeated, since that would make two versions: `versions` tells whether it arrived.
        """
        _check_name(prompt, "prompt")
        with open_server(self._connection, error=PublishError, wait=self._wait) as server:
            try:
                version = prompt_version(actions, message)
            except ValueError as error:
                raise PublishError(f"the policy cannot become the Phoenix prompt {prompt!r}: {error}") from error
            stored = server.ask(lambda client: client.prompts.create(name=prompt, version=version), repeatable=False)
        return str(stored.id)

    def set_label(self, prompt: str, version_id: str, label: str) -> None:
        """Move the tag to that version: a tag stands on one version of a prompt at a time. Raises PublishError."""
        _check_name(label, "tag")
        with open_server(self._connection, error=PublishError, wait=self._wait) as server:
            server.ask(lambda client: client.prompts.tags.create(prompt_version_id=version_id, name=label))
            # The answer is empty, so that whatever is no Phoenix seems to give it as well.
            if label not in _labels(server, version_id):
                raise PublishError(
                    f"Phoenix took the tag {label!r} of the prompt {prompt!r} and does not show it on the version "
                    f"{version_id}; publish again, and look at the prompt there if it says so again"
                )


def _listed(server: PhoenixServer, prompt: str) -> Iterator[dict[str, Any]]:
    """All versions as the server lists them, newest first; none of an unknown prompt."""
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
    """Raises PublishError with a name that Phoenix accepts."""
    if not NAME.fullmatch(name):
        raise PublishError(
            f"Phoenix does not accept {name!r} as the name of a {what}: small letters, digits, - and _ with a letter "
            f"or digit at both ends; call it {suggestion(name)!r}"
        )
