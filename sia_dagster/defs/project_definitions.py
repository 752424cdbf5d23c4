"""All loops of a configuration as one set of definitions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from sia_dagster.core.config.loop import ProjectConfig
from sia_dagster.defs.loop_definitions import build_loop


def build_project(config: ProjectConfig, folder: Path, *, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The definitions of every loop, run by the configured executor; `resources` as in `build_loop`."""
    loops = [
        build_loop(loop, llm=config.llm, storage=config.storage, folder=folder, resources=resources)
        for loop in config.loops
    ]
    executor = dg.multiprocess_executor if config.executor == "multiprocess" else dg.in_process_executor
    return dg.Definitions.merge(*loops, dg.Definitions(executor=executor))
