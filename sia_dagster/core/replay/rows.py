"""Workers that share one iterator of rows: bounded concurrency without one task a row."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

Row = TypeVar("Row")
Result = TypeVar("Result")


async def map_rows(
    rows: Iterable[Row], work: Callable[[Row], Awaitable[Result]], *, workers: int
) -> AsyncIterator[tuple[int, Result]]:
    """Yield `(index of the row, result)` as rows complete, with at most `workers` in flight.

    An exception of `work` stops the feed; rows in flight are cancelled and the exception is raised. So `work` returns
    the failure of one row as a value and raises only what must stop the stage.
    """
    feed = enumerate(rows)
    done: asyncio.Queue[tuple[int, Result] | BaseException | None] = asyncio.Queue()

    async def worker() -> None:
        try:
            for index, row in feed:
                done.put_nowait((index, await work(row)))
        except BaseException as error:
            done.put_nowait(error)
            raise
        else:
            done.put_nowait(None)

    tasks = [asyncio.create_task(worker()) for _ in range(max(1, workers))]
    try:
        running = len(tasks)
        while running:
            item = await done.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                running -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
