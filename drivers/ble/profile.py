"""A profile: one service of the Bluetooth SIG or of a maker, as the drivers handle it. One file each in profiles/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from gatepost.drivers.ble.peripheral import GattCharacteristic, GattValue
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, DeviceIO
from gatepost.drivers.reading import Faults, Reading, Reply

Items = list[Reading | Reply]

HELD = Reply("held", {})  # something is held because more of it may come: see `flush`


class ProfileMemory(NamedTuple):
    """State that profiles share: the options, where faults are counted, the stored marks, what is kept from one
    connection to the next, the addresses of the device."""

    options: Any
    faults: Faults
    bookmarks: dict[str, Any]
    kept: dict[str, Any]
    addresses: tuple[str, ...] = ("",)

    def mark(self, kind: str) -> str:
        """The name of a mark of this very device: another one under the same settings starts anew. A device that was
        met under another address goes on with the mark from then."""
        names = [f"{kind}/{address}" for address in self.addresses]
        return next((name for name in names if name in self.bookmarks), names[0])


class ProfileTask(NamedTuple):
    """Something to be done every `interval` seconds while the device is connected."""

    interval: float
    do: Callable[[DeviceIO], Awaitable[None]]


class GattProfile:
    """Profile of one service. `decode` is sans-I/O and knows nothing of a connection; the rest is said to a connected
    device, in this order over all profiles: `prepare` (read what it is), subscriptions, the clock, `begin` (ask
    it)."""

    service: ClassVar[str]  # full UUID
    title: ClassVar[str]
    driver: ClassVar[str]  # the driver that is for this service alone
    streams: ClassVar[tuple[str, ...]] = ()  # full UUIDs: subscribed in this order, those that are there
    instead_of: ClassVar[tuple[str, ...]] = ()  # services that tell the same in a poorer way
    sets_clock: ClassVar[bool] = False  # devices of this kind expect that somebody sets their clock
    helper: ClassVar[bool] = False  # nothing that a device is for
    holds: ClassVar[bool] = False  # gives HELD
    stores: ClassVar[bool] = False  # answers `read_stored`
    reads: ClassVar[bool] = False  # answers `read_now`
    own_clock: ClassVar[bool] = False  # has `set_own_clock`

    def __init__(self, memory: ProfileMemory) -> None:
        self.memory = memory
        self._done = False
        self._fetched = 0

    def decode(self, value: GattValue) -> Items:
        """Decode a value; FrameError."""
        raise FrameError("unsupported")

    def flush(self) -> Items:
        """Items that were held because more of them might have come."""
        return []

    async def prepare(self, session: ProfileSession) -> None:
        """Read features and what else the decoding needs; TimeoutError, GattError."""

    async def subscribe(self, session: ProfileSession) -> None:
        await session.subscribe_all(self.service, self.streams)

    async def begin(self, session: ProfileSession) -> None:
        """Ask for what does not come by itself."""

    def control_point(self, session: ProfileSession, uuid: str) -> GattCharacteristic:
        """The control point for stored records; CommandFailed `unsupported`."""
        control = session.find(uuid, self.service)
        if control is None:
            raise CommandFailed("unsupported", f"this {self.title} has no stored records")
        return control

    async def read_stored(self, session: ProfileSession, io: DeviceIO, everything: bool) -> dict[str, Any]:
        """The command of that name; CommandFailed, TimeoutError."""
        raise CommandFailed("unsupported", f"this {self.title} has no stored records")

    async def read_now(self, session: ProfileSession, io: DeviceIO) -> dict[str, Any]:
        """The command of that name; CommandFailed, TimeoutError."""
        raise CommandFailed("unsupported", f"this {self.title} cannot be asked for a value")

    async def set_own_clock(self, session: ProfileSession, io: DeviceIO, moment: datetime) -> None:
        """Set a clock that no standard characteristic is for; GattError, TimeoutError."""
        raise CommandFailed("unsupported", f"this {self.title} has no clock that can be set")

    async def farewell(self, session: ProfileSession) -> None:
        """While the connection is being ended; has a fraction of a second."""

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        return []

    @property
    def done(self) -> bool:
        """True if it has all it wanted, so that the device may be left alone."""
        return self._done

    @property
    def fetched(self) -> int:
        """Number of new records of the last download."""
        return self._fetched

    def frame_fault(self, wrong: FrameError) -> None:
        """Count a damaged frame."""
        self.memory.faults.add(wrong.kind, f"a frame that no {self.title} sends")
