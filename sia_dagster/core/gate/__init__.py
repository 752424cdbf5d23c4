"""The gate: the rules by which a candidate is promoted, from the held-out samples to the verdict.

The tests and intervals are in `statistics`; what follows from a verdict is in `policy`.
"""

from sia_dagster.core.gate.admission import Admission, Gate
from sia_dagster.core.gate.earlier_windows import EarlierWindows
from sia_dagster.core.gate.error_budget import spent_in_year
from sia_dagster.core.gate.pooling import own_holdout
from sia_dagster.core.gate.recheck import GateTerms
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.gate.validate import validate

__all__ = [
    "Admission",
    "EarlierWindows",
    "Gate",
    "GateTerms",
    "Trial",
    "ValidationRules",
    "own_holdout",
    "spent_in_year",
    "validate",
]
