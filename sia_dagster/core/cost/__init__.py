"""Cost: what a window will cost before it runs, and what the traffic costs under each policy.

Actual spend is counted by `adapters/engine/money`.
"""

from sia_dagster.core.cost.estimate import Estimate, estimate, estimate_sentence
from sia_dagster.core.cost.prompt_length import PromptLength, prompt_lengths
from sia_dagster.core.cost.traffic_cost import calls_a_week, traffic_cost

__all__ = [
    "Estimate",
    "PromptLength",
    "calls_a_week",
    "estimate",
    "estimate_sentence",
    "prompt_lengths",
    "traffic_cost",
]
