"""`updated_policy`: the search for a better policy."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import ValidationError

from sia_dagster.adapters.files.storage import read_stored
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import CARRIED, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.text import count
from sia_dagster.defs.claims import (
    GUARD_STOPPED_NOTHING,
    POLICY_KEEPS_ITS_VARIABLES,
    SELECTION_IS_SCORED,
    UPDATER_IS_USABLE,
)
from sia_dagster.defs.metadata import outcome_metadata, present, table
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.partitions import windows_before
from sia_dagster.defs.stage import StageContext, StageSpec, staged
from sia_dagster.defs.verdicts import concerns_markdown
from sia_dagster.reports.wording import visible
from sia_dagster.wiring.loop_session import StageResult

if TYPE_CHECKING:
    from sia_dagster.core.search import Undecided


SPEC = StageSpec(
    stage="updated_policy",
    description="Candidates that the updater proposed from the train split, stopped by the contract guard or "
    "compared on the selection split; the best one is validated, or the policy stays. A candidate that earlier windows "
    "left undecided is validated first.",
    claims=(POLICY_KEEPS_ITS_VARIABLES, UPDATER_IS_USABLE, GUARD_STOPPED_NOTHING, SELECTION_IS_SCORED),
    io="documents",
    kinds=("json", "openai"),
    resources=("model", "storage"),
    upstream=("baseline_state_actions",),
)


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""

    @SPEC.asset(names)
    def updated_policy(
        context: dg.AssetExecutionContext, baseline_state_actions: StateActions
    ) -> dg.MaterializeResult[Any]:
        from sia_dagster.wiring.stages import search_window

        with staged(names, context) as stage:
            carried = _carried(stage, baseline_state_actions)
            earlier = _earlier_reports(stage)
            outcome = asyncio.run(search_window(stage.session, baseline_state_actions, carried, earlier))
            allowed = names.loop.validation.max_unscored_share
            claims = [*_claims(outcome.value), _selection_is_scored(outcome.value, allowed)]
            return dg.MaterializeResult(value=outcome.value, metadata=_metadata(outcome, names), check_results=claims)

    return updated_policy


def _carried(stage: StageContext, state: StateActions) -> "Undecided | None":
    """The candidate that an earlier window left undecided, by the records from before this window's end."""
    from sia_dagster.core.search import carried_candidate

    name, end = stage.names.name, stage.window.end
    looks = stage.storage.gate_log(name).looks(before=end)
    decisions = stage.storage.decisions(name).decisions(before=end)
    return carried_candidate(looks, state, stage.names.loop.validation, decisions)


def _earlier_reports(stage: StageContext) -> tuple[ValidationReport, ...]:
    """The reports of the last windows whose verdicts were taken before this window's end; unreadable ones are left out.

    They are read from the storage: as an input of the asset, they would make every window wait for those before it.
    """
    from sia_dagster.core.search import NOISE_WINDOWS

    name, end = stage.names.name, stage.window.end
    decided = {look.window.key for look in stage.storage.gate_log(name).looks(before=end)}
    folder = stage.storage.path("assets", name, "validation_results")
    found: list[ValidationReport] = []
    for window in windows_before(stage.names.partitions, stage.window, NOISE_WINDOWS):
        if window.key in decided:
            with suppress(OSError, ValidationError):
                found.append(ValidationReport.model_validate_json(read_stored(folder / f"{window.key}.json")))
    return tuple(found)


def _metadata(outcome: StageResult[PolicyUpdate], names: LoopNames) -> dict[str, Any]:
    from sia_dagster.reports.markdown.search import provenance_markdown
    from sia_dagster.reports.markdown.tables import candidates_markdown, change_markdown, edits_markdown

    update = outcome.value
    tried = Counter(candidate.status for candidate in update.candidates)
    return {
        "changed": update.changed,
        "reason": visible(update.reason),
        **({"carried_from": update.carried.window, "tried_before": update.carried.times} if update.carried else {}),
        **_strategies(update),
        "candidates": len(update.candidates),
        "candidates_stopped_by_guard": tried["stopped_by_guard"],
        "candidates_for_a_person": sum(bool(candidate.concerns) for candidate in update.candidates),
        "candidates_unusable": tried["unusable"],
        **({"a_person_must_look": concerns_markdown(update.concerns)} if update.concerns else {}),
        **outcome_metadata(outcome),
        **_unprotected(update, names.loop.policy.protected),
        "prompt_diff": dg.MetadataValue.md(change_markdown(update)),
        "edits": dg.MetadataValue.md(edits_markdown(update)),
        "candidates_tried": dg.MetadataValue.md(candidates_markdown(update)),
        "sentences_of_the_loop": dg.MetadataValue.md(provenance_markdown(update.provenance)),
    }


def _strategies(update: PolicyUpdate) -> dict[str, Any]:
    """What the strategies used and found; the numbers plot by window."""
    from sia_dagster.reports import search_figures

    selected = update.selected
    numbers = {
        "search_calls": sum(run.total for run in update.strategies),
        "search_cost_usd": search_figures.search_cost(update.strategies),
        "selection_gain_shrunk": selected.shrunk if selected else None,
        "selection_gain_observed": selected.observed if selected else None,
    }
    rows = search_figures.strategy_rows(update)
    shown = [dict(zip(search_figures.STRATEGY_HEAD, map(visible, row), strict=True)) for row in rows]
    return {**present(numbers), **({"strategies": table(shown)} if shown else {})}


def _unprotected(update: PolicyUpdate, protected: Sequence[str]) -> dict[str, Any]:
    """The passages of `policy.protected` that the policy in force lacks, which no candidate can keep."""
    from sia_dagster.core.guard import missing_passages

    missing = missing_passages(update.baseline, protected) if update.baseline else ()
    return {"protected_but_not_there": table({"passage": passage} for passage in missing)} if missing else {}


def _claims(update: PolicyUpdate) -> Sequence[dg.AssetCheckResult]:
    from sia_dagster.core.guard import keeps_variables

    fault = keeps_variables(update.candidate, update.baseline) if update.candidate and update.baseline else None
    stopped = [candidate for candidate in update.candidates if candidate.status == "stopped_by_guard"]
    reasons = "; ".join(f"{candidate.name}: {', '.join(candidate.reasons)}" for candidate in stopped)
    return [
        POLICY_KEEPS_ITS_VARIABLES.holds(fault is None, fault or "The template variables are the same."),
        _updater_is_usable(update),
        GUARD_STOPPED_NOTHING.holds(
            not stopped,
            f"Stopped {len(stopped)} of {len(update.candidates)}. {reasons}" if stopped else "None stopped.",
            candidates_stopped_by_guard=len(stopped),
        ),
    ]


def _updater_is_usable(update: PolicyUpdate) -> dg.AssetCheckResult:
    """A candidate that was carried from an earlier window is no answer of the updater."""
    asked = [c for c in update.candidates if not c.name.startswith(CARRIED)]
    unusable = [candidate for candidate in asked if candidate.status == "unusable"]
    usable = len(asked) - len(unusable)
    cause = f" The first, {unusable[0].name}: {'; '.join(unusable[0].reasons)}." if unusable else ""
    advice = " The loop cannot improve the policy until this is put right." if asked and not usable else ""
    sentence = f"{usable} of {count(len(asked), 'answer')} of the updater could be used.{cause}{advice}"
    return UPDATER_IS_USABLE.holds(
        bool(usable) or not asked, sentence if asked else "The updater was not asked.", answers_unusable=len(unusable)
    )


def _selection_is_scored(update: PolicyUpdate, allowed: float) -> dg.AssetCheckResult:
    """Judged by the policy whose answers fail least: one candidate that fails is not chosen, and stops no run."""
    if not update.answered:
        return SELECTION_IS_SCORED.holds(True, "Nothing was answered anew by the search.")
    share = update.unscored / update.answered
    advice = " Replays or judges failed, so no candidate can be chosen: run `sia check`, then run the window again."
    failed = "" if share <= allowed else advice
    return SELECTION_IS_SCORED.holds(
        share <= allowed,
        f"{update.unscored} of {count(update.answered, 'answer')} of the search have no score (allowed: {allowed:.0%})."
        f"{failed}",
        unscored_share=round(share, 6),
    )
