"""The judge: its template, its rails, and the model call that classifies an output."""

from sia_dagster.core.evaluators.judge.judge_template import JudgeTemplate, parse_template, sample_texts
from sia_dagster.core.evaluators.judge.llm_judge import Judge, JudgeSpec, LLMClassify

__all__ = ["Judge", "JudgeSpec", "JudgeTemplate", "LLMClassify", "parse_template", "sample_texts"]
