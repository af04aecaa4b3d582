"""Adapter1: power, discovery for each client, the devices it knows, and its connection slots."""

from __future__ import annotations

import asyncio
from typing import Any

from dbus_fast import Variant

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.twin.daemon_state import DaemonState
from gatepost.drivers.ble.twin.dbus_objects import Answer, BusCall, Properties
from gatepost.drivers.ble.twin.device import TwinDevice
from gatepost.drivers.ble.twin.errors import failed, failure
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral

ADAPTER = "org.bluez.Adapter1"


class TwinAdapter:
    """Emulated adapter. `slots`: links that it holds at most, None = any number; `not_receiving`: until its power was
    cycled; `blocked`: rfkill holds it; `slow_starts`: so many answers to StartDiscovery come after
    `start_takes` seconds, although the client discovers by then. Bonds outlive the daemon."""

    def __init__(self, state: DaemonState, name: str, address: str) -> None:
        self.state = state
        self.objects = state.objects
        self.name = name
        self.path = f"/org/bluez/{name}"
        self.address = address
        self.slots: int | None = None
        self.powered = True
        self.not_receiving = False
        self.blocked = False
        self.slow_starts = 0
        self.start_takes = 0.0
        self.bonds: dict[str, str] = {}  # address -> name
        self.devices: dict[str, TwinDevice] = {}
        self.scans = 0  # how often discovery was started, for tests
        self._filters: dict[str, dict[str, Any]] = {}
        self._discovering: set[str] = set()
        self._freed = asyncio.Event()

    def publish(self) -> None:
        self._filters.clear()
        self._discovering.clear()
        self.devices.clear()
        properties: Properties = {
            "Address": Variant("s", self.address),
            "AddressType": Variant("s", "public"),
            "Name": Variant("s", "gatepost-twin"),
            "Alias": Variant("s", "gatepost-twin"),
            "Class": Variant("u", 0),
            "Powered": Variant("b", self.powered),
            "Discoverable": Variant("b", False),
            "Pairable": Variant("b", True),
            "Discovering": Variant("b", False),
            "UUIDs": Variant("as", []),
            "Roles": Variant("as", ["central", "peripheral"]),
        }
        self.objects.add(self.path, {ADAPTER: properties})
        methods = {
            "SetDiscoveryFilter": self._filter,
            "StartDiscovery": self._start,
            "StopDiscovery": self._stop,
            "RemoveDevice": self._remove,
        }
        self.objects.serve(self.path, ADAPTER, methods)
        self.objects.settable(self.path, ADAPTER, "Powered", self.power)
        for address in self.bonds:
            self.devices[address] = TwinDevice(self, address, None)

    def withdraw(self) -> None:
        """Unplugged: everything of it leaves the bus."""
        for device in list(self.devices.values()):
            device.withdraw()
        self.devices.clear()
        self._discovering.clear()
        self.objects.remove(self.path)

    # -- power

    async def power(self, on: bool) -> None:
        """Switch the power, as setting `Powered` does."""
        if on and self.blocked:
            raise failure("Blocked")
        if on == self.powered:
            return
        self.powered = on
        if not on:
            self.not_receiving = False
            for device in self.devices.values():
                device.down()
            self._quiet()
        self.objects.change(self.path, ADAPTER, {"Powered": Variant("b", on)})

    # -- discovery

    @property
    def discovering(self) -> bool:
        return bool(self._discovering)

    async def _filter(self, call: BusCall) -> Answer:
        if call.body[0]:
            self._filters[call.sender] = {key: each.value for key, each in call.body[0].items()}
        else:
            self._filters.pop(call.sender, None)
        return None

    async def _start(self, call: BusCall) -> Answer:
        if not self.powered:
            raise failure("NotReady")
        if call.sender in self._discovering:
            raise failure("InProgress")
        self.scans += 1
        self._discovering.add(call.sender)
        if len(self._discovering) == 1:
            self.objects.change(self.path, ADAPTER, {"Discovering": Variant("b", True)})
        if self.slow_starts:  # as a daemon under load: the client discovers, and its answer comes late
            self.slow_starts -= 1
            await asyncio.sleep(self.start_takes)
        return None

    async def _stop(self, call: BusCall) -> Answer:
        if not self.powered:
            raise failure("NotReady")
        if call.sender not in self._discovering:
            raise failed("No discovery started")
        self._leave(call.sender)
        return None

    def _leave(self, client: str) -> None:
        self._discovering.discard(client)
        if not self._discovering:
            self._quiet()

    def _quiet(self) -> None:
        self._discovering.clear()
        for device in self.devices.values():
            device.silence()
        if self.objects.value(self.path, ADAPTER, "Discovering"):
            self.objects.change(self.path, ADAPTER, {"Discovering": Variant("b", False)})

    def receive(self, advert: ReceivedAdvert, peripheral: TwinPeripheral) -> None:
        if not self.powered or not self._discovering or self.not_receiving or not self._wanted(advert):
            return
        device = self._resolved(advert.address, peripheral)
        if device is None:
            self.devices[advert.address] = TwinDevice(self, advert.address, advert, peripheral.random_address)
        else:
            device.receive(advert)

    def _resolved(self, address: str, peripheral: TwinPeripheral) -> TwinDevice | None:
        """The device that sent it: by its address, or by its identity where a bond reveals it."""
        if peripheral.identity in self.bonds:
            return next((each for each in self.devices.values() if each.identity == peripheral.identity), None)
        return self.devices.get(address)

    def _wanted(self, advert: ReceivedAdvert) -> bool:
        """True if the filter of any client that discovers lets it through."""
        for client in self._discovering:
            wanted = self._filters.get(client, {}).get("UUIDs")
            if not wanted or set(wanted) & set(advert.services):
                return True
        return False

    # -- devices

    async def _remove(self, call: BusCall) -> Answer:
        for device in self.devices.values():
            if device.path == call.body[0]:
                self.forget(device)
                return None
        raise failure("DoesNotExist")

    def forget(self, device: TwinDevice) -> None:
        """The device and its bond are gone."""
        self.bonds.pop(device.identity, None)
        self.devices.pop(device.address, None)
        device.withdraw()

    def known(self, address: str, peripheral: TwinPeripheral) -> TwinDevice:
        """The device of this address, made known where it was not."""
        if address not in self.devices:
            advert = peripheral.advertisement()
            self.devices[address] = TwinDevice(self, address, advert, peripheral.random_address)
        return self.devices[address]

    def gone(self, client: str) -> None:
        """A client left the bus."""
        self._filters.pop(client, None)
        if client in self._discovering:
            self._leave(client)
        for device in self.devices.values():
            device.gone(client)

    # -- slots

    def full(self) -> bool:
        links = sum(each.link is not None for each in self.devices.values())
        return self.slots is not None and links >= self.slots

    def released(self) -> None:
        self._freed.set()

    async def freed(self) -> None:
        self._freed.clear()
        await self._freed.wait()
