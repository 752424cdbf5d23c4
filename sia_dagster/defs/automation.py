"""Stages that read the window before are materialised by a sensor where that window runs later than their own."""

import dagster as dg

from sia_dagster.defs.names import LoopNames


def fills_gaps() -> dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]:
    """True for a window without a result whose inputs are all there; a failed one waits for a person."""
    is_ = dg.AutomationCondition
    waits = ~is_.any_deps_missing() & ~is_.any_deps_in_progress() & ~is_.in_progress() & ~is_.execution_failed()
    return (is_.missing() & waits).with_label("the window before has run since")


def next_window_sensor(names: LoopNames) -> dg.AutomationConditionSensorDefinition:
    """Materialises the `next_window_results` that a backfill left out, having run a window before its predecessor."""
    return dg.AutomationConditionSensorDefinition(
        name=f"{names.name}_fills_next_window_results",
        target=dg.AssetSelection.assets(names.asset("next_window_results")),
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Materialises next_window_results where the window before ran later than the window itself, as in "
        "a backfill from the newest to the oldest. It calls models, which costs money: turn it on where you want that.",
        run_tags={"sia/loop": names.name},
    )
