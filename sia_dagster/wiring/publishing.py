"""The policy in force on the platforms that `publish` names: after a promotion, a rollback, or when asked."""

from collections.abc import Sequence

from sia_dagster.adapters.publications import PublicationLog
from sia_dagster.adapters.storage import StoragePath
from sia_dagster.core.config import LoopConfig
from sia_dagster.core.errors import PublishError
from sia_dagster.core.models import Value
from sia_dagster.core.ports import PolicyStore, PromptHub
from sia_dagster.core.publication import publish
from sia_dagster.core.results import PolicyVersion, Publication
from sia_dagster.wiring.stores import prompt_hubs


class Published(Value):
    """What became of one target of `publish`."""

    target: str
    publication: Publication | None = None
    fault: str | None = None
    """Why nothing was published there, and what to do."""

    @property
    def told(self) -> str:
        """One sentence that names the target."""
        return f"{self.target}: {self.publication.reason if self.publication else self.fault}"


def publish_in_force(
    loop: LoopConfig, policies: PolicyStore, storage: StoragePath, *, force: bool = False
) -> tuple[Published, ...]:
    """Bring every platform of `publish` to the policy in force; one that fails does not keep the others from it.

    Repeated with nothing changed it changes nothing. `force` takes a label or a prompt over that belongs to somebody
    else. No policy promoted yet, nothing published. Raises ConfigError for a key that is not set, PolicyError.
    """
    entry = policies.in_force()
    if entry is None:
        return ()
    log = PublicationLog(storage, loop.name)
    return tuple(_published(target, hub, entry, log, loop.prompt, force) for target, hub in prompt_hubs(loop))


def _published(
    target: str, hub: PromptHub, entry: PolicyVersion, log: PublicationLog, prompt: str, force: bool
) -> Published:
    try:
        publication = publish(entry, target=target, hub=hub, last=log.last(target), prompt=prompt, force=force)
        log.record(publication)
    except PublishError as error:
        return Published(target=target, fault=str(error))
    return Published(target=target, publication=publication)


def faults_of(published: Sequence[Published]) -> list[str]:
    """What did not work, a sentence each."""
    return [each.told for each in published if each.fault]
