"""Benchmarks of speed, durability, template recovery and the gate's error rates, with results as ratios.

`python -m bench [name ...]` runs them, or each module by itself.
"""
