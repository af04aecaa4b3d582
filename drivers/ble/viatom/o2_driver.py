"""Driver `ble-viatom-o2`: rings that measure oxygen, live and from their recordings."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.profiles.commands import READ_STORED, SYNC_TIME
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.viatom.ring_profiles import PROFILES, UNITS, NewRingProfile, OldRingProfile
from gatepost.drivers.driver import ForbiddenWrite, ScanHints


def _rule(word: str, octets: bytes, characteristic: str) -> ForbiddenWrite:
    return ForbiddenWrite(word, re.compile(octets, re.DOTALL), characteristic)


class BleViatomO2(BleDriver):
    """Viatom's and Wellue's rings."""

    name = "ble-viatom-o2"
    title = "Viatom and Wellue rings: O2Ring, O2Ring S, Checkme O2, SleepU, Oxylink"
    metrics = ("pulse_oximetry", "state")
    values = (*UNITS, "worn")
    services = tuple(each.service for each in PROFILES)
    brings = PROFILES
    default_interval = 1.0
    aggregation = "median"
    silence = 60.0
    keeps_records = True
    options_type = RecordOptions
    example_options: ClassVar[dict[str, Any]] = {"records": True}
    commands: ClassVar = (READ_STORED, SYNC_TIME)
    scan_hints = ScanHints(names=("O2Ring", "Checkme_O2", "CheckO2", "SleepU", "WearO2", "CMRing", "Oxylink", "S8-AW"))
    forbidden = (
        *FORBIDDEN,
        # Of 16 only the time; nothing that is not known to leave the ring as it is.
        _rule("set-alert", rb"\A\xaa\x16(?!.{5}\{\"SetTIME\")", OldRingProfile.control),
        _rule("reset-device", rb"\A\xaa(?![\x03\x04\x05\x14\x16\x17\x1b]).", OldRingProfile.control),
        _rule("set-alert", rb"\A\xa5\x01", NewRingProfile.control),
        _rule("reset-device", rb"\A\xa5(?![\x01\x04\x10\xc0\xe1\xf1\xf2\xf3\xf4\xff]).", NewRingProfile.control),
    )
    source = "captures of others and four programs that agree, one for the O2Ring S; not seen on a device"
