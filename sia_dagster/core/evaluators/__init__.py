"""Evaluators: a judge (`llm_classify`), a function (`code`) and scores that the traces carry (`platform`).

Watching judges for drift is `judge_watch`.
"""

from sia_dagster.core.evaluators.build import ReadFile, build_evaluator, resolve_template
from sia_dagster.core.evaluators.code import CodeEvaluator
from sia_dagster.core.evaluators.evaluate import (
    EVAL_RESULT_COLUMNS,
    check_fingerprints,
    eval_result_rows,
    evals_from_rows,
    evaluate,
    score_row,
    worst_unscored_share,
)
from sia_dagster.core.evaluators.judge_template import JudgeTemplate, parse_judge_template, parse_template, sample_texts
from sia_dagster.core.evaluators.llm_judge import Judge, JudgeSpec, LLMClassify
from sia_dagster.core.evaluators.result import as_number
from sia_dagster.core.evaluators.write_back import evaluations_to_write, write_outcome

__all__ = [
    "EVAL_RESULT_COLUMNS",
    "CodeEvaluator",
    "Judge",
    "JudgeSpec",
    "JudgeTemplate",
    "LLMClassify",
    "ReadFile",
    "as_number",
    "build_evaluator",
    "check_fingerprints",
    "eval_result_rows",
    "evals_from_rows",
    "evaluate",
    "evaluations_to_write",
    "parse_judge_template",
    "parse_template",
    "resolve_template",
    "sample_texts",
    "score_row",
    "worst_unscored_share",
    "write_outcome",
]
