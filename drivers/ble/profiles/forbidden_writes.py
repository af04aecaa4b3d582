"""Forbidden writes of every BLE driver: requests that erase, reset, or change a treatment.

By characteristic (GATT Specification Supplement): Record Access Control Point 2A52, CGM Specific Ops Control Point
2AAC, User Control Point 2A9F, Heart Rate Control Point 2A39, Bond Management Control Point 2AA4.
"""

from __future__ import annotations

import re
from typing import Literal

from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import ForbiddenWrite

Word = Literal[
    "delete-records",
    "calibrate",
    "set-alert",
    "set-interval",
    "reset-alert",
    "start-session",
    "stop-session",
    "delete-user",
    "reset-energy",
    "delete-bond",
    "write-memory",
    "program-key",
    "reset-device",
    "configure",
]


def _rule(name: Word, characteristic: int, octets: str) -> ForbiddenWrite:
    return ForbiddenWrite(name, re.compile(rf"\A[{octets}]".encode("latin-1"), re.DOTALL), uuid(characteristic))


FORBIDDEN = (
    _rule("delete-records", 0x2A52, r"\x02"),
    _rule("set-interval", 0x2AAC, r"\x01"),
    _rule("calibrate", 0x2AAC, r"\x04"),
    _rule("set-alert", 0x2AAC, r"\x07\x0a\x0d\x10\x13\x16"),
    _rule("reset-alert", 0x2AAC, r"\x19"),
    _rule("start-session", 0x2AAC, r"\x1a"),
    _rule("stop-session", 0x2AAC, r"\x1b"),
    _rule("delete-user", 0x2A9F, r"\x03\x05"),
    _rule("reset-energy", 0x2A39, r"\x01"),
    _rule("delete-bond", 0x2AA4, r"\x00-\xff"),
)
