"""The loop and its evaluators from Python, without Dagster."""

from sia_dagster.runners.llm_classify import llm_classify
from sia_dagster.runners.orchestrator import Models, WorkflowOrchestrator, WorkflowResults

__all__ = ["Models", "WorkflowOrchestrator", "WorkflowResults", "llm_classify"]
