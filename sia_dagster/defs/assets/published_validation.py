"""`published_validation`: the window's comparison as experiments of the platform."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from sia_dagster.core.records.report import ValidationReport
from sia_dagster.defs.metadata import table
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageSpec, staged

if TYPE_CHECKING:
    from sia_dagster.adapters.arize.experiments import PublishedValidation


SPEC = StageSpec(
    stage="published_validation",
    description="The held-out samples under both policies with their evaluations, as two experiments on one dataset, "
    "where people compare runs row by row. Materialising it again changes nothing.",
    claims=(),
    io="documents",
    kinds=("json", "arize"),
    upstream=("validation_results",),
)


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""

    @SPEC.asset(names)
    def published_validation(
        context: dg.AssetExecutionContext, validation_results: ValidationReport
    ) -> dg.MaterializeResult[Any]:
        from sia_dagster.wiring.platforms import experiments_of

        with staged(names, context):
            published = experiments_of(names.loop).publish_validation(validation_results)
            return dg.MaterializeResult(value=published, metadata=_metadata(published))

    return published_validation


def _metadata(published: "PublishedValidation") -> dict[str, Any]:
    return {
        "dataset": published.dataset,
        "experiments": table({"experiment": name} for name in published.experiments),
        "runs": published.runs,
        "runs_added_by_this_run": published.added,
    }
