"""Passages that the loop may not change: those of the configuration, and those that the prompt itself marks."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from sia_dagster.core.guard._guard_input import GuardInput
from sia_dagster.core.guard._text import shown
from sia_dagster.core.records.policy import Actions

_MARKED: Final = re.compile(r"<!--\s*keep\s*-->.*?(?:<!--\s*/keep\s*-->|\Z)", re.DOTALL | re.IGNORECASE)


def keeps_protected(case: GuardInput) -> str | None:
    """Which protected passage is changed or added; None where all are as they were.

    Each passage of `policy.protected` stands as often as in the policy in force, letter for letter but for line breaks
    and blanks in a row (a YAML file folds them); so does all between `<!-- keep -->` and `<!-- /keep -->`, marks
    included, to the end of the prompt where the second is missing. A candidate adds no such marks: they would bind
    every candidate after it. Passages may move. One that the policy in force lacks stops no candidate, since it cannot
    be kept: see `missing_passages`.
    """
    old, new = _folded(case.baseline.system_prompt), _folded(case.candidate.system_prompt)
    for passage in map(_folded, case.limits.protected):
        before, after = old.count(passage), new.count(passage)
        if before and before != after:
            return f"protected passage: {shown(passage)} stands {after} times instead of {before}{_in_force(case)}"
    marked, kept = (Counter(_MARKED.findall(each.system_prompt)) for each in (case.baseline, case.candidate))
    if lost := marked - kept:
        return f"protected passage: the candidate changes or drops {shown(next(iter(lost)))}{_in_force(case)}"
    if added := kept - marked:
        passage = next(iter(added))
        return f"protected passage: the candidate adds marks around {shown(passage)}, {case.traffic.origin(passage)}"
    return None


def missing_passages(policy: Actions, protected: Sequence[str]) -> tuple[str, ...]:
    """The protected passages that `policy` lacks, so that no candidate can keep them."""
    prompt = _folded(policy.system_prompt)
    return tuple(passage for passage in protected if _folded(passage) not in prompt)


def _in_force(case: GuardInput) -> str:
    missing = missing_passages(case.baseline, case.limits.protected)
    if not missing:
        return " in the policy in force"
    return f" in the policy in force, which lacks {', '.join(map(shown, missing))} of policy.protected"


def _folded(text: str) -> str:
    return " ".join(text.split())
