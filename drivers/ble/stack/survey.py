"""Survey of advertising devices within a time, for `gatepost scan ble`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from random import Random

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.stack.device_filter import DeviceFilter
from gatepost.drivers.ble.stack.timing import BleTiming
from gatepost.drivers.link import LinkFailed

ANY_DEVICE = DeviceFilter(name="*")
MOST_DEVICES = 1000  # devices; in a busy place with changing addresses there is no end of them


async def survey(
    seconds: float,
    adapter: str | None = None,
    *,
    on_seen: Callable[[ReceivedAdvert], None] = lambda advert: None,
    timing: BleTiming | None = None,
) -> list[ReceivedAdvert]:
    """The newest advertisement of each device, the strongest first; `on_seen` hears of all of them at once.

    LinkFailed where nothing can be heard, an adapter that is off included.
    """
    from gatepost.drivers.ble.stack.scanner import AdvertListener, AdvertSighting
    from gatepost.drivers.ble.stack.shared_stack import SharedStack

    radio = SharedStack(Random(), logging.getLogger(__name__), timing or BleTiming())  # noqa: S311  # spreads retries
    newest: dict[str, ReceivedAdvert] = {}
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def seen(sighting: AdvertSighting) -> None:
        if sighting.rssi is None:
            return  # it is connected
        advert = sighting.advert
        if advert.address in newest or len(newest) < MOST_DEVICES:
            newest[advert.address] = advert
            on_seen(advert)

    def cannot(failure: LinkFailed) -> None:
        if not failed.done():
            failed.set_exception(failure)

    try:
        await radio.bluez.ready()
        scanner = radio.known(radio.bluez.pick(adapter)).scanner
        end = scanner.listen(AdvertListener(ANY_DEVICE, seen, cannot))
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await failed
        finally:
            end()
    finally:
        await radio.close(1.0)
    return sorted(newest.values(), key=lambda advert: -999 if advert.rssi is None else advert.rssi, reverse=True)
