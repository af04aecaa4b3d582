"""Device1: one peripheral as one adapter knows it; its link, its bond, the order of its signals."""

from __future__ import annotations

import asyncio
from typing import Protocol

from dbus_fast import Variant

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.twin.bonding import TwinBonding
from gatepost.drivers.ble.twin.daemon_state import DaemonState
from gatepost.drivers.ble.twin.dbus_objects import Answer, BusCall, Properties
from gatepost.drivers.ble.twin.errors import failed, failure
from gatepost.drivers.ble.twin.gatt import HIDDEN, TwinGatt
from gatepost.drivers.ble.twin.hosted_peripheral import ABORTED, HostedPeripheral, TwinLink
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic
from gatepost.drivers.ble.uuids import uuid as full

DEVICE, BATTERY = "org.bluez.Device1", "org.bluez.Battery1"
BATTERY_LEVEL = full(0x2A19)


class DeviceHost(Protocol):
    """The adapter of a device. `bonds`: names of bonded devices by address, kept when the daemon ends."""

    state: DaemonState
    path: str
    powered: bool
    bonds: dict[str, str]

    def forget(self, device: TwinDevice) -> None: ...

    def full(self) -> bool:
        """True if every connection slot is taken."""
        ...

    async def freed(self) -> None:
        """Returns when a slot was given back."""
        ...

    def released(self) -> None:
        """A slot is free again."""
        ...


class TwinDevice:
    """Device object, on the bus from its first advertisement (or the start, where it is bonded) until it is removed."""

    def __init__(
        self, adapter: DeviceHost, address: str, advert: ReceivedAdvert | None, random_address: bool = False
    ) -> None:
        self.adapter = adapter
        self.state = adapter.state
        self.objects = adapter.state.objects
        self.address = address
        self.path = f"{adapter.path}/dev_{address.replace(':', '_')}"
        self.identity = address  # until a bond reveals another one
        self.link: TwinLink | None = None
        self.trusted = False
        self.bonding = TwinBonding(self)
        self._gatt = TwinGatt(self.path, self.objects, lambda: self.link, self.bonding.encrypt)
        self._resolved = False
        self._abort: asyncio.Event | None = None  # set while an attempt to connect goes on
        self._expiry: asyncio.TimerHandle | None = None
        name = advert.name if advert is not None else adapter.bonds.get(address, "")
        properties: Properties = {
            "Address": Variant("s", address),
            "AddressType": Variant("s", "random" if random_address else "public"),
            "Alias": Variant("s", name or address.replace(":", "-")),
            "Adapter": Variant("o", adapter.path),
            "Blocked": Variant("b", False),
            "LegacyPairing": Variant("b", False),
            "Trusted": Variant("b", False),
            "Paired": Variant("b", self.bonded),
            "Bonded": Variant("b", self.bonded),
            "Connected": Variant("b", False),
            "ServicesResolved": Variant("b", False),
            "UUIDs": Variant("as", []),
        }
        if name:
            properties["Name"] = Variant("s", name)
        if advert is not None:
            properties.update(self._shown(advert, properties))
        self.objects.add(self.path, {DEVICE: properties})
        methods = {
            "Connect": self._connect,
            "Disconnect": self._disconnect,
            "Pair": self.bonding.pair,
            "CancelPairing": self.bonding.cancel,
        }
        self.objects.serve(self.path, DEVICE, methods)
        self.objects.settable(self.path, DEVICE, "Trusted", self._trust)
        self._linger()

    @property
    def bonds(self) -> dict[str, str]:
        return self.adapter.bonds

    @property
    def bonded(self) -> bool:
        return self.identity in self.bonds

    async def _trust(self, value: bool) -> None:
        self.trusted = value
        self.objects.change(self.path, DEVICE, {"Trusted": Variant("b", value)})
        self._linger()

    # -- advertisements

    def receive(self, advert: ReceivedAdvert) -> None:
        there = self.objects.tree[self.path][DEVICE]
        self.objects.change(self.path, DEVICE, self._shown(advert, there))
        self._linger()

    def _shown(self, advert: ReceivedAdvert, there: Properties) -> Properties:
        """Properties that an advertisement changes; manufacturer and service data accumulate."""
        out: Properties = {}
        if advert.rssi is not None:
            out["RSSI"] = Variant("n", advert.rssi)
        if advert.name and ("Name" not in there or there["Name"].value != advert.name):
            out["Name"] = out["Alias"] = Variant("s", advert.name)
        if advert.manufacturer_data:
            known = there["ManufacturerData"].value if "ManufacturerData" in there else {}
            fresh = {company: Variant("ay", data) for company, data in advert.manufacturer_data.items()}
            out["ManufacturerData"] = Variant("a{qv}", {**known, **fresh})
        if advert.service_data:
            known = there["ServiceData"].value if "ServiceData" in there else {}
            data_of = {uuid: Variant("ay", data) for uuid, data in advert.service_data.items()}
            out["ServiceData"] = Variant("a{sv}", {**known, **data_of})
        shown = sorted({*there["UUIDs"].value, *advert.services})
        if shown != there["UUIDs"].value:
            out["UUIDs"] = Variant("as", shown)
        return out

    def silence(self) -> None:
        """Discovery ended: the strength of what was heard is no longer known."""
        if self.link is None:
            self.objects.change(self.path, DEVICE, {}, ("RSSI", "TxPower"))

    def _linger(self) -> None:
        """A device that is neither bonded nor trusted nor connected is forgotten after a while."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self.link is None and self._abort is None and not self.bonded and not self.trusted:
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_later(self.state.timing.forget, self.adapter.forget, self)

    # -- connecting

    async def _connect(self, call: BusCall) -> Answer:
        if self.link is None:
            await self.establish(call)
        return None

    async def establish(self, call: BusCall) -> TwinLink:
        """A link, or BusError; services follow once the call was answered."""
        adapter, hosted = self.adapter, self._hosted()
        if not adapter.powered:
            raise failure("NotReady")
        if hosted is not None:
            hosted.attempts += 1
            if hosted.busy > 0:
                hosted.busy -= 1
                raise failure("InProgress")
        if self._abort is not None:
            raise failure("InProgress")
        self._abort = abort = asyncio.Event()
        self._linger()
        tries = asyncio.create_task(self._reach(hosted))
        stop = asyncio.create_task(abort.wait())
        try:
            await asyncio.wait({tries, stop}, return_when=asyncio.FIRST_COMPLETED)
            if abort.is_set():
                raise failed("br-connection-canceled")
            link = tries.result()
        finally:
            tries.cancel()
            stop.cancel()
            self._abort = None
            self._linger()
        if (wrong := link.hosted.refusal()) is not None:
            if wrong == ABORTED:  # it was connected for a moment
                self.objects.change(self.path, DEVICE, {"Connected": Variant("b", True)})
                call.after.append(lambda: self.objects.change(self.path, DEVICE, {"Connected": Variant("b", False)}))
            raise failed(wrong)
        self._up(link)
        call.after.append(lambda: self.objects.start(self._settle(link)))
        return link

    def _hosted(self) -> HostedPeripheral | None:
        found = self.state.hosted.get(self.address)
        if found is None and self.bonded:  # the address of the moment is resolved
            everybody = self.state.hosted.values()
            found = next((each for each in everybody if each.peripheral.identity == self.identity), None)
        return found

    async def _reach(self, hosted: HostedPeripheral | None) -> TwinLink:
        while self.adapter.full():
            await self.adapter.freed()
        if hosted is None:  # known from a bond, and nowhere to be heard
            await asyncio.Event().wait()
        assert hosted is not None
        await asyncio.sleep(self.state.timing.connect)
        await hosted.reach()
        return TwinLink(hosted)

    def _up(self, link: TwinLink) -> None:
        self.link = link
        link.hosted.device = self
        link.hosted.connects += 1
        link.encrypted = self.bonded and link.peripheral.bonded
        link.peripheral.attach(self._value, self.down)
        self._linger()
        self.objects.change(self.path, DEVICE, {"Connected": Variant("b", True)})

    async def _settle(self, link: TwinLink) -> None:
        """After the answer to Connect: services, or the end where the peripheral does not know the bond."""
        await asyncio.sleep(self.state.timing.resolve)
        if link.lost.is_set() or self._resolved:
            return
        if self.bonded and not link.peripheral.bonded:  # encryption fails with 0x05
            self.down()
            return
        if not self._gatt.paths:
            self._gatt.publish(link)
        services = [service.uuid for service in link.peripheral.services if service.uuid not in HIDDEN]
        known = self.objects.value(self.path, DEVICE, "UUIDs") or []
        self._resolved = True
        changed = {"UUIDs": Variant("as", sorted({*known, *services})), "ServicesResolved": Variant("b", True)}
        self.objects.change(self.path, DEVICE, changed)
        self._gatt.resubscribe(link)
        self._battery(link)

    def _battery(self, link: TwinLink) -> None:
        """The daemon's battery plug-in reads the level and listens to it."""
        for at, characteristic in self._gatt.paths.items():
            if characteristic.uuid != BATTERY_LEVEL or (characteristic.encrypted and not link.encrypted):
                continue
            level = characteristic.read()[:1]
            if level:
                self.objects.add(self.path, {BATTERY: {"Percentage": Variant("y", level[0])}})
            if characteristic.streams:
                self._gatt.subscribe(at, "")
            return

    def _value(self, characteristic: TwinCharacteristic, data: bytes) -> None:
        if self.link is None:
            return
        if characteristic.uuid == BATTERY_LEVEL and data:
            self.objects.change(self.path, BATTERY, {"Percentage": Variant("y", data[0])})
        self._gatt.value(characteristic, data)

    def stale(self, hosted: HostedPeripheral) -> None:
        """A link that is there though no client asked for it."""
        link = TwinLink(hosted)
        self._up(link)
        self.objects.start(self._settle(link))

    # -- the end of a link

    async def _disconnect(self, call: BusCall) -> Answer:
        if self._abort is not None:
            self._abort.set()
        link = self.link
        if link is not None:
            await asyncio.sleep(self.state.timing.disconnect)
            call.after.append(lambda: self.down() if self.link is link else None)
        return None

    def down(self) -> None:
        """The link is gone: one signal for both properties; the GATT objects stay."""
        link, self.link = self.link, None
        if link is None:
            return
        link.lost.set()
        link.hosted.device = None
        link.hosted.disconnects += 1
        link.peripheral.detach()
        link.hosted.released()
        changed = {"Connected": Variant("b", False)}
        if self._resolved:
            changed = {"ServicesResolved": Variant("b", False), **changed}
        self._resolved = False
        self.objects.change(self.path, DEVICE, changed)
        self.objects.remove(self.path, BATTERY)
        self.adapter.released()
        self._linger()

    def gone(self, client: str) -> None:
        self._gatt.gone(client)

    def withdraw(self) -> None:
        """Off the bus."""
        if self._abort is not None:
            self._abort.set()
        self.down()
        if self._expiry is not None:
            self._expiry.cancel()
        self._gatt.withdraw()
        self.objects.remove(self.path)
