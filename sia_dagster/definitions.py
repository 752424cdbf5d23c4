"""The code location: the loops of `sia.yaml` (or `$SIA_CONFIG`); with no file, the demo loop."""

import dagster as dg

from sia_dagster.adapters.config_file import find_config, load_config
from sia_dagster.adapters.config_references import check_references
from sia_dagster.defs.project import build_project


def _definitions() -> dg.Definitions:
    if (path := find_config()) is None:
        from sia_dagster.demo.definitions import demo_definitions

        return demo_definitions()
    file = load_config(path)
    check_references(file)
    return build_project(file.config, file.folder)


defs = _definitions()
