"""Settings of all tests: properties draw the same examples everywhere, and none is timed; one Phoenix server a run."""

from itertools import chain

import pytest
from hypothesis import settings

from sia_dagster_tests.phoenix_server import phoenix

__all__ = ["phoenix"]

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests measured (`user_properties`)."""
    for report in chain.from_iterable(terminalreporter.stats.values()):
        for name, value in getattr(report, "user_properties", ()):
            if report.when == "call":
                terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}: {name}: {value}")
