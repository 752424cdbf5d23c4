"""Traffic of a window: its baseline policy, near-duplicates, the dimensions of slices, and what can be replayed."""

from sia_dagster.core.traffic.baseline import build_baseline, policy_from_traces, samples_of_the_call
from sia_dagster.core.traffic.dimensions import dimensions_of
from sia_dagster.core.traffic.groups import Grouped, group_conversations
from sia_dagster.core.traffic.near_duplicates import relatives_of, set_near_duplicates_aside
from sia_dagster.core.traffic.plausibility import plausibility
from sia_dagster.core.traffic.sample_losses import with_samples

__all__ = [
    "Grouped",
    "build_baseline",
    "dimensions_of",
    "group_conversations",
    "plausibility",
    "policy_from_traces",
    "relatives_of",
    "samples_of_the_call",
    "set_near_duplicates_aside",
    "with_samples",
]
