"""`validation_results`: the verdict on held-out samples, and the window's report."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from sia_dagster.adapters.files.span_table import stored_in
from sia_dagster.adapters.files.storage import StoragePath, write_atomically
from sia_dagster.core.records.gate import HeldOut, Look
from sia_dagster.core.records.judge_report import JudgeReport
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.defs.claims import CANDIDATE_IS_BETTER, ERROR_BUDGET_IS_LEFT, NO_SLICE_LOSES, REPLAYS_ARE_SCORED
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.partitions import windows_before
from sia_dagster.defs.stage import StageContext, StageSpec, staged
from sia_dagster.defs.verdicts import selection_metadata, verdict_claims, verdict_metadata
from sia_dagster.wiring.loop_session import StageResult

if TYPE_CHECKING:
    from sia_dagster.core.cost import PromptLength

SPEC = StageSpec(
    stage="validation_results",
    description="Old and new policy replayed on the held-out samples, all evaluators on both, the paired "
    "differences by conversation with their test and interval, and the verdict with its reasons.",
    claims=(REPLAYS_ARE_SCORED, NO_SLICE_LOSES, ERROR_BUDGET_IS_LEFT, CANDIDATE_IS_BETTER),
    io="documents",
    kinds=("json", "openai", "scipy"),
    resources=("model", "traces", "storage", "clock"),
    upstream=("baseline_state_actions", "updated_policy", "judge_watch"),
)


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""

    @SPEC.asset(names)
    def validation_results(
        context: dg.AssetExecutionContext,
        baseline_state_actions: StateActions,
        updated_policy: PolicyUpdate,
        judge_watch: JudgeReport,
    ) -> dg.MaterializeResult[Any]:
        with staged(names, context) as stage:
            outcome = _validated(stage, baseline_state_actions, updated_policy, judge_watch)
            looks = stage.storage.gate_log(names.name).looks(stage.window.end)
            report = _write_report(stage, baseline_state_actions, updated_policy, outcome.value, looks)
            return dg.MaterializeResult(
                value=outcome.value,
                metadata=verdict_metadata(outcome, baseline_state_actions, updated_policy, report)
                | selection_metadata(updated_policy, outcome.value, looks),
                check_results=verdict_claims(outcome.value, names.loop.validation.max_unscored_share),
            )

    return validation_results


def _validated(
    stage: StageContext, state: StateActions, update: PolicyUpdate, watch: JudgeReport
) -> StageResult[ValidationReport]:
    from sia_dagster.adapters.engine.money.list_prices import called_price
    from sia_dagster.core.cost import traffic_cost
    from sia_dagster.core.gate import Gate
    from sia_dagster.wiring.stages import gated_validation

    log = stage.storage.gate_log(stage.names.name)
    price = partial(called_price, llm=stage.session.chat.llm.at("replay"))
    gate = Gate(
        log=log,
        at=stage.clock.time(stage.window),
        held_out=partial(_held_out, stage, state, update),
        watch=watch,
        cost=partial(traffic_cost, state=state, price_of=price),
    )
    return asyncio.run(gated_validation(stage.session, state, update, gate))


def _write_report(
    stage: StageContext, state: StateActions, update: PolicyUpdate, report: ValidationReport, looks: Sequence[Look]
) -> StoragePath:
    from sia_dagster.reports.html.page import render_report
    from sia_dagster.wiring.endpoint import window_spend

    name, window = stage.names.name, stage.window
    path = stage.storage.path("reports", name, f"{window.key}.html")
    spend = window_spend(stage.session.chat, name, window)
    page = render_report(state, update, report, spend=spend, looks=looks, lengths=_lengths(stage, state, update))
    write_atomically(path, page.encode())
    return path


def _lengths(stage: StageContext, state: StateActions, update: PolicyUpdate) -> "tuple[PromptLength, ...]":
    """Of the prompt's versions that were known at the window's end, at its traffic."""
    from sia_dagster.adapters.engine.money.list_prices import called_price
    from sia_dagster.core.cost import calls_a_week, prompt_lengths

    known = [entry for entry in stage.storage.policies(stage.names.name).timeline() if entry.at < stage.window.end]
    price = partial(called_price, llm=stage.session.chat.llm.at("replay"))
    calls = calls_a_week(state)
    return prompt_lengths(known, update.baseline, update.candidate, calls_a_week=calls, price_of=price)


def _held_out(stage: StageContext, state: StateActions, update: PolicyUpdate) -> HeldOut:
    """The window's holdout, filled from earlier windows; those are read now, and only if replays will be made."""
    from sia_dagster.core.gate import EarlierWindows

    loop, storage = stage.names.loop, stage.storage
    earlier = EarlierWindows(
        windows=windows_before(stage.names.partitions, stage.window, loop.validation.pool_windows),
        registry=storage.policies(loop.name).timeline(),
        source=stage.traces.connect(),
        stored=stored_in(storage.path("assets", loop.name, "traces")),
    )
    return earlier.held_out(loop, state, learned_in=update.carried.window if update.carried else None)
