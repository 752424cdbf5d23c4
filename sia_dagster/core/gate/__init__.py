"""The gate: the rules by which a candidate is promoted, from the held-out samples to the verdict.

The tests and intervals are in `statistics`; what follows from a verdict is in `policy`.
"""

from sia_dagster.core.gate.admission import Admission, Gate
from sia_dagster.core.gate.earlier_windows import EarlierWindows, ReadStoredWindow, held_out
from sia_dagster.core.gate.error_budget import YEAR, spent_in_year
from sia_dagster.core.gate.holdout_reuse import is_holdout_reuse
from sia_dagster.core.gate.recheck import GateTerms, broken_contract, recheck_gate
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.gate.validate import validate

__all__ = [
    "YEAR",
    "Admission",
    "EarlierWindows",
    "Gate",
    "GateTerms",
    "ReadStoredWindow",
    "Trial",
    "ValidationRules",
    "broken_contract",
    "held_out",
    "is_holdout_reuse",
    "recheck_gate",
    "spent_in_year",
    "validate",
]
