"""`promoted_policy`: what the window put in force."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import Field

from sia_dagster.core.errors import PromotionRefused
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.defs.claims import APPROVED_POLICY_IS_IN_FORCE, PROMOTION_RESTS_ON_EVIDENCE, PUBLISHED_WHERE_ASKED
from sia_dagster.defs.metadata import present, table
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageContext, StageSpec, staged
from sia_dagster.reports.wording import visible

if TYPE_CHECKING:
    from sia_dagster.core.policy import PromotionRequest, PromotionStores
    from sia_dagster.wiring.platforms import Published


SPEC = StageSpec(
    stage="promoted_policy",
    description="The registry entry that this window put in force, or why none. The whole gate is checked again; only "
    "a person's recorded override passes it.",
    claims=(PROMOTION_RESTS_ON_EVIDENCE, APPROVED_POLICY_IS_IN_FORCE, PUBLISHED_WHERE_ASKED),
    io="documents",
    kinds=("json",),
    resources=("model", "storage", "clock"),
    upstream=("validation_results",),
)


class Decided(StrEnum):
    """What a person may decide."""

    approve = "approve"
    reject = "reject"


class PromotionConfig(dg.Config):
    """What the Launchpad asks of the person who decides."""

    decision: Decided = Field(
        default=Decided.approve,
        description="`approve` puts the window's candidate in force, if the gate accepts it. `reject` records that it "
        "must not come into force: the job leaves it alone, and a later approval needs a name and a note.",
    )
    approved_by: str = Field(default="", description="Your name, for the registry. Empty: whoever started the run.")
    note: str = Field(
        default="",
        description="Why, for the registry. An override needs it, and so does a candidate at which a person must look.",
    )
    override: bool = Field(
        default=False,
        description="Put the candidate in force although the gate does not accept it. Recorded with your name and "
        "your note; both are required. No override puts in force a candidate that breaks the contract of the policy in "
        "force, or that was compared with another policy.",
    )


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""
    who = (
        "Materialise it to approve an accepted window, or to reject it."
        if names.loop.promotion == "manual"
        else "Materialised by the job: an accepted window comes into force by itself."
    )
    spec = SPEC.model_copy(update={"description": f"{SPEC.description} {who}"})

    @spec.asset(names)
    def promoted_policy(
        context: dg.AssetExecutionContext, config: PromotionConfig, validation_results: ValidationReport
    ) -> dg.MaterializeResult[Any]:
        from sia_dagster.core.policy import not_promoted, promote

        with staged(names, context) as stage:
            _check_window(stage, validation_results)
            ruling = _ruling(stage, config)
            why_not = _objection(stage, ruling) if _would_promote(ruling, validation_results) else None
            stores = _stores(stage, validation_results)
            promotion = (
                not_promoted(validation_results, why_not) if why_not else promote(validation_results, ruling, stores)
            )
            published = _publish(stage) if promotion.promoted else ()
            claims = _claims(promotion, validation_results, approving=not stage.runs("validation_results"))
            return dg.MaterializeResult(
                value=promotion,
                metadata=_metadata(promotion) | _whereabouts(published),
                check_results=[*claims, _published(published)],
            )

    return promoted_policy


def _ruling(stage: StageContext, config: PromotionConfig) -> "PromotionRequest":
    from sia_dagster.core.policy import PromotionRequest

    by_itself = stage.names.loop.promotion == "auto" and not config.approved_by
    kind: Literal["auto", "approve"] = "auto" if by_itself else "approve"
    return PromotionRequest(
        kind="reject" if config.decision == Decided.reject else "override" if config.override else kind,
        at=stage.clock.time(stage.window),
        by=config.approved_by,
        note=config.note,
        report=str(stage.storage.path("reports", stage.names.name, f"{stage.window.key}.html")),
    )


def _check_window(stage: StageContext, report: ValidationReport) -> None:
    """A document that was copied from another window would promote that one's candidate. Raises PromotionRefused."""
    if (report.loop, report.window.key) != (stage.names.name, stage.window.key):
        raise PromotionRefused(
            f"the stored verdict is that of loop {report.loop}, window {report.window.key}: materialise "
            "validation_results of this window again"
        )


def _stores(stage: StageContext, report: ValidationReport) -> "PromotionStores":
    from sia_dagster.core.gate import GateTerms
    from sia_dagster.core.policy import PromotionStores
    from sia_dagster.wiring.prices import prompt_token_price

    name, storage = stage.names.name, stage.storage
    price = prompt_token_price(stage.model.settings().llm, report.baseline.model) if report.baseline else None
    return PromotionStores(
        policies=storage.policies(name),
        decisions=storage.decisions(name),
        log=storage.gate_log(name),
        terms=GateTerms.of(stage.names.loop, usd_per_prompt_token=price),
    )


def _would_promote(ruling: "PromotionRequest", report: ValidationReport) -> bool:
    """Whether the ruling, with the verdict of the document, would put the candidate in force."""
    return ruling.kind == "override" or (ruling.kind != "reject" and report.verdict == "accept")


def _objection(stage: StageContext, ruling: "PromotionRequest") -> str | None:
    """Why this run does not put the candidate in force, whatever the evidence; None where it may.

    A person approves evidence that is there to be read, not what the same run just found. Automatic promotion is for
    the newest closed window: in a backfill the order of the runs would otherwise choose the policy of today.
    """
    alone = "materialise promoted_policy of this window by itself"
    if ruling.kind != "auto" and stage.runs("validation_results"):
        return f"it waits for approval: read its report, then {alone}, or use `sia policy promote`"
    history = stage.clock.time(stage.window) >= stage.names.next_window_end(stage.window)
    if ruling.kind == "auto" and history:
        return f"a later window has closed since: to promote from history, {alone} with your name in approved_by"
    return None


def _publish(stage: StageContext) -> "tuple[Published, ...]":
    """Publish after the registry, which is the truth; a failure fails a check, and another run tries again."""
    from sia_dagster.wiring.platforms import publish_in_force

    loop = stage.names.loop
    return publish_in_force(loop, stage.storage.policies(loop.name), stage.storage.path())


def _whereabouts(published: "Sequence[Published]") -> dict[str, Any]:
    if not published:
        return {}
    return {"published": table({"target": each.target, "what happened": each.sentence} for each in published)}


def _published(published: "Sequence[Published]") -> dg.AssetCheckResult:
    from sia_dagster.wiring.platforms import faults_of

    faults = faults_of(published)
    sentence = " ".join(faults or [each.sentence for each in published])
    return PUBLISHED_WHERE_ASKED.holds(not faults, sentence or "Nothing to publish beside the registry.")


def _metadata(promotion: Promotion) -> dict[str, Any]:
    entry, decision = promotion.promoted, promotion.decision
    decided = {"decision": decision.kind, "decided_by": decision.by, "note": decision.note} if decision else {}
    return {
        "promoted": entry is not None,
        "reason": visible(promotion.reason),
        **present({"policy_version": entry.version, "parent": entry.parent, "by": entry.by} if entry else {}),
        **({"override": entry.override} if entry else {}),
        **decided,
        **({"system_prompt": dg.MetadataValue.text(visible(entry.actions.system_prompt))} if entry else {}),
    }


def _claims(promotion: Promotion, report: ValidationReport, *, approving: bool) -> list[dg.AssetCheckResult]:
    entry = promotion.promoted
    rejected = promotion.decision is not None and promotion.decision.kind == "reject"
    in_force = entry is not None or rejected or not (approving or report.verdict == "accept")
    return [
        PROMOTION_RESTS_ON_EVIDENCE.holds(entry is None or not entry.override, promotion.reason),
        APPROVED_POLICY_IS_IN_FORCE.holds(in_force, promotion.reason),
    ]
