"""Simulations that tests and benchmarks share, beside the demo of the package (`sia_dagster.demo`).

Servers on loopback: `servers` (scripted), `batch_server`, `fault_server`, `arize_flight`. Loops: `loops`. Prompts with
known templates: `template_world` and `template_prose`; `template_judge` compares what was recovered with the truth.
"""
