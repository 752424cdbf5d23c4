"""`published_validation`: the window's comparison as an experiment of the platform."""

from typing import Any

import dagster as dg

from sia_dagster.core.results import ValidationReport
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageSpec, staged
from sia_dagster.wiring.stores import experiments_of

SPEC = StageSpec(
    stage="published_validation",
    description="The held-out samples under both policies with their evaluations, as an experiment where people "
    "compare runs. Materialising it again changes nothing.",
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
        with staged(names, context):
            experiment = experiments_of(names.loop).publish(validation_results)
            return dg.MaterializeResult(value=experiment, metadata=experiment.model_dump(mode="json"))

    return published_validation
