"""Session of profiles with one connected peripheral. The link bonds where the device asks for it."""

from __future__ import annotations

import asyncio
from datetime import datetime

from gatepost.drivers.ble.peripheral import GattCharacteristic, GattError, GattValue
from gatepost.drivers.ble.uuids import short, uuid
from gatepost.drivers.driver import DeviceIO
from gatepost.drivers.reading import Faults

READ_LIMIT = 5.0  # seconds; a sleepy device has not many
WRITE_LIMIT = 5.0
FAREWELL_LIMIT = 0.2
SUBSCRIBE_LIMIT = 10.0
STREAM_PROPERTIES = frozenset({"notify", "indicate"})


class ProfileSession:
    """Session with one peripheral. `device_clock`: the time of its own clock at the beginning, where it has one."""

    def __init__(self, io: DeviceIO, faults: Faults) -> None:
        self.io = io
        self.peripheral = io.peripheral
        self.faults = faults
        self.asking = asyncio.Lock()  # one procedure at a time
        self.device_clock: datetime | None = None

    def find(self, characteristic: int | str, service: int | str = "") -> GattCharacteristic | None:
        """The first one, where it is there: nothing is suspect about one that is not."""
        wanted, where = uuid(characteristic), uuid(service) if service else ""
        for each in self.peripheral.characteristics:
            if each.uuid == wanted and where in ("", each.service):
                return each
        return None

    async def read(self, characteristic: int | str, service: int | str = "") -> bytes | None:
        """None when it is not there, cannot be read, or is refused; TimeoutError."""
        target = self.find(characteristic, service)
        if target is None or "read" not in target.properties:
            return None
        return await self.value_of(target)

    async def value_of(self, characteristic: GattCharacteristic) -> bytes | None:
        """None when it is refused."""
        try:
            return await self.peripheral.read(characteristic, READ_LIMIT)
        except GattError as refused:
            self.faults.add("not-read", f"{short(characteristic.uuid)}: {refused}")
            return None

    async def read_into_decoder(self, characteristic: GattCharacteristic) -> bool:
        """Read a value and feed it to the decoder like a notification; False where it was refused."""
        data = await self.value_of(characteristic)
        if data is None:
            return False
        self.io.feed(GattValue(characteristic.uuid, data, characteristic.handle, characteristic.service))
        return True

    async def write(self, characteristic: GattCharacteristic, data: bytes, timeout: float = WRITE_LIMIT) -> None:
        """GattError, TimeoutError."""
        response = "write" in characteristic.properties
        await self.peripheral.write(characteristic, data, response=response, timeout=timeout)

    async def bid_farewell(self, characteristic: str, service: str, *words: bytes) -> None:
        """What is said, where it is there, while the connection is being ended."""
        target = self.find(characteristic, service)
        if target is not None:
            for each in words:
                await self.write(target, each, FAREWELL_LIMIT)

    async def subscribe(self, characteristic: GattCharacteristic) -> None:
        """GattError, TimeoutError."""
        await self.peripheral.subscribe(characteristic, SUBSCRIBE_LIMIT)

    async def subscribe_all(self, service: str, characteristics: tuple[str, ...], needed: bool = True) -> None:
        """Subscribe to those that exist and notify, in this order. One that is refused is counted; GattError when
        none is granted and one is `needed`."""
        granted, refusal = 0, None
        for each in characteristics:
            target = self.find(each, service)
            if target is None or not STREAM_PROPERTIES & target.properties:
                continue
            try:
                await self.subscribe(target)
                granted += 1
            except GattError as refused:
                self.faults.add("not-subscribed", f"{short(each)}: {refused}")
                refusal = refused
        if refusal is not None and needed and not granted:
            raise refusal
