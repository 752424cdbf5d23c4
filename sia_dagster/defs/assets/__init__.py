"""The assets of a loop, one module a stage."""

from sia_dagster.defs.assets import (
    baseline_state_actions,
    eval_results,
    promoted_policy,
    traces,
    updated_policy,
    validation_results,
)

STAGE_BUILDERS = (
    traces.build,
    eval_results.build,
    baseline_state_actions.build,
    updated_policy.build,
    validation_results.build,
    promoted_policy.build,
)
