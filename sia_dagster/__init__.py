"""Improves an LLM application's prompt from its own production traces, with evidence, as a Dagster project."""
