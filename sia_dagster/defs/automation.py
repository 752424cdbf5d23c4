"""What is filled in by itself: stages that read the window before, when that window runs later than their own."""

import dagster as dg

from sia_dagster.defs.names import LoopNames


def fills_gaps() -> dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]:
    """True for a window that has no result though all that it reads is there; a failed one waits for a person."""
    is_ = dg.AutomationCondition
    waits = ~is_.any_deps_missing() & ~is_.any_deps_in_progress() & ~is_.in_progress() & ~is_.execution_failed()
    return (is_.missing() & waits).with_label("the window before has run since")


def exams_sensor(names: LoopNames) -> dg.AutomationConditionSensorDefinition:
    """Materialises the exams that a backfill left out since it ran a window before the one that precedes it."""
    return dg.AutomationConditionSensorDefinition(
        name=f"{names.name}_fills_exams",
        target=dg.AssetSelection.assets(names.asset("next_window_results")),
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Materialises next_window_results where the window before ran later than the window itself, as in "
        "a backfill from the newest to the oldest. It asks models: turn it on where you want that.",
        run_tags={"sia/loop": names.name},
    )
