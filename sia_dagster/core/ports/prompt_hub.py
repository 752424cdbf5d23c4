"""The port of a platform that holds prompts."""

from collections.abc import Sequence
from typing import Protocol

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.value import Value


class HubVersion(Value):
    """One version of a prompt as a platform knows it."""

    id: str
    message: str = ""
    """Commit message or description."""
    labels: tuple[str, ...] = ()
    """Its present labels or tags."""


class PromptHub(Protocol):
    """A platform's registry of prompts."""

    def versions(self, prompt: str) -> Sequence[HubVersion]:
        """All versions, oldest first; empty if there is no such prompt. Raises PublishError."""

    def create(self, prompt: str, actions: Actions, message: str) -> str:
        """Store a version and return its id. Raises PublishError for a policy that the platform cannot hold."""

    def set_label(self, prompt: str, version_id: str, label: str) -> None:
        """Move `label` to that version. Raises PublishError."""
