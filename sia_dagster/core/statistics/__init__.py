"""Statistics: paired comparisons, intervals, slices and group-sequential levels.

What a result means for a candidate is decided in `gate`.
"""

from sia_dagster.core.statistics.compare import ComparisonRule, compare, compare_all, comparison_rule, paired_scores
from sia_dagster.core.statistics.explain import (
    comparison_sentence,
    is_all_ties,
    more_than_seen,
    needed_sentence,
    unseen_share,
)
from sia_dagster.core.statistics.group_sequential import (
    FUTILE,
    adjusted_rules,
    conditional_power,
    look_levels,
    plan_looks,
)
from sia_dagster.core.statistics.intervals import (
    MIN_CONVERSATIONS,
    WORST_SPREAD,
    conversation_weights,
    conversations_needed,
    plus_two,
)
from sia_dagster.core.statistics.slices import compare_slices

__all__ = [
    "FUTILE",
    "MIN_CONVERSATIONS",
    "WORST_SPREAD",
    "ComparisonRule",
    "adjusted_rules",
    "compare",
    "compare_all",
    "compare_slices",
    "comparison_rule",
    "comparison_sentence",
    "conditional_power",
    "conversation_weights",
    "conversations_needed",
    "is_all_ties",
    "look_levels",
    "more_than_seen",
    "needed_sentence",
    "paired_scores",
    "plan_looks",
    "plus_two",
    "unseen_share",
]
