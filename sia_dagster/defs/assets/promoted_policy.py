"""`promoted_policy`: what the window put in force."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from sia_dagster.core.promotion import promote, refused
from sia_dagster.core.results import Promotion, ValidationReport
from sia_dagster.defs.claims import APPROVED_POLICY_IS_IN_FORCE, PROMOTION_RESTS_ON_EVIDENCE, PUBLISHED_WHERE_ASKED
from sia_dagster.defs.metadata import present, table
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageContext, StageSpec, staged
from sia_dagster.wiring.publishing import Published, faults_of, publish_in_force

SPEC = StageSpec(
    stage="promoted_policy",
    description="The registry entry that this window put in force, or why none. Whatever the run, only a "
    "verdict of `accept` is promoted.",
    claims=(
        PROMOTION_RESTS_ON_EVIDENCE,
        APPROVED_POLICY_IS_IN_FORCE,
        PUBLISHED_WHERE_ASKED,
    ),
    io="documents",
    kinds=("json",),
    resources=(
        "storage",
        "clock",
    ),
    upstream=("validation_results",),
)


class PromotionConfig(dg.Config):
    """What the Launchpad asks of the person who approves."""

    approved_by: str = Field(default="", description="Your name, for the registry. Empty: whoever started the run.")


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""
    who = (
        "Materialise it to approve an accepted window."
        if names.loop.promotion == "manual"
        else "Materialised by the job: an accepted window comes into force by itself."
    )
    spec = SPEC.model_copy(update={"description": f"{SPEC.description} {who}"})

    @spec.asset(names)
    def promoted_policy(
        context: dg.AssetExecutionContext, config: PromotionConfig, validation_results: ValidationReport
    ) -> dg.MaterializeResult[Any]:
        with staged(names, context) as stage:
            why_not = _objection(stage, config) if validation_results.verdict == "accept" else None
            promotion = refused(validation_results, why_not) if why_not else _promote(stage, config, validation_results)
            published = _publish(stage) if promotion.promoted else ()
            claims = _claims(promotion, validation_results, approving=not stage.runs("validation_results"))
            return dg.MaterializeResult(
                value=promotion,
                metadata=_metadata(promotion) | _whereabouts(published),
                check_results=[*claims, _published(published)],
            )

    return promoted_policy


def _objection(stage: StageContext, config: PromotionConfig) -> str | None:
    """Why an accepted candidate is not put in force by this run; None where it may be.

    A person approves evidence that is there to be read, not what the same run just found. Automatic promotion is for
    the newest closed window: in a backfill the order of the runs would otherwise choose the policy of today.
    """
    alone = "materialise promoted_policy of this window by itself"
    if stage.names.loop.promotion == "manual" and stage.runs("validation_results"):
        return f"it waits for approval: read its report, then {alone}, or use `sia policy promote`"
    history = stage.clock.time(stage.window) >= stage.names.next_window_end(stage.window)
    if stage.names.loop.promotion == "auto" and history and not config.approved_by:
        return f"a later window has closed since: to promote from history, {alone} with your name in approved_by"
    return None


def _promote(stage: StageContext, config: PromotionConfig, report: ValidationReport) -> Promotion:
    automatic = "auto" if stage.names.loop.promotion == "auto" else "a person"
    return promote(
        report,
        store=stage.storage.policies(stage.names.name),
        at=stage.clock.time(stage.window),
        by=config.approved_by or automatic,
        report_url=str(stage.storage.path("reports", stage.names.name, f"{stage.window.key}.html")),
    )


def _publish(stage: StageContext) -> tuple[Published, ...]:
    """After the registry, which is the truth: what fails here is a check's to say, and repeated by doing it again."""
    loop = stage.names.loop
    return publish_in_force(loop, stage.storage.policies(loop.name), stage.storage.path())


def _whereabouts(published: Sequence[Published]) -> dict[str, Any]:
    if not published:
        return {}
    return {"published": table({"target": each.target, "what happened": each.told} for each in published)}


def _published(published: Sequence[Published]) -> dg.AssetCheckResult:
    faults = faults_of(published)
    told = " ".join(faults or [each.told for each in published])
    return PUBLISHED_WHERE_ASKED.holds(not faults, told or "Nothing to publish beside the registry.")


def _metadata(promotion: Promotion) -> dict[str, Any]:
    entry = promotion.promoted
    return {
        "promoted": entry is not None,
        "reason": promotion.reason,
        **present({"policy_version": entry.version, "parent": entry.parent, "by": entry.by} if entry else {}),
        **({"system_prompt": dg.MetadataValue.text(entry.actions.system_prompt)} if entry else {}),
    }


def _claims(promotion: Promotion, report: ValidationReport, *, approving: bool) -> list[dg.AssetCheckResult]:
    proven = promotion.promoted is None or report.verdict == "accept"
    in_force = promotion.promoted is not None or not (approving or report.verdict == "accept")
    return [
        PROMOTION_RESTS_ON_EVIDENCE.holds(proven, promotion.reason),
        APPROVED_POLICY_IS_IN_FORCE.holds(in_force, promotion.reason),
    ]
