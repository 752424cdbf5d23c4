"""`make bench`: every benchmark, or those named. Each prints its ratios and writes bench/results/<name>.json."""

import runpy
import sys

NAMES = (
    "imports",
    "job",
    "spans",
    "arize_export",
    "templates",
    "calls",
    "limits",
    "faults",
    "durability",
    "batches",
    "calibration",
)


def main() -> None:
    asked = sys.argv[1:] or list(NAMES)
    if unknown := [name for name in asked if name not in NAMES]:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in asked:
        print(f"\n== {name}", flush=True)
        sys.argv = [f"bench/{name}.py"]
        runpy.run_module(f"bench.{name}", run_name="__main__")


if __name__ == "__main__":
    main()
