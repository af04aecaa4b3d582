"""Waiting for a device to show itself, as one await."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from drivers.ble.adapter import Adapter
from drivers.ble.failure import LinkFailed
from drivers.ble.scanner import Listener, Sighting
from drivers.ble.wanted import Wanted


async def catch(
    adapter: Adapter, wanted: Wanted, welcome: Callable[[Sighting], bool], limit: float | None = None
) -> Sighting | None:
    """The first advertisement that `welcome` takes; None after `limit` seconds. LinkFailed: nothing can be heard."""
    caught: asyncio.Future[Sighting] = asyncio.get_running_loop().create_future()

    def seen(sighting: Sighting) -> None:
        if not caught.done() and welcome(sighting):
            caught.set_result(sighting)

    def failed(failure: LinkFailed) -> None:
        if not caught.done():
            caught.set_exception(failure)

    end = adapter.scanner.listen(Listener(wanted, seen, failed))
    try:
        async with asyncio.timeout(limit):
            return await caught
    except TimeoutError:
        return None
    finally:
        end()
