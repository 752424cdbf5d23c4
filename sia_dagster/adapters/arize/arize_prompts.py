"""Arize's Prompt Hub as the place where a promoted policy is published."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from sia_dagster.adapters.arize.arize_client import ArizeConnection, open_client
from sia_dagster.adapters.arize.patience import Wait, wait_for_real
from sia_dagster.adapters.arize.prompt_form import chat_template, invocation, provider_of, with_left_out
from sia_dagster.adapters.arize.rest_calls import PAGE, RestCalls, id_of
from sia_dagster.core.ports.prompt_hub import HubVersion
from sia_dagster.core.records.policy import Actions


class ArizePromptHub:
    """Plays `core.ports.PromptHub` over the connection's space.

    Lists are read page by page; a prompt's name is compared exactly, while the platform's own filter finds parts of
    names. An answer that was lost is looked for before anything is made again.
    """

    def __init__(self, connection: ArizeConnection, *, wait: Wait = wait_for_real) -> None:
        """Nothing is contacted yet; `wait` waits between attempts. Raises ConfigError as `open_client`."""
        client = open_client(connection)
        # Taken here, since they are imported when they are first asked for, which is no part of a call's time.
        self._spaces, self._prompts = client.spaces, client.prompts
        self._calls = RestCalls(connection, wait=wait)

    def versions(self, prompt: str) -> tuple[HubVersion, ...]:
        """All versions, oldest first; none where there is no such prompt. Raises PublishError."""
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
        cannot hold faithfully, PublishConflict where somebody made a prompt of this name meanwhile.
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
        """Move `label` to that version; its other labels stay. Raises PublishError."""
        what = f"the label {label!r} of the prompt {prompt!r}"
        # The call replaces all labels of the version, so those that it has are sent along.
        version = self._calls.repeat(what, lambda: self._prompts.get_version(version_id=version_id))
        labels = [name for name in version.labels or () if name != label]
        self._calls.repeat(what, lambda: self._prompts.set_labels(version_id=version_id, labels=[*labels, label]))

    @cached_property
    def _space(self) -> str:
        return self._calls.space(self._spaces)

    def _find(self, prompt: str) -> str | None:
        """The id of the prompt of exactly this name."""
        space = self._space  # Looked up here: a call must not make calls, or it would have their time limits too.
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
        """The version that an attempt whose answer was lost has made: no other has its mark."""
        return next((v.id for v in self.versions(prompt) if v.message.split() == message.split()), None)


def _messages(messages: Any) -> list[Any]:
    from arize.prompts.types import LLMMessageRequest

    return [LLMMessageRequest(role=message.role, content=message.content) for message in messages]
