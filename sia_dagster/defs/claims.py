"""Checks are claims about a window. One place knows how Dagster wants them for partitioned assets."""

import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from sia_dagster.core.records.value import Value
from sia_dagster.defs.names import LoopNames
from sia_dagster.reports.wording import visible


class Claim(Value):
    """What should be true of a stage's result."""

    name: str
    description: str
    blocking: bool = False
    """Whether the run stops here when it is not true; the stage's own result is kept."""

    def holds(self, passed: bool, sentence: str, **metadata: Any) -> dg.AssetCheckResult:
        """The result for one window. `sentence` says why, in words for people."""
        return dg.AssetCheckResult(
            check_name=self.name,
            passed=passed,
            # It may quote a trace, and a terminal may show the run's log.
            description=visible(sentence),
            severity=dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN,
            metadata=metadata,
        )


def specs(names: LoopNames, stage: str, claims: Sequence[Claim]) -> list[dg.AssetCheckSpec]:
    """The check specs of a stage, partitioned like it: a result lands on its window."""
    with warnings.catch_warnings():
        # A preview feature of Dagster, used in this one place.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                claim.name,
                asset=names.asset(stage),
                description=claim.description,
                blocking=claim.blocking,
                partitions_def=names.partitions,
            )
            for claim in claims
        ]


WINDOW_HAS_TRACES = Claim(
    name="window_has_traces", description="The window holds calls of the application that can be evaluated."
)
SPANS_ARE_READABLE = Claim(
    name="spans_are_readable", description="At most one in ten of the chosen spans had to be skipped as unreadable."
)
UNSCORED_SHARE_IS_LOW = Claim(
    name="unscored_share_is_low",
    description="Each evaluator's share of rows without a score is within validation.max_unscored_share; what the "
    "platform recorded is not counted.",
    blocking=True,
)
ONE_POLICY_SPOKE = Claim(
    name="one_policy_spoke", description="Most of the window's samples were produced by the policy in force."
)
ENOUGH_CAN_BE_REPLAYED = Claim(
    name="enough_can_be_replayed",
    description="Enough of the samples of this loop's call can be asked again faithfully for anything to be learned.",
)
EVERY_SPLIT_HAS_SAMPLES = Claim(
    name="every_split_has_samples",
    description="There is something to learn from (train), to choose by (selection) and to decide on (holdout).",
)
POLICY_KEEPS_ITS_VARIABLES = Claim(
    name="policy_keeps_its_variables",
    description="The policy that goes on has exactly the template variables of the policy in force.",
    blocking=True,
)
GUARD_STOPPED_NOTHING = Claim(
    name="guard_stopped_nothing", description="No candidate broke the contract of the policy in force."
)
SELECTION_IS_SCORED = Claim(
    name="selection_is_scored",
    description="Where candidates were compared, the share of selection samples without a score under the policy in "
    "force is within validation.max_unscored_share.",
    blocking=True,
)
REPLAYS_ARE_SCORED = Claim(
    name="replays_are_scored",
    description="The share of held-out samples that could not be compared is within validation.max_unscored_share.",
    blocking=True,
)
CANDIDATE_IS_BETTER = Claim(
    name="candidate_is_better", description="The candidate is shown to be better on held-out samples."
)
NO_SLICE_LOSES = Claim(
    name="no_slice_loses",
    description="No part of the traffic (model, language, length, tag, tool use) is shown to lose under the candidate.",
)
ERROR_BUDGET_IS_LEFT = Claim(
    name="error_budget_is_left",
    description="The year's error budget (validation.false_promotions_a_year) still pays for this window's verdict, "
    "and its holdout was not looked at before.",
)
JUDGES_ARE_STEADY = Claim(
    name="judges_are_steady",
    description="Every judge scores the frozen anchors as it did when they were frozen, within watch.tolerance.",
)
JUDGES_ARE_FAIR = Claim(
    name="judges_are_fair",
    description="No judge goes by the order of its labels or rewards an answer for being longer.",
)
PROMISE_IS_KEPT = Claim(
    name="promise_is_kept",
    description="The policy promoted in the window before gains on this window's traffic what it promised.",
)
APPROVED_POLICY_IS_IN_FORCE = Claim(
    name="approved_policy_is_in_force",
    description="An accepted candidate came into force, and so did what a person approved; else the reason says why.",
)
PROMOTION_RESTS_ON_EVIDENCE = Claim(
    name="promotion_rests_on_evidence",
    description="What this window put in force, if anything, was accepted on held-out samples.",
)
EVALUATIONS_ARE_BACK = Claim(
    name="evaluations_are_back",
    description="Every evaluation that the trace store can still take stands on its span there.",
)
PUBLISHED_WHERE_ASKED = Claim(
    name="published_where_asked",
    description="The policy in force carries the production label on every platform of `publish`.",
)
