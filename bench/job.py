"""One demo window through the real job, against an empty Dagster job of as many assets.

Both run as a run worker does: a fresh process that imports, builds the definitions and executes the job in process on
an instance in a temporary folder. The demo's window makes every model call anew, to a simulated provider in
the same process whose CPU is part of the figure. CPU seconds of the process, smallest of several in turn; `job` is the
part after imports and definitions.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 3
RESULTS = Path(__file__).parent / "results" / "job.json"
EMPTY = """
import dagster as dg
weeks = dg.WeeklyPartitionsDefinition(start_date="2026-09-14", day_offset=1)
names = ["traces", "eval_results", "baseline_state_actions", "updated_policy", "validation_results", "promoted_policy"]
def empty(name, upstream):
    @dg.asset(name=name, partitions_def=weeks, deps=upstream)
    def asset() -> None: ...
    return asset
assets = [empty(name, names[max(0, i - 1):i]) for i, name in enumerate(names)]
job = dg.Definitions(assets=assets, jobs=[dg.define_asset_job("all", "*")], executor=dg.in_process_executor)
job = job.resolve_job_def("all")
window = "2026-09-14"
"""
DEMO = """
from pathlib import Path
import dagster as dg
from sia_dagster.demo.demo_definitions import demo_config, demo_definitions
from sia_dagster.demo.traffic import WEEKS, week_windows, write_traffic
write_traffic(Path(".sia/demo/traces"), week_windows()[0], None, WEEKS[0])
job = demo_definitions().resolve_job_def("message_desk_improvement")
window = week_windows()[0].key
"""
RUN = """
import json, resource
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
built = used()
quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
with dg.DagsterInstance.local_temp(".") as instance:
    result = job.execute_in_process(partition_key=window, instance=instance, run_config=quiet)
assert result.success
print(json.dumps({"process": used(), "job": used() - built}))
"""


def cpu_of(code: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": os.defpath, "HOME": folder, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, "-c", code + RUN], check=True, cwd=folder, env=environment, capture_output=True, text=True
        )
    used: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return used


def main() -> None:
    rounds = [{"empty": cpu_of(EMPTY), "demo": cpu_of(DEMO)} for _ in range(ROUNDS)]
    least = {
        side: {part: min(one[side][part] for one in rounds) for part in ("process", "job")}
        for side in ("empty", "demo")
    }
    ratios = {part: round(least["demo"][part] / least["empty"][part], 2) for part in ("process", "job")}
    for side, used in least.items():
        print(f"{side:<6} {used['process']:.2f} CPU s, of which the job {used['job']:.2f}")
    print(f"ratio {ratios['process']} (aim 1.5); of the job alone {ratios['job']}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"cpu_seconds": least, "ratios": ratios}, indent=1) + "\n")


if __name__ == "__main__":
    main()
