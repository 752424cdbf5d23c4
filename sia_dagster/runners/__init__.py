"""The loop and its evaluators from Python, without Dagster."""

from sia_dagster.core.config import CodeConfig, LLMClassifyConfig, LLMConfig, PlatformConfig, TracesConfig
from sia_dagster.runners.llm_classify import llm_classify
from sia_dagster.runners.orchestrator import WorkflowOrchestrator, WorkflowResults
from sia_dagster.runners.workflow import Models

__all__ = [
    "CodeConfig",
    "LLMClassifyConfig",
    "LLMConfig",
    "Models",
    "PlatformConfig",
    "TracesConfig",
    "WorkflowOrchestrator",
    "WorkflowResults",
    "llm_classify",
]
