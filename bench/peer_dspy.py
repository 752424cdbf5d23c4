"""DSPy's `Evaluate` on the rows of bench/peers.py, in an environment of its own.

`python bench/peer_dspy.py BASE_URL ROWS IN_FLIGHT EVERY MARK`: every EVERY-th row holds the text MARK. Prints one
JSON line: rows with a result, CPU milliseconds a row, wall seconds, and how the run ended.
"""

import importlib
import json
import logging
import sys
import time
from typing import Any


def main() -> None:
    """Judge each row once, as DSPy's documentation does it: a signature, a metric, `Evaluate` over threads."""
    base_url, mark = sys.argv[1], sys.argv[5]
    rows, in_flight, every = (int(given) for given in sys.argv[2:5])
    dspy: Any = importlib.import_module("dspy")
    logging.disable(logging.CRITICAL)
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    model = dspy.LM("openai/judge", api_base=base_url, api_key="none", temperature=0, cache=False)
    dspy.configure(lm=model, adapter=dspy.JSONAdapter())
    judge = dspy.Predict("output -> explanation, label")
    results = 0

    def metric(_: Any, prediction: Any, trace: Any = None) -> float:
        return float(prediction.label == "correct")

    judge(output="warm-up")
    texts = [f"{number} " + "u" * 1500 + (f" {mark}" if number % every == 0 else "") for number in range(rows)]
    examples = [dspy.Example(output=text).with_inputs("output") for text in texts]
    evaluate = dspy.Evaluate(devset=examples, metric=metric, num_threads=in_flight, display_progress=False)
    ended, cpu, began = "finished", time.process_time(), time.perf_counter()
    try:
        results = sum(score == 1.0 for _, _, score in evaluate(judge).results)
    except Exception as error:  # noqa: BLE001 - how it ends is what is asked
        ended = f"{type(error).__name__}: {error}"[:200]
    told = {
        "results": results,
        "cpu_ms_a_row": (time.process_time() - cpu) / rows * 1000,
        "seconds": time.perf_counter() - began,
        "ended": ended,
        "version": dspy.__version__,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
