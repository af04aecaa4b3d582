"""The clock of a device: Date Time (2A08) inside a measurement service, or Current Time (2A2B) in a service of its own.

A&D devices expect 2A08 right after connecting. Omron takes 2A2B only when its clock is off by more than some ten
minutes, and some only once a measurement has come. A clock that is near enough is left alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gatepost.drivers.ble.gatt import times
from gatepost.drivers.ble.peripheral import GattCharacteristic, GattError
from gatepost.drivers.ble.profile import GattProfile
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.uuids import short, uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed

CURRENT_TIME_SERVICE = uuid(0x1805)
DATE_TIME, CURRENT_TIME = uuid(0x2A08), uuid(0x2A2B)
CLOCK_WRONG = timedelta(minutes=10)  # set without being told to
CLOCK_OFF = timedelta(seconds=5)  # set when told to
WRITABLE = frozenset({"write", "write-without-response"})


def wanted_moment(session: ProfileSession, moment: datetime | None) -> datetime:
    """The time that a command wants; None = the gateway's. CommandFailed."""
    now = session.io.now()
    if moment is None and not now.trusted:
        raise CommandFailed("clock-not-trusted", "the gateway's clock is not synchronised; give a `time`")
    return (moment or now.local).replace(tzinfo=None)


async def keep_own_clock(
    session: ProfileSession, profile: GattProfile, shown: datetime | None, wanted: bool | None
) -> None:
    """A clock that a profile sets in its own way, as the option `set_clock` says; None = where it is wrong.
    GattError, TimeoutError."""
    session.device_clock = shown
    now = session.io.now()
    if wanted is False:
        return
    if not now.trusted:
        session.faults.add("clock-not-set", "the gateway's clock is not synchronised")
    elif shown is None or abs(shown - now.local) > (CLOCK_OFF if wanted else CLOCK_WRONG):
        await profile.set_own_clock(session, session.io, now.local)


class DeviceClocks:
    """The clocks of one connected device. `refused`: the device did not let itself be set; try again after a
    measurement."""

    def __init__(self, session: ProfileSession, profiles: list[GattProfile]) -> None:
        self.refused = False
        self._session = session
        self._profiles = profiles

    @property
    def _clocks(self) -> list[tuple[GattCharacteristic, bool]]:
        """Each with whether devices of its kind expect to be set."""
        clocks = []
        expects = any(profile.sets_clock for profile in self._profiles)
        for profile in self._profiles:
            there = self._session.find(DATE_TIME, profile.service)
            if there is not None:
                clocks.append((there, profile.sets_clock))
        there = self._session.find(CURRENT_TIME, CURRENT_TIME_SERVICE)
        if there is not None:
            clocks.append((there, expects))
        return clocks

    async def look(self) -> None:
        """Remembers what the device's own clock says, before anybody sets it; TimeoutError."""
        for characteristic, _ in self._clocks:
            device_time = await self._read_clock(characteristic)
            if device_time is not None:
                self._session.device_clock = device_time
                return

    async def keep(self, wanted: bool | None) -> None:
        """As the option `set_clock` says; None = devices that expect it, whose clock is wrong. TimeoutError."""
        self.refused = False
        if wanted is False:
            return
        for characteristic, expected in self._clocks:
            if not (wanted or expected) or not WRITABLE & characteristic.properties:
                continue
            now = self._session.io.now()
            if not now.trusted:
                self._session.faults.add("clock-not-set", "the gateway's clock is not synchronised")
                return
            device_time = await self._read_clock(characteristic)
            if device_time is not None and abs(device_time - now.local) <= (CLOCK_OFF if wanted else CLOCK_WRONG):
                continue
            try:
                await self._write(characteristic, self._session.io.now().local)
            except GattError as refused:
                self.refused = True
                self._session.faults.add("clock-not-set", f"{short(characteristic.uuid)}: {refused}")

    async def set(self, moment: datetime | None) -> dict[str, object]:
        """By a command; None = the gateway's time. CommandFailed, GattError, TimeoutError."""
        there = [each for each, _ in self._clocks if WRITABLE & each.properties]
        if not there:
            raise CommandFailed("unsupported", "this device has no clock that can be set")
        moment = wanted_moment(self._session, moment)
        for characteristic in there:
            await self._write(characteristic, moment)
        return {"time": moment.isoformat(timespec="seconds")}

    async def _write(self, characteristic: GattCharacteristic, moment: datetime) -> None:
        if characteristic.uuid == DATE_TIME:
            data = times.DateTime.of(moment).encode()
        else:
            data = times.current_time(moment).encode()
        await self._session.write(characteristic, data)

    async def _read_clock(self, characteristic: GattCharacteristic) -> datetime | None:
        if "read" not in characteristic.properties:
            return None
        data = await self._session.value_of(characteristic)
        try:
            return times.decode_date_time(data).moment() if data is not None else None
        except FrameError:
            return None
