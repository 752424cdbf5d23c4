"""Rollback: an earlier policy comes into force again."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sia_dagster.core.errors import PolicyNotFound, PromotionRefused
from sia_dagster.core.ports.stores import PolicyStore
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import BEFORE_ANY_PROMOTION, PolicyVersion


def rollback(
    store: PolicyStore, to_version: int | None = None, *, at: datetime, by: str, note: str = ""
) -> PolicyVersion:
    """Put an earlier policy in force again, as a new entry; no entry is removed.

    `to_version` None is the version before the one in force, 0 the policy before any promotion. Where somebody else
    rolls back to the same version at the same time, the entry is theirs. Raises PolicyNotFound if there is no such
    policy; PromotionRefused if it already is in force, if the registry changed meanwhile, or if `to_version` is None
    and a rollback is in force: the version before that is the policy that somebody rolled back. Where the version in
    force is from after `at`, by a clock that is ahead, its own policy may be recorded again, now with the right time;
    of a rollback that is what `to_version` None does.
    """
    versions = store.versions()
    if not versions:
        raise PolicyNotFound("no policy was ever promoted, so there is nothing to go back from")
    current = versions[-1]
    is_ahead = current.at > at
    if to_version is None and current.kind == "rollback" and not is_ahead:
        raise PromotionRefused(_already_rolled_back(current))
    before = current.version if current.kind == "rollback" else current.version - 1
    target = before if to_version is None else to_version
    actions = _actions_of(versions, target)
    restores = None if target == BEFORE_ANY_PROMOTION else target
    is_repeated = current.kind == "rollback" and current.restores == restores
    if actions == current.actions and not (is_ahead or is_repeated):
        raise PromotionRefused(f"version {current.version}, which is in force, already is that policy")
    return store.append(
        PolicyVersion(
            version=current.version + 1,
            loop=current.loop,
            kind="rollback",
            actions=actions,
            at=at,
            parent=current.version,
            provenance=next((entry.provenance for entry in versions if entry.version == target), ()),
            restores=restores,
            by=by,
            note=note,
        )
    )


def rolled_back_policies(versions: Sequence[PolicyVersion]) -> Mapping[str, PolicyVersion]:
    """The policies that a rollback took out of force and that were not put in force since, by fingerprint.

    The values are the rollbacks. A rollback over several versions covers all of them.
    """
    found: dict[str, PolicyVersion] = {}
    for entry in versions:
        if entry.kind == "rollback":
            restored = entry.restores or BEFORE_ANY_PROMOTION
            found |= {each.actions.fingerprint: entry for each in versions if restored < each.version < entry.version}
        found.pop(entry.actions.fingerprint, None)
    return found


def rollback_of(candidate: Actions, versions: Sequence[PolicyVersion]) -> PolicyVersion | None:
    """The rollback that took this policy out of force; None where there is none, or it was put in force since.

    White space in the prompt and sampling parameters do not make another policy.
    """
    taken, same = rolled_back_policies(versions), _wording(candidate)
    of_policy = (v.actions.fingerprint for v in reversed(versions) if _wording(v.actions) == same)
    return next((taken[fingerprint] for fingerprint in of_policy if fingerprint in taken), None)


def _wording(actions: Actions) -> str:
    prompt = " ".join(actions.system_prompt.split())
    return actions.model_copy(update={"system_prompt": prompt, "parameters": {}}).fingerprint


def _already_rolled_back(current: PolicyVersion) -> str:
    restored = f"version {current.restores}" if current.restores else "the policy before any promotion"
    note = f" ({current.note})" if current.note else ""
    return (
        f"loop {current.loop}: {current.by or 'somebody'} rolled back to {restored} at {current.at.isoformat()}{note}, "
        f"and that is in force now as version {current.version}; to go to another one, name it with --to"
    )


def _actions_of(versions: Sequence[PolicyVersion], target: int) -> Actions:
    if target == BEFORE_ANY_PROMOTION:
        if versions[0].replaced is None:
            raise PolicyNotFound("the first promotion does not say which policy it replaced; roll back to a version")
        return versions[0].replaced
    found = next((v.actions for v in versions if v.version == target), None)
    if found is None:
        numbers = ", ".join(str(v.version) for v in versions)
        raise PolicyNotFound(f"there is no version {target}; there are {numbers}, and 0 for before any promotion")
    return found
