"""Link to a device that only advertises: nothing is connected, every advertisement is data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatepost.drivers.ble.link.device_claim import DeviceClaim
from gatepost.drivers.ble.link.rssi_reporter import RssiReporter
from gatepost.drivers.ble.stack.device_filter import addresses_of
from gatepost.drivers.ble.stack.scanner import AdvertListener, AdvertSighting
from gatepost.drivers.link import LinkFailed, Reason

if TYPE_CHECKING:
    from gatepost.drivers.ble.stack.shared_stack import SharedStack
    from gatepost.drivers.link import LinkEvents

WAITING_TEXT = "waiting for the device to advertise"


class AdvertLink:
    """Link to an advertiser: open once it was heard, lost only with the adapter. The decoder drops repetitions."""

    can_pause = False

    def __init__(
        self, radio: Callable[[], SharedStack], claim: DeviceClaim, adapter: str | None, events: LinkEvents
    ) -> None:
        self._radio = radio
        self._claim = claim
        self._keeping: asyncio.Task[None] | None = None
        self._adapter = adapter
        self._events = events
        self._end: Callable[[], None] | None = None
        self._rssi: RssiReporter | None = None
        self._open = False
        self.adverts = 0

    async def open(self, timeout: float = 0.0) -> None:
        """Waits without a limit until the device is heard; LinkFailed when nothing can be heard."""
        radio = self._radio()
        first: asyncio.Future[AdvertSighting] = asyncio.get_running_loop().create_future()

        def seen(sighting: AdvertSighting) -> None:
            if not self._is_meant(sighting):
                return
            if self._open:
                self._on_sighting(sighting)
            elif not first.done():
                first.set_result(sighting)

        def failed(failure: LinkFailed) -> None:
            if self._open:
                self._stop()
                self._events.lost(failure)
            elif not first.done():
                first.set_exception(failure)

        self._stop()
        await self._claim.load()
        while True:
            adapter = await radio.adapter(self._adapter, self._events.waiting)
            self._events.waiting("waiting", WAITING_TEXT, "check that it is in range and that its battery is charged")
            first = asyncio.get_running_loop().create_future()
            self._end = adapter.scanner.listen(AdvertListener(self._claim.filter, seen, failed))
            try:
                sighting = await first
                break
            except LinkFailed as failure:
                self._stop()
                if failure.reason is not Reason.ADAPTER_OFF:
                    raise
            except BaseException:
                self._stop()
                raise
        self._rssi = RssiReporter(self._events.known, radio.timing)
        self._open = True
        asyncio.get_running_loop().call_soon(self._on_sighting, sighting)

    def pause(self) -> None:
        """Nothing slows an advertiser down."""

    def resume(self) -> None:
        """See `pause`."""

    async def send(self, data: bytes, timeout: float = 0.0) -> None:
        raise LinkFailed(Reason.SETTINGS, f"{self._claim.filter} only advertises; nothing can be sent to it")

    async def close(self, timeout: float = 0.0) -> None:
        self._stop()
        if self._keeping is not None:
            await asyncio.wait((self._keeping,), timeout=timeout or 0.5)

    async def usable_again(self) -> None:
        await self._radio().usable_again(self._adapter)

    def counters(self) -> dict[str, int]:
        """Nothing that is heard can be known to be wrong here."""
        return {}

    def statistics(self) -> dict[str, int]:
        """Advertisements; the last signal strength in dBm."""
        counts = {"advertisements": self.adverts}
        if self._rssi is not None and self._rssi.last is not None:
            counts["rssi"] = self._rssi.last
        return counts

    def _is_meant(self, sighting: AdvertSighting) -> bool:
        """The first device of a name is meant for good."""
        before, properties = self._claim.device, sighting.properties
        if not self._claim.may_be(addresses_of(sighting.path, properties)):
            return False
        self._claim.met(sighting.path, properties)
        self._claim.confirm()
        if self._claim.device != before:
            if self._claim.status:
                self._events.known(self._claim.status)
            self._keeping = asyncio.get_running_loop().create_task(self._claim.keep(), name="claim")
        return True

    def _stop(self) -> None:
        self._open = False
        end, self._end = self._end, None
        if end is not None:
            end()

    def _on_sighting(self, sighting: AdvertSighting) -> None:
        if not self._open:
            return
        self.adverts += 1
        if self._rssi is not None:
            self._rssi.report(sighting.rssi, sighting.at)
        self._events.data(sighting.advert)
