"""Asks a strategy for its candidates: whatever it does, the window goes on."""

import asyncio
from collections.abc import Sequence

from sia_dagster.core.errors import SearchCapReached
from sia_dagster.core.records.search import Candidate
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.search.search_work import SearchWork
from sia_dagster.core.search.strategy import SearchStrategy


async def ask(strategy: SearchStrategy, desk: Desk, work: SearchWork) -> tuple[list[Candidate], str]:
    """The strategy's candidates, and what went wrong: it raised, did not end in time, or gave something else.

    What must stop the window, or has to wait for a batch, is raised whatever the strategy made of it.
    """
    try:
        given, problem = await _given(strategy, desk)
    finally:
        desk.close()
    if work.chat.stopped is not None:
        raise work.chat.stopped
    work.check_answers()
    if not isinstance(given, Sequence) or not all(isinstance(each, Candidate) for each in given):
        return [], f"it returned {type(given).__name__} instead of a sequence of candidates"
    return list(given), problem


async def _given(strategy: SearchStrategy, desk: Desk) -> tuple[Sequence[Candidate], str]:
    minutes = desk.config.search_minutes
    try:
        async with asyncio.timeout(minutes * 60) as limit:
            return await strategy.search(desk), ""
    except SearchCapReached as error:
        return (), str(error)
    except (Exception, asyncio.CancelledError) as error:  # A user's code may raise anything; the window goes on.
        if limit.expired():
            return (), f"it did not end within {minutes:g} minutes (policy.search_minutes)"
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        return (), f"it raised {type(error).__name__}{_place_of(error, type(strategy).__module__)}"


def _place_of(error: BaseException, module: str) -> str:
    """` (line 12 of strategy.py)`: where `module` came to it; its message may hold trace text or a secret."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    own = [each for each in frames if each.tb_frame.f_globals.get("__name__") == module]
    where = (own or frames)[-1]
    return f" (line {where.tb_lineno} of {where.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]})"
