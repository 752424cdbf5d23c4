"""The code location: the loops of `sia.yaml` (or `$SIA_CONFIG`); with no file, the demo loop."""

import gc

import dagster as dg

from sia_dagster.adapters.config.file import find_config, load_config
from sia_dagster.defs.project_definitions import build_project
from sia_dagster.demo.demo_definitions import demo_definitions


def _definitions() -> dg.Definitions:
    if (path := find_config()) is None:
        return demo_definitions()
    from sia_dagster.adapters.config.references import check_references

    file = load_config(path)
    check_references(file)
    return build_project(file.config, file.folder)


# Loaded modules live as long as the process; without this every full collection walks Dagster's objects again.
gc.freeze()

defs = _definitions()
