"""Driver `ble-viatom-o2`: rings that measure oxygen, live and from their recordings."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.profiles.commands import READ_STORED, SYNC_TIME
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.viatom import ring_values as rings
from gatepost.drivers.ble.viatom.frames import LEPU, REQUEST, requests_but
from gatepost.drivers.ble.viatom.ring_profiles import PROFILES, UNITS, NewRingProfile, OldRingProfile
from gatepost.drivers.driver import ForbiddenWrite, ScanHints, SupportedDevice

OLD_REQUESTS = (rings.OPEN, rings.READ, rings.CLOSE, rings.INFO, rings.CONFIGURE, rings.SENSORS, rings.LIVE)
NEW_REQUESTS = (
    *(rings.NEW_LIVE, rings.HELLO_INFO, rings.NEW_TIME, rings.NEW_INFO),
    *(rings.LIST, rings.START, rings.DATA, rings.END, rings.HELLO),
)

OTHER_SETTING = re.compile(rb"\A\xaa\x16\xe9(?!.{4}\{\"SetTIME\")", re.DOTALL)


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
        ForbiddenWrite("set-alert", OTHER_SETTING, OldRingProfile.control),
        ForbiddenWrite("reset-device", requests_but(REQUEST, OLD_REQUESTS), OldRingProfile.control),
        ForbiddenWrite("set-alert", re.compile(rb"\A\xa5\x01\xfe"), NewRingProfile.control),
        ForbiddenWrite("reset-device", requests_but(LEPU, (0x01, *NEW_REQUESTS)), NewRingProfile.control),
    )
    devices = (
        SupportedDevice("Viatom, Wellue", ("O2Ring", "Checkme O2", "SleepU", "Oxylink"), "oxygen ring"),
        SupportedDevice("Viatom, Wellue", ("WearO2", "CMRing"), "oxygen ring"),
        SupportedDevice("Viatom, Wellue", ("O2Ring S", "S8-AW"), "oxygen ring", "not seen"),
    )
    source = "captures of others and four programs that agree, one for the O2Ring S; not seen on a device"
