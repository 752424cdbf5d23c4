"""The loop and its evaluators from Python, without Dagster."""

from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import CodeConfig, LLMClassifyConfig, PlatformConfig
from sia_dagster.core.config.trace_source import ArizeTracesConfig, LocalTracesConfig, PhoenixTracesConfig
from sia_dagster.runners.llm_classify import llm_classify
from sia_dagster.runners.orchestrator import WorkflowOrchestrator, WorkflowResults
from sia_dagster.runners.workflow import Models

__all__ = [
    "ArizeTracesConfig",
    "CodeConfig",
    "LLMClassifyConfig",
    "LLMConfig",
    "LocalTracesConfig",
    "Models",
    "PhoenixTracesConfig",
    "PlatformConfig",
    "WorkflowOrchestrator",
    "WorkflowResults",
    "llm_classify",
]
