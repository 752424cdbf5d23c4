"""`baseline_state_actions`: the window's samples under the policy in force."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dagster as dg

from sia_dagster.adapters.files.span_table import SampledSpans
from sia_dagster.core.records.eval_rows import evals_from_rows
from sia_dagster.core.records.state import StateActions
from sia_dagster.defs.claims import ENOUGH_CAN_BE_REPLAYED, EVERY_SPLIT_HAS_SAMPLES, ONE_POLICY_SPOKE
from sia_dagster.defs.metadata import present
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageContext, StageSpec, staged

SPEC = StageSpec(
    stage="baseline_state_actions",
    description="The policy that was in force at the window's end, and the samples with their evaluations and "
    "the split (train, selection, holdout) that their conversation belongs to for ever.",
    claims=(ONE_POLICY_SPOKE, ENOUGH_CAN_BE_REPLAYED, EVERY_SPLIT_HAS_SAMPLES),
    io="documents",
    kinds=("json",),
    resources=("storage",),
    upstream=("traces", "eval_results"),
)


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""

    @SPEC.asset(names)
    def baseline_state_actions(
        context: dg.AssetExecutionContext, traces: SampledSpans, eval_results: Any
    ) -> dg.MaterializeResult[Any]:
        with staged(names, context) as stage:
            state = _state(stage, traces, eval_results.to_dict("records"))
            return dg.MaterializeResult(value=state, metadata=_metadata(state), check_results=_claims(state))

    return baseline_state_actions


def _state(stage: StageContext, traces: SampledSpans, eval_rows: list[dict[str, Any]]) -> StateActions:
    from sia_dagster.core.evaluators import check_fingerprints
    from sia_dagster.core.openinference import samples_from_rows
    from sia_dagster.core.traffic import build_baseline
    from sia_dagster.wiring.session import eval_constants

    loop, window = stage.names.loop, stage.window
    constants = eval_constants(loop, stage.names.folder)
    check_fingerprints(((row["evaluator"], row["fingerprint"]) for row in eval_rows), constants)
    state = build_baseline(
        loop.name,
        window,
        samples_from_rows(traces.rows),
        evals_from_rows(eval_rows),
        constants,
        stage.storage.policies(loop.name).timeline(),
    )
    return state.model_copy(update={"calls": traces.calls, "funnel": traces.funnel})


def _splits(state: StateActions) -> dict[str, int]:
    counts = Counter(sample.split for sample in state.samples)
    return {"train": counts["train"], "selection": counts["selection"], "holdout": counts["holdout"]}


def _metadata(state: StateActions) -> dict[str, Any]:
    from sia_dagster.reports.markdown.tables import skipped_markdown, state_markdown

    return {
        "samples": len(state.samples),
        "conversations": len({sample.conversation_id for sample in state.samples}),
        **{f"samples_{split}": count for split, count in _splits(state).items()},
        "near_duplicates_set_aside": state.set_aside,
        **{f"left_out/{reason}": count for reason, count in state.left_out.items()},
        **present({"policy_share": state.policy_share, "policy_version": state.policy_version}),
        "policy_in_force": dg.MetadataValue.md(state_markdown(state)),
        "skipped": dg.MetadataValue.md(skipped_markdown(state.skipped)),
    }


def _claims(state: StateActions) -> Sequence[dg.AssetCheckResult]:
    from sia_dagster.reports.policy_shares import left_out_sentence, policy_share_sentence

    splits = _splits(state)
    share = state.policy_share
    return [
        ONE_POLICY_SPOKE.holds(share is not None and share > 0.5, policy_share_sentence(state)),
        ENOUGH_CAN_BE_REPLAYED.holds(state.refusal is None, state.refusal or left_out_sentence(state)),
        EVERY_SPLIT_HAS_SAMPLES.holds(
            all(splits.values()), ", ".join(f"{split}: {count}" for split, count in splits.items()) + " samples."
        ),
    ]
