"""Simulated endpoints, platforms, loops and prompts with known truth, which the tests and the benchmarks share."""
