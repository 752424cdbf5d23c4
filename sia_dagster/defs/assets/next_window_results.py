"""`next_window_results`: the candidate of the window before on this window's traffic."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import ValidationError

from sia_dagster.adapters.files.storage import StoragePath, file_names, write_atomically
from sia_dagster.core.records.judge_report import JudgeReport
from sia_dagster.core.records.next_window import NextWindowComparison, NextWindowResults
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.defs.claims import PROMISE_IS_KEPT
from sia_dagster.defs.metadata import link, outcome_metadata, present
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageContext, StageSpec, staged
from sia_dagster.wiring.loop_session import StageResult

if TYPE_CHECKING:
    from sia_dagster.core.next_window import NextWindowCheck


SPEC = StageSpec(
    stage="next_window_results",
    description="The candidate of the window before and the policy it was to replace, replayed on this window's "
    "held-out samples, from which nothing was learned yet; and the gain of the policy in force over the loop's first.",
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
        from sia_dagster.wiring.stages import check_promise

        with staged(names, context) as stage:
            before = names.previous_window(stage.window)
            if before and previous_validation_results is None:
                # A stored result would stand for ever, though it depends only on the order in which the windows ran.
                reason = f"Nothing is stored: window {before.key}, whose candidate would be replayed, has not run."
                context.log.info(reason)
                yield PROMISE_IS_KEPT.holds(True, reason)
                return
            check = _check(stage, baseline_state_actions, judge_watch, previous_validation_results)
            outcome = asyncio.run(check_promise(stage.session, check))
            yield dg.MaterializeResult(
                value=outcome.value, metadata=_metadata(stage, outcome), check_results=[_claim(outcome.value)]
            )

    return next_window_results


def _check(
    stage: StageContext, state: StateActions, watch: JudgeReport, previous: ValidationReport | None
) -> "NextWindowCheck":
    from sia_dagster.core.next_window import NextWindowCheck

    versions = stage.storage.policies(stage.names.name).timeline()
    known = tuple(version for version in versions if version.at < state.window.end)
    drifted = tuple(judge.evaluator for judge in watch.drifted)
    return NextWindowCheck(state=state, previous=previous, versions=known, drifted=drifted)


def _metadata(stage: StageContext, outcome: StageResult[NextWindowResults]) -> dict[str, Any]:
    from sia_dagster.reports.markdown.next_window_tables import next_window_markdown

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
        **_comparison_numbers(found.comparisons),
        "gain_by_window": link(draw_gain(stage.storage.path(), found)),
        "next_window": dg.MetadataValue.md(next_window_markdown(found)),
        **outcome_metadata(outcome),
    }


def _comparison_numbers(comparisons: tuple[NextWindowComparison, ...]) -> dict[str, float]:
    """Plottable: `next_window_difference` of the primary evaluator, and every evaluator's under its name."""
    numbers: dict[str, float | None] = {}
    for each in comparisons:
        ends = {"difference": each.difference, "ci_low": each.ci_low, "ci_high": each.ci_high}
        numbers |= {f"{each.evaluator}/{end}": value for end, value in ends.items()}
        if each.primary:
            numbers |= {f"next_window_{end}": value for end, value in ends.items()}
    return {name: round(value, 6) for name, value in present(numbers).items()}


def _claim(found: NextWindowResults) -> dg.AssetCheckResult:
    """An undecided candidate promised nothing; an accepted one did, also while it waits for approval.

    Failed replays leave the promise unchecked, which is reported as loudly as a broken one.
    """
    promising = found.promoted_version is not None or found.verdict == "accept"
    share = round(found.unscored_share, 6)
    numbers = present({"promised": found.promised, "unscored_share": share, **_comparison_numbers(found.comparisons)})
    return PROMISE_IS_KEPT.holds(not (promising and (found.falls_short or found.lost)), found.reason, **numbers)


def draw_gain(root: StoragePath, latest: NextWindowResults) -> StoragePath:
    """Draw the cumulative gain over all stored results and this one, and return the picture's path.

    The picture is a view: it shows all windows that have run, and is drawn anew with each.
    """
    from sia_dagster.reports.figures.gain import gain_plot, gain_points

    others = (each for each in _stored(root, latest.loop) if each.window.key != latest.window.key)
    path = root.joinpath("reports", latest.loop, "cumulative_gain.svg")
    write_atomically(path, gain_plot(gain_points([*others, latest])).encode())
    return path


def _stored(root: StoragePath, loop: str) -> Iterator[NextWindowResults]:
    """The results that can be read; a damaged one is left out, so that the picture is drawn all the same."""
    folder = root.joinpath("assets", loop, "next_window_results")
    for name in file_names(folder):
        try:
            yield NextWindowResults.model_validate_json(folder.joinpath(name).read_bytes())
        except (OSError, ValidationError):
            continue
