"""Progress of long stages: a log line every tenth in Dagster, and a listener for the command's bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import dagster as dg

from sia_dagster.core.ports import Progress

_listener: ContextVar[Progress | None] = ContextVar("progress_listener", default=None)


@contextmanager
def listen(listener: Progress) -> Iterator[None]:
    """Have every stage that runs in this context report to `listener` too."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def progress_of(context: dg.AssetExecutionContext) -> Progress:
    """Logs `evaluations: 120 of 240` at each tenth of the way."""
    tenths = {"at": -1}

    def report(done: int, of: int, what: str) -> None:
        if listener := _listener.get():
            listener(done, of, what)
        tenth = 10 * done // max(of, 1)
        if tenth != tenths["at"]:
            tenths["at"] = tenth
            context.log.info(f"{what}: {done} of {of}")

    return report
