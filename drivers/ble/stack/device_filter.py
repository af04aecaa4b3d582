"""Device filter: the peripheral that a device's settings mean."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

_STATIC = 0b11  # the two highest bits of a random address that never changes


class DeviceFilter(NamedTuple):
    """Filter for one device. An address (in capitals), or a name: the whole of it, its beginning, or a pattern with
    `*` and `?`. `*` alone is any device. `also`: other addresses under which it was met."""

    address: str = ""
    name: str = ""
    also: tuple[str, ...] = ()

    @classmethod
    def of(cls, address: str | None, name: str | None) -> DeviceFilter:
        return cls((address or "").strip().upper().replace("-", ":"), (name or "").strip())

    def __str__(self) -> str:
        return self.address or self.name

    @property
    def any_device(self) -> bool:
        return not self.address and self.name == "*"

    def matches(self, address: str, path: str, name: str) -> bool:
        """`path` holds the address under which BlueZ met the device first; the other one is its identity."""
        ours = (self.address, *self.also) if self.address else self.also
        if address.upper() in ours or address_of(path) in ours:
            return True
        if self.address:
            return False
        if self.any_device:
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


def addresses_of(path: str, properties: Mapping[str, Any]) -> tuple[str, ...]:
    """The address that BlueZ tells now, and the one that it met the device under."""
    now = str(properties.get("Address") or "").upper()
    return tuple(dict.fromkeys(address for address in (now, address_of(path)) if address))


def changes_address(properties: Mapping[str, Any]) -> bool:
    """True for a device with a private address whose identity is not known."""
    address = str(properties.get("Address") or "")
    if properties.get("Paired") or properties.get("AddressType") != "random" or len(address) < 2:
        return False
    return int(address[:2], 16) >> 6 != _STATIC
