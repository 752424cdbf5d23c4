"""`next_window_results`: the candidate of the window before on this window's traffic."""

import asyncio
from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import ValidationError

from sia_dagster.adapters.files.storage import StoragePath, file_names, write_atomically
from sia_dagster.core.next_window import NextWindowCheck
from sia_dagster.core.records.judge_report import JudgeReport
from sia_dagster.core.records.next_window import NextWindowComparison, NextWindowResults
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.defs.claims import PROMISE_IS_KEPT
from sia_dagster.defs.metadata import link, outcome_metadata, present
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageContext, StageSpec, staged
from sia_dagster.reports.figures.gain import gain_plot, gain_points
from sia_dagster.reports.markdown.next_window_tables import next_window_markdown
from sia_dagster.wiring.session import StageResult
from sia_dagster.wiring.stages import check_promise

SPEC = StageSpec(
    stage="next_window_results",
    description="The candidate of the window before and the policy it was to replace, replayed on this window's "
    "held-out samples, from which nothing was learned yet; and what the policy in force gained over the loop's first.",
    claims=(PROMISE_IS_KEPT,),
    io="documents",
    kinds=("json", "openai", "scipy"),
    resources=("model", "storage"),
    upstream=("baseline_state_actions", "judge_watch"),
    previous=("validation_results",),
)


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""

    @SPEC.asset(names)
    def next_window_results(
        context: dg.AssetExecutionContext,
        baseline_state_actions: StateActions,
        judge_watch: JudgeReport,
        previous_validation_results: ValidationReport | None,
    ) -> Iterator[Any]:
        with staged(names, context) as stage:
            before = names.previous_window(stage.window)
            if before and previous_validation_results is None:
                # Stored, this would say for ever what was true only in the order in which the windows ran.
                told = f"Nothing is stored: window {before.key} has not run, and its candidate is what is examined."
                context.log.info(told)
                yield PROMISE_IS_KEPT.holds(True, told)
                return
            paper = _paper(stage, baseline_state_actions, judge_watch, previous_validation_results)
            outcome = asyncio.run(check_promise(stage.session, paper))
            yield dg.MaterializeResult(
                value=outcome.value, metadata=_metadata(stage, outcome), check_results=[_claim(outcome.value)]
            )

    return next_window_results


def _paper(
    stage: StageContext, state: StateActions, watch: JudgeReport, found: ValidationReport | None
) -> "NextWindowCheck":
    versions = stage.storage.policies(stage.names.name).versions()
    known = tuple(version for version in versions if version.at < state.window.end)
    drifted = tuple(judge.evaluator for judge in watch.drifted)
    return NextWindowCheck(state=state, found=found, versions=known, drifted=drifted)


def _metadata(stage: StageContext, outcome: StageResult[NextWindowResults]) -> dict[str, Any]:
    found = outcome.value
    numbers = {
        "promised": found.promised,
        "cumulative_gain": found.cumulative_gain,
        "cumulative_low": found.cumulative_low,
        "cumulative_high": found.cumulative_high,
        "promoted_version": found.promoted_version,
        "rollback_to": found.rollback_to,
    }
    return {
        "reason": found.reason,
        "falls_short": found.falls_short,
        "conversations": found.conversations,
        **{name: round(value, 6) for name, value in present(numbers).items()},
        **_exam_numbers(found.comparisons),
        "gain_by_window": link(draw_gain(stage.storage.path(), found)),
        "exam": dg.MetadataValue.md(next_window_markdown(found)),
        **outcome_metadata(outcome),
    }


def _exam_numbers(exam: tuple[NextWindowComparison, ...]) -> dict[str, float]:
    """What plots: `exam_difference` of the primary evaluator, and every evaluator's under its name."""
    numbers: dict[str, float | None] = {}
    for each in exam:
        ends = {"difference": each.difference, "ci_low": each.ci_low, "ci_high": each.ci_high}
        numbers |= {f"{each.evaluator}/{end}": value for end, value in ends.items()}
        if each.primary:
            numbers |= {f"exam_{end}": value for end, value in ends.items()}
    return {name: round(value, 6) for name, value in present(numbers).items()}


def _claim(found: NextWindowResults) -> dg.AssetCheckResult:
    """An undecided candidate promised nothing; an accepted one did, also while it waits for approval.

    Where the replays failed nobody knows, which is told as loud as a promise that is not kept.
    """
    promising = found.promoted_version is not None or found.verdict == "accept"
    share = round(found.unscored_share, 6)
    numbers = present({"promised": found.promised, "unscored_share": share, **_exam_numbers(found.comparisons)})
    return PROMISE_IS_KEPT.holds(not (promising and (found.falls_short or found.lost)), found.reason, **numbers)


def draw_gain(root: StoragePath, latest: NextWindowResults) -> StoragePath:
    """Draw the cumulative gain over all stored exams and this one; where the picture is.

    It is a view, no result: it shows whatever windows have run, and is drawn anew with each.
    """
    others = (each for each in _stored(root, latest.loop) if each.window.key != latest.window.key)
    path = root.joinpath("reports", latest.loop, "cumulative_gain.svg")
    write_atomically(path, gain_plot(gain_points([*others, latest])).encode())
    return path


def _stored(root: StoragePath, loop: str) -> Iterator[NextWindowResults]:
    """The exams that can be read; a damaged one is its own stage's fault, and not worth the picture."""
    folder = root.joinpath("assets", loop, "next_window_results")
    for name in file_names(folder):
        try:
            yield NextWindowResults.model_validate_json(folder.joinpath(name).read_bytes())
        except (OSError, ValidationError):
            continue
