"""A connected peripheral: reads, writes and subscriptions, each bounded, with the ATT error where one was given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.exc import BleakCharacteristicNotFoundError, BleakError, BleakGATTProtocolError

from gatepost.drivers.ble.peripheral import GattCharacteristic, GattError, GattValue
from gatepost.drivers.ble.stack.bond_policy import REFUSALS
from gatepost.drivers.ble.stack.link_errors import error_name, explain, lost
from gatepost.drivers.ble.uuids import short, uuid
from gatepost.drivers.link import LinkFailed, Reason

T = TypeVar("T")

USER_DESCRIPTION = uuid(0x2901)
MOST_HELD = 256  # values of one characteristic held back while it is read
NOT_FOUND, AUTHENTICATION = 0x0A, 0x05  # ATT errors
STALE = frozenset({0x01, NOT_FOUND, 0x12})  # no such handle, no such attribute, database out of step


class ConnectedPeripheral:
    """The BlePeripheral of drivers/ble/peripheral.py over a bleak client.

    `on_value` gets what is notified or indicated, `on_first_data` hears of the first data; `on_refused(code)` may
    bond, and says whether to ask once more; `pair_it` bonds. Calls fail at once when the connection ends.
    """

    def __init__(
        self,
        client: BleakClient,
        addresses: tuple[str, ...],
        name: str,
        *,
        on_value: Callable[[GattValue], None],
        on_refused: Callable[[int], Awaitable[bool]],
        on_first_data: Callable[[], None],
        pair_it: Callable[[], Awaitable[None]],
    ) -> None:
        self.gave_data = False  # whether it gave any data
        self.addresses = addresses
        self.notifications = 0
        self.stale = False  # it denied what BlueZ said that it has
        self.denied = False  # the daemon denied that it is there
        self.missed = False  # something was looked for that it does not seem to have
        self._client = client
        self._name = name
        self._on_value = on_value
        self._on_refused = on_refused
        self._on_first_data = on_first_data
        self._pair_it = pair_it
        self._over: LinkFailed | None = None
        self._waiting: set[asyncio.Timeout] = set()
        self._held: dict[int, list[bytes]] = {}  # handle that is being read -> what was notified meanwhile
        try:
            services = client.services
        except BleakError:  # it is gone again, and bleak has forgotten them
            raise lost(name or client.address) from None
        self._native = sorted(services.characteristics.values(), key=lambda native: native.handle)
        self._by_handle = {native.handle: native for native in self._native}
        self.characteristics = tuple(
            GattCharacteristic(
                native.uuid.lower(), native.handle, native.service_uuid.lower(), frozenset(native.properties)
            )
            for native in self._native
        )

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def name(self) -> str:
        return self._name

    @property
    def awaiting_answer(self) -> bool:
        """True if a request has no answer yet."""
        return bool(self._waiting)

    @property
    def mtu(self) -> int:
        """The ATT MTU that BlueZ tells per characteristic since 5.62; 23 where it does not."""
        return max((native.max_write_without_response_size + 3 for native in self._native), default=23)

    def find(self, uuid: str, service: str = "") -> GattCharacteristic | None:
        for characteristic in self.characteristics:
            if characteristic.uuid == uuid and service in ("", characteristic.service):
                return characteristic
        self.missed = True
        return None

    async def read(self, characteristic: GattCharacteristic, timeout: float = 10.0) -> bytes:
        native = self._of(characteristic)

        async def action() -> bytes:
            # BlueZ tells what is read as if it had been notified too: that is told apart here.
            held = self._held.setdefault(native.handle, [])
            value: bytes | None = None
            try:
                value = bytes(await self._client.read_gatt_char(native))
            finally:
                self._held.pop(native.handle, None)
                if value is not None and value in held:
                    held.remove(value)
                for other in held:
                    self._deliver(native, other)
            return value

        value = await self._ask(f"reading {short(native.uuid)}", timeout, action)
        self._gave()
        return value

    async def description(self, characteristic: GattCharacteristic, timeout: float = 5.0) -> str:
        descriptor = self._of(characteristic).get_descriptor(USER_DESCRIPTION)
        if descriptor is None:
            return ""
        doing = f"reading what {short(characteristic.uuid)} is called"
        data = await self._ask(doing, timeout, lambda: self._client.read_gatt_descriptor(descriptor))
        return bytes(data).split(b"\0", 1)[0].decode("utf-8", "replace").strip()

    async def write(
        self, characteristic: GattCharacteristic, data: bytes, *, response: bool = True, timeout: float = 10.0
    ) -> None:
        native = self._of(characteristic)
        doing = f"writing {short(native.uuid)}"
        await self._ask(doing, timeout, lambda: self._client.write_gatt_char(native, data, response=response))

    async def subscribe(self, characteristic: GattCharacteristic, timeout: float = 10.0) -> None:
        native = self._of(characteristic)

        def on_notify(_sender: BleakGATTCharacteristic, data: bytearray) -> None:
            held = self._held.get(native.handle)
            if held is not None and len(held) < MOST_HELD:
                held.append(bytes(data))
            else:
                self._deliver(native, bytes(data))

        doing = f"subscribing to {short(native.uuid)}"
        await self._ask(doing, timeout, lambda: self._client.start_notify(native, on_notify))

    async def unsubscribe(self, characteristic: GattCharacteristic, timeout: float = 5.0) -> None:
        native = self._of(characteristic)
        await self._ask(f"leaving {short(native.uuid)}", timeout, lambda: self._client.stop_notify(native))

    async def pair(self, timeout: float = 30.0) -> None:
        await self._once("pairing", timeout, self._pair_it)

    def end(self, failure: LinkFailed) -> None:
        """The connection is over: nothing is delivered any more, and whoever waits is told."""
        if self._over is not None:
            return
        self._over = failure
        now = asyncio.get_running_loop().time()
        for waiting in self._waiting:
            waiting.reschedule(now)

    # -- how

    def _of(self, characteristic: GattCharacteristic) -> BleakGATTCharacteristic:
        native = self._by_handle.get(characteristic.handle)
        if native is None:
            raise GattError(f"the device has no characteristic {short(characteristic.uuid)}", NOT_FOUND)
        return native

    def _deliver(self, native: BleakGATTCharacteristic, data: bytes) -> None:
        if self._over is None:
            self._gave()
            self.notifications += 1
            self._on_value(GattValue(native.uuid.lower(), data, native.handle, native.service_uuid.lower()))

    def _gave(self) -> None:
        if not self.gave_data:
            self.gave_data = True
            self._on_first_data()

    async def _ask(self, doing: str, timeout: float, action: Callable[[], Awaitable[T]]) -> T:
        """Do it; where it is refused for want of a bond, bond and do it once more."""
        try:
            return await self._once(doing, timeout, action)
        except GattError as error:
            self.stale |= error.code in STALE
            if error.code not in REFUSALS or error.code is None or not await self._on_refused(error.code):
                raise
        return await self._once(doing, timeout, action)

    async def _once(self, doing: str, timeout: float, action: Callable[[], Awaitable[T]]) -> T:
        if self._over is not None:
            raise self._over
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                self._waiting.add(limit)
                return await action()
        except TimeoutError as error:
            raise self._over or TimeoutError(f"{doing}: the device did not answer in {timeout:g} s") from error
        except (GattError, LinkFailed):
            raise
        except Exception as error:
            explained = _explained(self._name or self.address, doing, error)
            self.denied |= isinstance(explained, LinkFailed)
            raise self._over or explained from error
        finally:
            self._waiting.discard(limit)


def _explained(device: str, doing: str, error: Exception) -> Exception:
    """A refusal of the peripheral as GattError; a connection that is gone as LinkFailed."""
    if isinstance(error, BleakGATTProtocolError):
        return GattError(f"{doing} was refused: {error.args[-1]}", int(error.code))
    if isinstance(error, BleakCharacteristicNotFoundError):
        return GattError(f"{doing}: the device no longer has it", NOT_FOUND)
    text = str(error)
    if error_name(error) == "org.bluez.Error.NotPermitted" and "paired" in text.lower():
        return GattError(f"{doing} was refused: the device is not paired", AUTHENTICATION)
    failure = explain(device, error)
    if failure.reason in (Reason.DROPPED, Reason.GONE, Reason.NO_SERVICE):
        return lost(device)
    return GattError(f"{doing} failed: {text}")


def battery_status(properties: dict[str, Any]) -> dict[str, Any]:
    """Battery level of Battery1 as a member of the status."""
    level = properties.get("Percentage")
    return {"battery": level} if isinstance(level, int) and 0 <= level <= 100 else {}
