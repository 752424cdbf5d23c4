"""Judge watch: whether a judge still scores as it did, by frozen anchors, probes and agreement with people.

Running judges on samples is `evaluators`.
"""

from sia_dagster.core.judge_watch.agreement import Agreement, Disagreement, agreement
from sia_dagster.core.judge_watch.memory import memory_of, record_watch, reset_anchors
from sia_dagster.core.judge_watch.watch import (
    ChangedAnchor,
    Watched,
    WatchedJudge,
    WatchRules,
    could_be_watched,
    watch_judges,
)

__all__ = [
    "Agreement",
    "ChangedAnchor",
    "Disagreement",
    "WatchRules",
    "Watched",
    "WatchedJudge",
    "agreement",
    "could_be_watched",
    "memory_of",
    "record_watch",
    "reset_anchors",
    "watch_judges",
]
