"""The GATT objects of one connected device: GattService1, GattCharacteristic1, GattDescriptor1."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dbus_fast import Variant

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.dbus_objects import Answer, BusCall, ObjectTree
from gatepost.drivers.ble.twin.errors import att, failed, failure
from gatepost.drivers.ble.twin.hosted_peripheral import TwinLink
from gatepost.drivers.ble.twin.peripheral import INVALID_HANDLE, TwinCharacteristic
from gatepost.drivers.ble.uuids import uuid as full

SERVICE, CHARACTERISTIC = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
DESCRIPTOR = "org.bluez.GattDescriptor1"
CLIENT_CONFIGURATION = full(0x2902)
# GAP stays inside the daemon.
HIDDEN = {full(0x1800)}


class TwinGatt:
    """GATT objects of the device at `path`, built at the first resolution; they stay through lost links until the
    device is removed. `link_of` gives the link of this moment; `encrypt` makes one encrypted or raises BusError."""

    def __init__(
        self,
        path: str,
        objects: ObjectTree,
        link_of: Callable[[], TwinLink | None],
        encrypt: Callable[[TwinLink], Awaitable[None]],
    ) -> None:
        self._path = path
        self._objects = objects
        self._link_of = link_of
        self._encrypt = encrypt
        self.paths: dict[str, TwinCharacteristic] = {}
        self._subscribers: dict[str, set[str]] = {}  # path -> clients, "" is the daemon's battery plug-in
        self._reading: set[str] = set()

    def publish(self, link: TwinLink) -> None:
        for service in link.peripheral.services:
            if service.uuid in HIDDEN:
                continue
            at = f"{self._path}/service{service.handle:04x}"
            properties: dict[str, Variant] = {
                "UUID": Variant("s", service.uuid),
                "Device": Variant("o", self._path),
                "Primary": Variant("b", True),
                "Includes": Variant("ao", []),
            }
            self._objects.add(at, {SERVICE: properties})
            for characteristic in service.characteristics:
                self._publish(at, characteristic, link.peripheral.mtu)

    def _publish(self, service: str, characteristic: TwinCharacteristic, mtu: int) -> None:
        at = f"{service}/char{characteristic.handle:04x}"
        properties = {
            "UUID": Variant("s", characteristic.uuid),
            "Service": Variant("o", service),
            "Value": Variant("ay", b""),
            "Flags": Variant("as", list(characteristic.properties)),
            "MTU": Variant("q", mtu),
        }
        if characteristic.streams:
            properties["Notifying"] = Variant("b", False)
        self.paths[at] = characteristic
        self._objects.add(at, {CHARACTERISTIC: properties})
        methods = {
            "ReadValue": lambda call: self._read(at, characteristic, call),
            "WriteValue": lambda call: self._write(characteristic, call),
            "StartNotify": lambda call: self._start(at, characteristic, call),
            "StopNotify": lambda call: self._stop(at, characteristic, call),
        }
        self._objects.serve(at, CHARACTERISTIC, methods)
        handle = characteristic.handle + 2
        descriptors = dict(characteristic.descriptors)
        if characteristic.streams:
            descriptors = {CLIENT_CONFIGURATION: b"\0\0", **descriptors}
        for number, (uuid, data) in enumerate(descriptors.items()):
            self._describe(f"{at}/desc{handle + number:04x}", at, uuid, data)

    def _describe(self, at: str, characteristic: str, uuid: str, data: bytes) -> None:
        properties = {
            "UUID": Variant("s", uuid),
            "Characteristic": Variant("o", characteristic),
            "Value": Variant("ay", data),
        }

        async def read(call: BusCall) -> Answer:
            self._link()
            return "ay", [data]

        self._objects.add(at, {DESCRIPTOR: properties})
        self._objects.serve(at, DESCRIPTOR, {"ReadValue": read})

    def withdraw(self) -> None:
        at = self._path + "/service"
        for path in sorted((each for each in self._objects.tree if each.startswith(at)), reverse=True):
            self._objects.remove(path)
        self.paths.clear()
        self._subscribers.clear()

    # -- what clients ask

    def _link(self) -> TwinLink:
        link = self._link_of()
        if link is None:
            raise failed("Not connected")
        return link

    async def _ready(self, characteristic: TwinCharacteristic) -> TwinLink:
        """The link, once this characteristic may be used on it."""
        link = self._link()
        if characteristic.uuid in link.hosted.stuck:
            await link.lost.wait()
            raise failed("Not connected")
        if not any(each is characteristic for each in link.peripheral):  # known from before its firmware changed
            raise att(GattError("stale", INVALID_HANDLE))
        if characteristic.encrypted and not link.encrypted:
            await self._encrypt(link)
        await asyncio.sleep(0)
        if link.lost.is_set():
            raise failed("Not connected")
        return link

    async def _read(self, at: str, characteristic: TwinCharacteristic, call: BusCall) -> Answer:
        if at in self._reading:
            raise failure("InProgress", "In Progress")
        self._reading.add(at)
        try:
            link = await self._ready(characteristic)
            link.hosted.reads.append(characteristic.uuid)
            data = characteristic.read()
        except GattError as error:
            raise att(error) from None
        finally:
            self._reading.discard(at)
        data = data[call.body[0]["offset"].value :] if "offset" in call.body[0] else data
        self._objects.change(at, CHARACTERISTIC, {"Value": Variant("ay", data)})
        return "ay", [data]

    async def _write(self, characteristic: TwinCharacteristic, call: BusCall) -> Answer:
        data, options = bytes(call.body[0]), call.body[1]
        request = not ("type" in options and options["type"].value == "command")
        if ("write" if request else "write-without-response") not in characteristic.properties:
            raise failure("NotSupported")
        link = await self._ready(characteristic)
        link.hosted.writes.append((characteristic.uuid, data))
        try:
            characteristic.write(data)
        except GattError as error:
            if request:
                raise att(error) from None
        return None

    async def _start(self, at: str, characteristic: TwinCharacteristic, call: BusCall) -> Answer:
        if not characteristic.streams:
            raise failure("NotSupported")
        if call.sender in self._subscribers.get(at, ()):
            raise failure("InProgress", "Already notifying")
        link = await self._ready(characteristic)
        link.hosted.subscriptions.append(characteristic.uuid)
        self.subscribe(at, call.sender)
        return None

    async def _stop(self, at: str, characteristic: TwinCharacteristic, call: BusCall) -> Answer:
        if call.sender not in self._subscribers.get(at, ()):
            raise failed("No notify session started")
        self._leave(at, call.sender)
        return None

    # -- who listens

    def subscribe(self, at: str, client: str) -> None:
        """Raises BusError."""
        link, characteristic = self._link(), self.paths[at]
        try:
            link.peripheral.subscribe(characteristic, True)
        except GattError as error:
            raise att(error) from None
        self._subscribers.setdefault(at, set()).add(client)
        if client:
            self._objects.change(at, CHARACTERISTIC, {"Notifying": Variant("b", True)})

    def _leave(self, at: str, client: str) -> None:
        left = self._subscribers.get(at, set())
        left.discard(client)
        if client and not left - {""}:
            self._objects.change(at, CHARACTERISTIC, {"Notifying": Variant("b", False)})
        if not left:
            self._subscribers.pop(at, None)
            link = self._link_of()
            if link is not None:
                link.peripheral.subscribe(self.paths[at], False)

    def gone(self, client: str) -> None:
        """A client left the bus, and with it its subscriptions."""
        for at in [at for at, clients in self._subscribers.items() if client in clients]:
            self._leave(at, client)

    def resubscribe(self, link: TwinLink) -> None:
        """A new link: who listened before the old one was lost listens again."""
        for at in list(self._subscribers):
            characteristic = self.paths[at]
            if not characteristic.encrypted or link.encrypted:
                link.peripheral.subscribe(characteristic, True)

    def value(self, characteristic: TwinCharacteristic, data: bytes) -> None:
        """The peripheral notified or indicated."""
        link = self._link()
        link.hosted.sent[characteristic.uuid] += 1
        for at, each in self.paths.items():
            if each is characteristic and self._subscribers.get(at, set()) - {""}:
                self._objects.change(at, CHARACTERISTIC, {"Value": Variant("ay", data)})
                return
