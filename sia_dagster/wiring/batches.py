"""A look at batches that were handed in, without running the stage that waits for them."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack, closing

from sia_dagster.wiring.completions import open_store
from sia_dagster.wiring.ports import ChatSettings, api_keys


def batches_ended(settings: ChatSettings, batches: Iterable[str]) -> bool:
    """Whether none of these batches, by their names in the completion store, is still under way at its endpoint.

    Collects nothing. Raises ConfigError for a key that is not set, CallFailed or EndpointRefused where the endpoint
    does not say.
    """
    return asyncio.run(_ended(settings, batches))


async def _ended(settings: ChatSettings, batches: Iterable[str]) -> bool:
    from sia_dagster.adapters.engine.batch_desk import BatchDesk
    from sia_dagster.adapters.engine.batch_lanes import Terms, lanes_of
    from sia_dagster.adapters.engine.store import LedgerScope

    keys = api_keys(settings)
    with closing(open_store(settings.llm, settings.completions)) as store:
        lanes = lanes_of(settings.llm, api_key=keys, store=store, endpoint=settings.endpoint, terms=Terms())
        desk = BatchDesk(lanes, store=store, scope=LedgerScope(loop="", window=""), terms=Terms())
        async with AsyncExitStack() as last:
            for lane in lanes.values():
                last.push_async_callback(lane.endpoint.close)
            return not (await desk.standing(batches)).under_way
