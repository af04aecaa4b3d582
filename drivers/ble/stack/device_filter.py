"""Device filter: the peripheral that a device's settings mean."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple


class DeviceFilter(NamedTuple):
    """Filter for one device. An address (in capitals), or a name: the whole of it, its beginning, or a pattern with
    `*` and `?`. `*` alone is any device."""

    address: str = ""
    name: str = ""

    @classmethod
    def of(cls, address: str | None, name: str | None) -> DeviceFilter:
        return cls((address or "").strip().upper().replace("-", ":"), (name or "").strip())

    def __str__(self) -> str:
        return self.address or self.name

    def matches(self, address: str, path: str, name: str) -> bool:
        """`path` holds the address under which BlueZ met the device first; the other one is its identity."""
        if self.address:
            return self.address == address.upper() or self.address == address_of(path)
        if self.name == "*":
            return True
        if not name:
            return False
        if "*" in self.name or "?" in self.name:
            return fnmatchcase(name, self.name)
        return name.startswith(self.name)


def address_of(path: str) -> str:
    """`AA:BB:CC:DD:EE:FF` of `/org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF`."""
    return path.rpartition("/dev_")[2].replace("_", ":").upper()


def adapter_of(path: str) -> str:
    """`hci0` of any object path of BlueZ."""
    parts = path.split("/")
    return parts[3] if len(parts) > 3 else ""
