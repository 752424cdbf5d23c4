"""The assets of a loop, one module a stage."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import dagster as dg

from sia_dagster.defs.assets import (
    baseline_state_actions,
    eval_results,
    judge_watch,
    next_window_results,
    promoted_policy,
    published_validation,
    traces,
    updated_policy,
    validation_results,
    written_evaluations,
)
from sia_dagster.defs.names import LoopNames

STAGE_BUILDERS: Mapping[str, Callable[[LoopNames], dg.AssetsDefinition]] = MappingProxyType(
    {
        "traces": traces.build,
        "eval_results": eval_results.build,
        "judge_watch": judge_watch.build,
        "baseline_state_actions": baseline_state_actions.build,
        "next_window_results": next_window_results.build,
        "updated_policy": updated_policy.build,
        "validation_results": validation_results.build,
        "promoted_policy": promoted_policy.build,
        "written_evaluations": written_evaluations.build,
        "published_validation": published_validation.build,
    }
)
"""By stage; `LoopNames.stages` says which of them a loop has."""
