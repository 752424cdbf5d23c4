"""Benchmarks: ratios, not promises. `python -m bench [name ...]`, or each module by itself."""
