"""Dagster runs in this process, for the commands that materialise assets."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sia_dagster.adapters.config.environment import read

if TYPE_CHECKING:
    from dagster import DagsterInstance, ExecuteInProcessResult


@contextmanager
def dagster_instance() -> Iterator["DagsterInstance"]:
    """The instance of $DAGSTER_HOME, so that the UI shows the run; else one for this run alone."""
    from dagster import DagsterInstance

    with DagsterInstance.get() if read("DAGSTER_HOME") else DagsterInstance.ephemeral() as instance:
        yield instance


def failure_of(result: "ExecuteInProcessResult") -> str:
    """The reason of the first failed stage."""
    from sia_dagster.defs.run_failures import failure_reasons

    return next(
        failure_reasons(result.all_events), "the run failed before its first stage; see the log of the run in the UI"
    )
