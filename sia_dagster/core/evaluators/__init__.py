"""Evaluators: a judge (`llm_classify`), a function (`code`) and scores that the traces carry (`platform`).

The judge has its own public imports, `judge`. Watching judges for drift is `judge_watch`.
"""

from sia_dagster.core.evaluators.build import build_evaluator, resolve_template
from sia_dagster.core.evaluators.code import CodeEvaluator
from sia_dagster.core.evaluators.evaluate import check_fingerprints, evaluate, score_row, worst_unscored_share
from sia_dagster.core.evaluators.write_back import evaluations_to_write

__all__ = [
    "CodeEvaluator",
    "build_evaluator",
    "check_fingerprints",
    "evaluate",
    "evaluations_to_write",
    "resolve_template",
    "score_row",
    "worst_unscored_share",
]
