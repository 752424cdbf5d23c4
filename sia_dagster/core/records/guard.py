"""What the contract guard found in a candidate."""

from collections.abc import Iterable
from typing import Literal

from sia_dagster.core.records.value import Value

GuardAction = Literal["stop", "person"]
"""`stop`: the candidate is not tried. `person`: it is tried and shown, but only a person puts it in force."""


class GuardFinding(Value):
    """One finding of one rule. Without any, the candidate passes."""

    action: GuardAction
    rule: str
    """The rule's name, as in the documentation (`copied text`)."""
    reason: str
    """A sentence that names the rule, what was found, and where it came from; personal details are masked."""
    source: str = ""
    """`in sample s7 (the user's message)`; empty where the finding is about the policy in force or the edit itself."""


def stops(findings: Iterable[GuardFinding]) -> tuple[GuardFinding, ...]:
    """Those for which the candidate is not tried."""
    return tuple(finding for finding in findings if finding.action == "stop")


def for_a_person(findings: Iterable[GuardFinding]) -> tuple[GuardFinding, ...]:
    """Those that a person must look at before the candidate comes into force."""
    return tuple(finding for finding in findings if finding.action == "person")
