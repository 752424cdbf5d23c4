"""What loading the code location costs: `import sia_dagster.definitions` against `import dagster`.

Every run worker, sensor and schedule tick of Dagster pays it. CPU seconds of a fresh interpreter, the smallest of
several in turn, less what an empty interpreter takes.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 7
RESULTS = Path(__file__).parent / "results" / "imports.json"


def cpu_of(code: str, folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"PATH": os.defpath, "HOME": folder, "DAGSTER_HOME": ""}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    codes = {"nothing": "pass", "dagster": "import dagster", "definitions": "import sia_dagster.definitions"}
    with tempfile.TemporaryDirectory() as folder:
        rounds = [{name: cpu_of(code, folder) for name, code in codes.items()} for _ in range(ROUNDS)]
    least = {name: min(one[name] for one in rounds) for name in codes}
    ratio = (least["definitions"] - least["nothing"]) / (least["dagster"] - least["nothing"])
    print(f"import dagster                  {least['dagster'] - least['nothing']:.2f} CPU s")
    print(f"import sia_dagster.definitions  {least['definitions'] - least['nothing']:.2f} CPU s")
    print(f"ratio {ratio:.2f} (aim 1.3)")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"cpu_seconds": least, "ratio": round(ratio, 3)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
