"""The policy in force on the platforms that `publish` names: after a promotion, a rollback, or when asked."""

from collections.abc import Sequence

from sia_dagster.adapters.publications import PublicationLog
from sia_dagster.adapters.storage import StoragePath
from sia_dagster.core.config import LoopConfig
from sia_dagster.core.errors import ConfigError, PublishError
from sia_dagster.core.models import Value
from sia_dagster.core.ports import PolicyStore
from sia_dagster.core.publication import publish
from sia_dagster.core.results import PolicyVersion, Publication
from sia_dagster.wiring.stores import prompt_hub


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
    else. No policy promoted yet, nothing published. A key that is not set is a fault as well: the registry stands.
    Raises PolicyError.
    """
    entry = policies.in_force()
    if entry is None:
        return ()
    log = PublicationLog(storage, loop.name)
    published = (_published(loop, target, entry, log, force) for target in loop.publish)
    return tuple(each for each in published if each)


def _published(
    loop: LoopConfig, target: str, entry: PolicyVersion, log: PublicationLog, force: bool
) -> Published | None:
    """None for a target that holds no prompts."""
    try:
        hub = prompt_hub(target, loop.traces)
        if hub is None:
            return None
        publication = publish(entry, target=target, hub=hub, last=log.last(target), prompt=loop.prompt, force=force)
        log.record(publication)
    except (ConfigError, PublishError) as error:
        return Published(target=target, fault=str(error))
    return Published(target=target, publication=publication)


def faults_of(published: Sequence[Published]) -> list[str]:
    """What did not work, a sentence each."""
    return [each.told for each in published if each.fault]
