"""The model of a simulated peripheral. It knows nothing of a bus: whoever hosts it reads, writes, subscribes, ticks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from gatepost.drivers.ble.peripheral import GattError, ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid as full

# ATT errors (Core Specification, Vol 3, Part F, 3.4.1.1) and those of profiles (Supplement to it, Part B).
INVALID_HANDLE, READ_NOT_PERMITTED, WRITE_NOT_PERMITTED = 0x01, 0x02, 0x03
OUT_OF_RANGE, IN_PROGRESS, CCC_IMPROPER = 0xFF, 0x80, 0x81

Value = bytes | Callable[[], bytes]
Sink = Callable[["TwinCharacteristic", bytes], None]


class TwinCharacteristic:
    """One characteristic. `value` may be computed at each read; `on_write` and `on_subscribe` may raise GattError.

    `encrypted`: reading, writing and subscribing need an encrypted link.
    """

    def __init__(
        self,
        uuid: int | str,
        properties: str,
        value: Value = b"",
        *,
        on_write: Callable[[bytes], None] | None = None,
        on_subscribe: Callable[[bool], None] | None = None,
        encrypted: bool = False,
        descriptors: dict[int | str, bytes] | None = None,
    ) -> None:
        self.uuid = full(uuid)
        self.properties = tuple(properties.split())
        self.value = value
        self.on_write = on_write
        self.on_subscribe = on_subscribe
        self.encrypted = encrypted
        self.descriptors = {full(key): data for key, data in (descriptors or {}).items()}
        self.subscribed = False
        self.handle = 0  # of its declaration; given by the peripheral
        self.service = ""

    def read(self) -> bytes:
        if "read" not in self.properties:
            raise GattError("read not permitted", READ_NOT_PERMITTED)
        return self.value() if callable(self.value) else self.value

    def write(self, data: bytes) -> None:
        if not {"write", "write-without-response"} & set(self.properties):
            raise GattError("write not permitted", WRITE_NOT_PERMITTED)
        if self.on_write is not None:
            self.on_write(data)
        elif not callable(self.value):
            self.value = data

    @property
    def streams(self) -> bool:
        return "notify" in self.properties or "indicate" in self.properties


class TwinService:
    """A primary service and its characteristics."""

    def __init__(self, uuid: int | str, characteristics: Iterable[TwinCharacteristic]) -> None:
        self.uuid = full(uuid)
        self.characteristics = tuple(characteristics)
        self.handle = 0


class TwinPeripheral:
    """A peripheral and its state. The host calls `tick` every `interval` seconds, `advertisement` every
    `advert_interval` while it is not connected, and puts `sink` in place while it is.

    A peripheral that `sleeps` shows itself only for the seconds in `awake`, which `wake` sets.
    """

    interval: float = 1.0
    advert_interval: float = 0.25
    sleeps: bool = False
    connectable: bool = True
    pairing: str = "just-works"  # or "passkey", "confirm", "pin", "none"
    passkey: int = 0  # what its label or display says
    mtu: int = 247
    appearance: int | None = None
    random_address: bool = False
    identity: str = ""  # the address that a bond reveals, of one that shows others
    clock: Callable[[], datetime] = datetime.now  # local wall time of the simulated world
    shows: int | None = None  # so many of its services are named in its advertisements; None = all

    def __init__(
        self, name: str, address: str, services: Iterable[TwinService] = (), seed: int = 0, rssi: int = -60
    ) -> None:
        self.name = name
        self.address = address.upper()
        self.services = tuple(services)
        self.random = random.Random(seed)  # noqa: S311  # a simulation
        self.rssi = rssi
        self.bonded = False
        self.connected = False
        self.awake = 0.0
        self.sink: Sink | None = None
        self.hang_up: Callable[[], None] = lambda: None  # ends the link from this side
        handle = 0x000A  # as if 1800 and 1801 came before
        for service in self.services:
            service.handle = handle
            handle += 1
            for characteristic in service.characteristics:
                characteristic.handle = handle
                characteristic.service = service.uuid
                handle += 2 + characteristic.streams + len(characteristic.descriptors)

    def __iter__(self) -> Iterator[TwinCharacteristic]:
        return (characteristic for service in self.services for characteristic in service.characteristics)

    def find(self, uuid: int | str) -> TwinCharacteristic:
        """Its first characteristic of this UUID; LookupError."""
        wanted = full(uuid)
        for characteristic in self:
            if characteristic.uuid == wanted:
                return characteristic
        raise LookupError(uuid)

    # -- what it shows of itself

    @property
    def shown(self) -> bool:
        """True if it advertises now, were it not connected."""
        return not self.sleeps or self.awake > 0

    def wake(self, seconds: float = 10.0) -> None:
        """Show itself for so long, as after a measurement or a key."""
        self.awake = max(self.awake, seconds)

    def advertisement(self) -> ReceivedAdvert:
        """Advertisement and scan response of this moment."""
        services = tuple(service.uuid for service in self.services[: self.shows])
        return ReceivedAdvert(self.address, self.name, self.rssi, {}, {}, services)

    # -- what it does

    def tick(self) -> None:
        """`interval` seconds have gone by, whether connected or not."""

    def on_connect(self) -> None:
        """A link is there; nothing is subscribed yet."""

    def on_disconnect(self) -> None:
        """The link is gone."""

    def send(self, characteristic: TwinCharacteristic, data: bytes) -> bool:
        """Notify or indicate; False when nobody is subscribed. Cut at the MTU, as ATT does."""
        if self.sink is None or not characteristic.subscribed:
            return False
        self.sink(characteristic, data[: self.mtu - 3])
        return True

    # -- what the host does

    def attach(self, sink: Sink, hang_up: Callable[[], None]) -> None:
        self.connected, self.sink, self.hang_up = True, sink, hang_up
        self.on_connect()

    def detach(self) -> None:
        self.connected, self.sink, self.hang_up = False, None, lambda: None
        for characteristic in self:
            characteristic.subscribed = False
        self.awake = 0.0
        self.on_disconnect()

    def subscribe(self, characteristic: TwinCharacteristic, on: bool) -> None:
        """The client wrote its configuration descriptor."""
        if on == characteristic.subscribed:
            return
        characteristic.subscribed = on
        try:
            if characteristic.on_subscribe is not None:
                characteristic.on_subscribe(on)
        except GattError:
            characteristic.subscribed = not on
            raise
