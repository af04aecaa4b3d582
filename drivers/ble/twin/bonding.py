"""Bonding of one device: Pair, CancelPairing, and requests that need an encrypted link."""

from __future__ import annotations

import asyncio
from typing import Protocol

from dbus_fast import Variant

from gatepost.drivers.ble.twin.daemon_state import DaemonState
from gatepost.drivers.ble.twin.dbus_objects import Answer, BusCall, BusError
from gatepost.drivers.ble.twin.errors import failed, failure
from gatepost.drivers.ble.twin.hosted_peripheral import TwinLink

DEVICE = "org.bluez.Device1"


class BondingDevice(Protocol):
    """The device that is bonded. `bonds`: names of bonded devices by address."""

    state: DaemonState
    identity: str
    path: str
    link: TwinLink | None

    @property
    def bonds(self) -> dict[str, str]: ...

    @property
    def bonded(self) -> bool: ...

    async def establish(self, call: BusCall) -> TwinLink: ...


class TwinBonding:
    """Pairing of one device, one at a time; whoever asks meanwhile shares its outcome."""

    def __init__(self, device: BondingDevice) -> None:
        self._device = device
        self._pairing: asyncio.Task[None] | None = None

    async def pair(self, call: BusCall) -> Answer:
        if self._device.bonded:
            raise failure("AlreadyExists")
        if self._pairing is not None:
            raise failure("InProgress")
        link = self._device.link or await self._device.establish(call)
        await self._bond(link, call.sender)
        return None

    async def cancel(self, call: BusCall) -> Answer:
        if self._pairing is None:
            raise failure("DoesNotExist")
        self._pairing.cancel()
        return None

    async def encrypt(self, link: TwinLink) -> None:
        """A request needs an encrypted link: the daemon pairs by itself where an agent lets it, else nothing ever
        answers."""
        if link.hosted.unpaired == "refuse" or link.peripheral.pairing == "none":
            raise failure("NotPermitted", "Not paired")
        if self._device.state.agents.of("") is None:
            await link.lost.wait()
            raise failed("Not connected")
        try:
            await self._bond(link, "")
        except BusError:
            raise failure("NotPermitted", "Not paired") from None

    async def _bond(self, link: TwinLink, caller: str) -> None:
        if self._pairing is None:
            self._pairing = asyncio.create_task(self._authenticate(link, caller))
        lost = asyncio.create_task(link.lost.wait())
        task = self._pairing
        try:
            await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or task.cancelled():
                raise failure("AuthenticationCanceled")
            task.result()
        finally:
            task.cancel()
            lost.cancel()
            self._pairing = None

    async def _authenticate(self, link: TwinLink, caller: str) -> None:
        device, state = self._device, self._device.state
        await asyncio.sleep(state.timing.pair)
        await state.agents.authenticate(device.path, link.peripheral, caller)
        link.hosted.pairings += 1
        link.peripheral.bonded = link.encrypted = True
        changed = {"Paired": Variant("b", True), "Bonded": Variant("b", True)}
        if link.peripheral.identity:
            device.identity = link.peripheral.identity
            changed |= {"Address": Variant("s", device.identity), "AddressType": Variant("s", "public")}
        device.bonds[device.identity] = link.peripheral.name
        state.objects.change(device.path, DEVICE, changed)
