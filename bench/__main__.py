"""`make bench`: the benchmarks, or those named. Each prints its ratios and writes bench/results/<name>.json."""

import runpy
import sys
import time

NAMES = ("imports", "job", "spans", "trace_forms", "arize_export", "calls", "batches", "calibration")
BY_NAME_ONLY = ("limits", "faults", "durability", "templates", "guard", "gullible")
"""Those that take minutes each: `make bench-faults`, `make bench-templates`, `make bench-guard`."""


def main() -> None:
    asked = sys.argv[1:]
    if unknown := [name for name in asked if name not in (*NAMES, *BY_NAME_ONLY)]:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join((*NAMES, *BY_NAME_ONLY))}")
    if not asked:
        print(f"{len(NAMES)} benchmarks, less than five minutes on two quiet cores.", flush=True)
    for name in asked or NAMES:
        print(f"\n== {name}", flush=True)
        sys.argv = [f"bench/{name}.py"]
        began = time.perf_counter()
        runpy.run_module(f"bench.{name}", run_name="__main__")
        print(f"({name}: {time.perf_counter() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
