"""Links with quick limits, events that remember, and peripherals that do as they are told."""

from __future__ import annotations

import logging
from random import Random
from typing import Any

import msgspec

from gatepost.drivers.ble.link.gatt_link import GattLink
from gatepost.drivers.ble.link.links import BleLinks, BleTiming
from gatepost.drivers.ble.peripheral import GattError, GattValue
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinPeripheral, TwinService
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.link import LinkFailed

STREAM, SITE, POINT, EVENT = (uuid(number) for number in (0x2A37, 0x2A38, 0x2A39, 0x2A1C))
LONG = bytes(range(256)) * 2

QUICK = BleTiming(
    call=2.0,
    grace=0.2,
    connect=1.0,
    undo=0.3,
    disconnect=0.5,
    pair=1.0,
    fresh=1.0,
    reappear=1.0,
    hold_off=0.3,
    first_retry=0.02,
    last_retry=0.1,
    away=0.5,
    scan_start=1.0,
    scan_stop=0.5,
    quiet=30.0,
    scan_retry=0.02,
    last_scan_retry=0.1,
    cycle_off=0.02,
    cycle=1.0,
    first_renewal=0.01,
    last_renewal=0.01,
)


class Options(msgspec.Struct, frozen=True):
    pair: str = "auto"
    passkey: str = ""


class Kind:
    """What a link wants to know of a driver."""

    def __init__(self, *, streams: bool = True, advertisement: bool = False, **options: str) -> None:
        self.options = Options(**options)
        self.streams = streams
        self.advertisement = advertisement


class Heard:
    """Ears that remember."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.losses: list[Exception | None] = []
        self.waits: list[tuple[str, str, str]] = []
        self.status: dict[str, Any] = {}
        self.told = 0
        self.memory: Any = None

    def data(self, value: GattValue) -> None:
        self.values.append(value)

    def lost(self, error: Exception | None) -> None:
        self.losses.append(error)

    def waiting(self, key: str, message: str, hint: str) -> None:
        self.waits.append((key, message, hint))

    def known(self, known: dict[str, Any]) -> None:
        self.told += 1
        self.status.update(known)

    @property
    def keys(self) -> list[str]:
        return [key for key, _message, _hint in self.waits]

    @property
    def octets(self) -> list[bytes]:
        return [value.data for value in self.values]


class Strap(TwinPeripheral):
    """It streams when told, and has something to read, to write and to indicate."""

    interval = 0.0
    advert_interval = 0.02

    def __init__(self, address: str = "C0:FF:EE:00:00:01", name: str = "Strap", *, encrypted: bool = False) -> None:
        self.heard: list[bytes] = []
        self.stream = TwinCharacteristic(STREAM, "notify read", b"now", encrypted=encrypted)
        self.site = TwinCharacteristic(SITE, "read write", LONG, encrypted=encrypted)
        self.point = TwinCharacteristic(POINT, "write write-without-response", on_write=self._told, encrypted=encrypted)
        self.event = TwinCharacteristic(EVENT, "indicate", encrypted=encrypted)
        services = [
            TwinService(0x180D, [self.stream, self.site, self.point, self.event]),
            TwinService(0x180F, [TwinCharacteristic(0x2A19, "read", b"\x58")]),
        ]
        super().__init__(name, address, services)

    def _told(self, data: bytes) -> None:
        if data == b"\xff":
            raise GattError("no", 0x80)
        self.heard.append(data)


class Rig:
    """Makes links, and closes them."""

    def __init__(self, timing: BleTiming = QUICK) -> None:
        self.ble = BleLinks(Random(7), logging.getLogger("tests.ble.link"), timing)
        self.links: list[Any] = []

    def link(
        self, wanted: str, kind: Kind | None = None, adapter: str | None = None, events: Heard | None = None
    ) -> tuple[GattLink, Heard]:
        """`wanted`: an address or a name."""
        events = events or Heard()
        address, name = (wanted, None) if wanted.count(":") == 5 else (None, wanted)
        link: Any = self.ble.connect(address, name, adapter, kind or Kind(), events)  # type: ignore[arg-type]
        self.links.append(link)
        return link, events

    async def opened(self, *link: Any, **given: Any) -> tuple[GattLink, Heard]:
        """As `link`, connected."""
        made, events = self.link(*link, **given)
        await made.open(5.0)
        return made, events

    async def close(self) -> None:
        for link in self.links:
            await link.close(0.5)
        await self.ble.close()


async def read(link: GattLink, uuid: str = SITE, timeout: float = 2.0) -> bytes:
    peripheral = link.peripheral
    assert peripheral is not None
    found = peripheral.find(uuid)
    assert found is not None
    return await peripheral.read(found, timeout)


async def subscribe(link: GattLink, uuid: str = STREAM) -> None:
    peripheral = link.peripheral
    assert peripheral is not None
    found = peripheral.find(uuid)
    assert found is not None
    await peripheral.subscribe(found, 2.0)


def reason(error: Exception | None) -> str:
    assert isinstance(error, LinkFailed)
    return error.reason.value
