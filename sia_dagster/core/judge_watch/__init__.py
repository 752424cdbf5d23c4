"""Judge watch: whether a judge still scores as it did, by frozen anchors, probes and agreement with people.

Running judges on samples is `evaluators`.
"""

from sia_dagster.core.judge_watch.agreement import Agreement, Disagreement, agreement
from sia_dagster.core.judge_watch.history import judge_history, record_watch, reset_anchors
from sia_dagster.core.judge_watch.watch import ChangedAnchor, WatchedJudge, WatchResult, WatchRules, watch_judges

__all__ = [
    "Agreement",
    "ChangedAnchor",
    "Disagreement",
    "WatchResult",
    "WatchRules",
    "WatchedJudge",
    "agreement",
    "judge_history",
    "record_watch",
    "reset_anchors",
    "watch_judges",
]
