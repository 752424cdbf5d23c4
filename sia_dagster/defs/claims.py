"""Asset checks: claims about a window, and how Dagster declares them for partitioned assets."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from sia_dagster.defs.names import LoopNames
from sia_dagster.reports.wording import visible


@dataclass(frozen=True)
class Claim:
    """What should be true of a stage's result."""

    name: str
    description: str
    blocking: bool = False
    """Whether the run stops here when it is not true; the stage's own result is kept."""

    def holds(self, passed: bool, sentence: str, **metadata: Any) -> dg.AssetCheckResult:
        """The result for one window; `sentence` is the reason, for people."""
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


WINDOW_HAS_TRACES = Claim("window_has_traces", "The window holds calls of the application that can be evaluated.")
CALLS_CAN_BE_REPLAYED = Claim(
    "calls_can_be_replayed",
    "At least one of the sampled calls can be replayed; without one, judging them would be paid for nothing.",
    blocking=True,
)
SPANS_ARE_READABLE = Claim("spans_are_readable", "At most one in ten of the chosen spans was unreadable.")
UNSCORED_SHARE_IS_LOW = Claim(
    "unscored_share_is_low",
    "Each evaluator's share of rows without a score is within validation.max_unscored_share; what the platform"
    " recorded is not counted.",
    blocking=True,
)
ONE_POLICY_SPOKE = Claim("one_policy_spoke", "Most of the window's samples were produced by the policy in force.")
ENOUGH_CAN_BE_REPLAYED = Claim(
    "enough_can_be_replayed", "Enough samples of this loop's call can be replayed faithfully to learn from them."
)
EVERY_SPLIT_HAS_SAMPLES = Claim(
    "every_split_has_samples",
    "There are samples to learn from (train), to choose by (selection) and to decide on (holdout).",
)
POLICY_KEEPS_ITS_VARIABLES = Claim(
    "policy_keeps_its_variables",
    "The chosen policy has exactly the template variables of the policy in force.",
    blocking=True,
)
UPDATER_IS_USABLE = Claim(
    "updater_is_usable", "Where the updater was asked for candidates, at least one of its answers could be used."
)
GUARD_STOPPED_NOTHING = Claim("guard_stopped_nothing", "No candidate broke the contract of the policy in force.")
SELECTION_IS_SCORED = Claim(
    "selection_is_scored",
    "Of the answers that the search replayed under the policy that failed least, the share without a score is within "
    "validation.max_unscored_share.",
    blocking=True,
)
REPLAYS_ARE_SCORED = Claim(
    "replays_are_scored",
    "The share of held-out samples that could not be compared is within validation.max_unscored_share.",
    blocking=True,
)
CANDIDATE_IS_BETTER = Claim(
    "candidate_is_better", "The candidate is shown to be better, or as good for less money, on held-out samples."
)
NO_SLICE_LOSES = Claim(
    "no_slice_loses",
    "No part of the traffic (model, language, length, tag, tool use) is shown to lose under the candidate.",
)
ERROR_BUDGET_IS_LEFT = Claim(
    "error_budget_is_left",
    "The year's error budget (validation.false_promotions_a_year) still pays for this window's verdict, and "
    "its holdout was not evaluated before.",
)
JUDGES_ARE_STEADY = Claim(
    "judges_are_steady", "Every judge scores the frozen anchors as when they were frozen, within watch.tolerance."
)
JUDGES_ARE_FAIR = Claim("judges_are_fair", "No judge's scores depend on the order of its labels or an answer's length.")
PROMISE_IS_KEPT = Claim(
    "promise_is_kept",
    "The policy promoted in the window before keeps on this window's traffic what its verdict promised.",
)
APPROVED_POLICY_IS_IN_FORCE = Claim(
    "approved_policy_is_in_force",
    "An accepted candidate came into force, and so did an approved one; otherwise the reason says why not.",
)
PROMOTION_RESTS_ON_EVIDENCE = Claim(
    "promotion_rests_on_evidence", "A policy that this window put in force was accepted on held-out samples."
)
EVALUATIONS_ARE_BACK = Claim(
    "evaluations_are_back", "Every evaluation that the trace store can still accept is on its span there."
)
PUBLISHED_WHERE_ASKED = Claim(
    "published_where_asked", "The policy in force carries the production label on every platform of `publish`."
)
