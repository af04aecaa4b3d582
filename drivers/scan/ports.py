"""Serial ports and 1-wire sensors of this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

LINKS = Path("/dev/serial")
FAMILIES = frozenset(("10", "22", "28", "3b", "42"))  # that the driver ds18b20 understands
_SENSOR = re.compile(r"([0-9a-f]{2})-[0-9a-f]{12}")


class SerialPort(NamedTuple):
    """`path` is what a person should write into the settings; `device` what the kernel calls it now."""

    path: str
    device: str
    vendor: int | None = None
    product_id: int | None = None
    maker: str = ""
    product: str = ""
    serial_number: str = ""

    @property
    def usb(self) -> str:
        """`0403:6001`; empty for a port that is not of USB."""
        return "" if self.vendor is None or self.product_id is None else f"{self.vendor:04x}:{self.product_id:04x}"


def ports(links: Path = LINKS) -> list[SerialPort]:
    """Those that the system knows, by the names that stay: a PTY is not among them."""
    from gatepost.drivers.serial.port.open_port import listed

    named = _links(links)
    found = []
    for each in listed():
        real = os.path.realpath(each.device)
        found.append(
            SerialPort(
                named.get(real, each.device),
                each.device,
                each.vid,
                each.pid,
                each.manufacturer or "",
                each.product or "",
                each.serial_number or "",
            )
        )
    return sorted(found, key=lambda port: port.device)


def given(path: str) -> SerialPort:
    """A port that a person named."""
    real = os.path.realpath(path) if "://" not in path else path
    known = next((port for port in ports() if os.path.realpath(port.device) == real), None)
    return SerialPort(path, path) if known is None else known._replace(path=path)


def sensors(root: Path) -> list[str]:
    """Thermometers on the kernel's 1-wire bus, by their ids."""
    try:
        names = sorted(entry.name for entry in root.iterdir())
    except OSError:
        return []
    return [name for name in names if (found := _SENSOR.fullmatch(name)) and found[1] in FAMILIES]


def _links(root: Path) -> dict[str, str]:
    """Real path -> the link that always leads to it: by id, else by path."""
    found: dict[str, str] = {}
    for kind in ("by-id", "by-path"):
        try:
            entries = sorted((root / kind).iterdir())
        except OSError:
            continue
        for entry in entries:
            found.setdefault(os.path.realpath(entry), str(entry))
    return found
