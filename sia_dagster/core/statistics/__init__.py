"""Statistics: paired comparisons, intervals, slices and group-sequential levels.

What a result means for a candidate is decided in `gate`.
"""

from sia_dagster.core.statistics.compare import ComparisonRule, compare_all, p_of, paired_scores
from sia_dagster.core.statistics.design_effect import design_effect
from sia_dagster.core.statistics.group_sequential import DESIGNS, adjusted_rules, conditional_power, plan_looks
from sia_dagster.core.statistics.intervals import (
    MIN_CONVERSATIONS,
    POWER,
    conversations_needed,
    detectable_effect,
    plus_two,
    skew_corrected_interval,
)
from sia_dagster.core.statistics.saving import compare_costs
from sia_dagster.core.statistics.slices import compare_slices

__all__ = [
    "DESIGNS",
    "MIN_CONVERSATIONS",
    "POWER",
    "ComparisonRule",
    "adjusted_rules",
    "compare_all",
    "compare_costs",
    "compare_slices",
    "conditional_power",
    "conversations_needed",
    "design_effect",
    "detectable_effect",
    "p_of",
    "paired_scores",
    "plan_looks",
    "plus_two",
    "skew_corrected_interval",
]
