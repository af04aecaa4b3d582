"""Interface between BLE drivers and links: values of characteristics, advertisements, a connected peripheral.

No Bluetooth library is needed for any of it. UUIDs are always full, in lower case (drivers/ble/uuids.py).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec


class GattValue(msgspec.Struct, frozen=True, gc=False):
    """A value of a characteristic that was notified, indicated or read. `handle` tells instances of one UUID apart."""

    uuid: str
    data: bytes
    handle: int = 0
    service: str = ""

    def __len__(self) -> int:
        return len(self.data)


class ReceivedAdvert(msgspec.Struct, frozen=True, gc=False):
    """One advertisement as BlueZ merged it: service data by full UUID, manufacturer data by company id. `passing`: the
    address is one of the moment, which the device will change."""

    address: str
    name: str = ""
    rssi: int | None = None
    service_data: dict[str, bytes] = {}
    manufacturer_data: dict[int, bytes] = {}
    services: tuple[str, ...] = ()
    passing: bool = False

    def __len__(self) -> int:
        return sum(map(len, self.service_data.values())) + sum(map(len, self.manufacturer_data.values()))


class GattCharacteristic(NamedTuple):
    """One characteristic of a connected peripheral; `properties` as BlueZ names them: read, write, notify, ..."""

    uuid: str
    handle: int
    service: str
    properties: frozenset[str]


class GattError(Exception):
    """A request that the peripheral refused; `code` is the ATT error (Core Specification, Vol 3, Part F, 3.4.1.1),
    None where it is not known."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class BlePeripheral(Protocol):
    """A connected peripheral. Every call has a time limit of its own and raises GattError, TimeoutError, or what the
    link raises when the connection is gone."""

    @property
    def address(self) -> str: ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address under which it is known, the newest first."""
        ...

    @property
    def name(self) -> str: ...

    @property
    def mtu(self) -> int: ...

    @property
    def characteristics(self) -> tuple[GattCharacteristic, ...]: ...

    def find(self, uuid: str, service: str = "") -> GattCharacteristic | None:
        """The first characteristic of this UUID, of this service where one is named."""
        ...

    async def read(self, characteristic: GattCharacteristic, timeout: float = 10.0) -> bytes:
        """Its value; the decoder is not given it."""
        ...

    async def description(self, characteristic: GattCharacteristic, timeout: float = 5.0) -> str:
        """Characteristic User Description (2901); empty where the device has none."""
        ...

    async def write(
        self, characteristic: GattCharacteristic, data: bytes, *, response: bool = True, timeout: float = 10.0
    ) -> None: ...

    async def subscribe(self, characteristic: GattCharacteristic, timeout: float = 10.0) -> None:
        """Notifications or indications from now on go to the decoder as GattValue."""
        ...

    async def unsubscribe(self, characteristic: GattCharacteristic, timeout: float = 5.0) -> None: ...

    async def pair(self, timeout: float = 30.0) -> None:
        """Bond, where it is not bonded yet."""
        ...
