"""Device Information (180A) and Battery (180F) services, read for the device's status."""

from __future__ import annotations

from gatepost.drivers.ble.gatt import battery, device_information
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError

DEVICE_INFORMATION, BATTERY = uuid(0x180A), uuid(0x180F)
LEVEL, LEVEL_STATUS = uuid(0x2A19), uuid(0x2BED)


async def introduce(session: ProfileSession) -> None:
    """Tells what the device says of itself. Nothing depends on it: when the device is slow to answer, the rest is left
    out."""
    known: dict[str, str] = {}
    try:
        for short, name in device_information.STRINGS.items():
            data = await session.read(short, DEVICE_INFORMATION)
            text = device_information.decode_text(data) if data else ""
            if text:
                known[name] = text
        await tell_battery(session)
    except TimeoutError:
        session.faults.add("slow", "the device did not answer when it was asked for its name and battery")
    if known:
        session.io.update_status(**known)


async def tell_battery(session: ProfileSession) -> None:
    """TimeoutError."""
    data = await session.read(LEVEL, BATTERY)
    if data is None:
        return
    try:
        session.io.update_status(battery=battery.decode(data))
    except FrameError as wrong:
        session.faults.add(wrong.kind, "the level of the battery cannot be read")
