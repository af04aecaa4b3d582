"""Serial drivers that may fit the device at a port, by the line settings with which they would be heard."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from gatepost.drivers.driver import Driver, Registry, SerialSettings

LINES = "lines"  # understands much: asked last, see guess.py


class DriverCandidate(NamedTuple):
    """A driver with its own options; `line` is how the port is set for it."""

    driver: type[Driver]
    line: SerialSettings

    def make(self) -> Driver:
        return self.driver()


def serial_drivers(registry: Registry) -> list[type[Driver]]:
    """Those that listen without being told anything: a driver that needs options cannot be tried."""
    found = []
    for name in registry.names:
        try:
            driver = registry.get(name)
            if driver.transport == "serial" and name != LINES and not _needs_options(driver):
                driver().decoder()
                found.append(driver)
        except Exception:  # noqa: S112  # of another package, and broken
            continue
    return found


def _needs_options(driver: type[Driver]) -> bool:
    return any(field.required for field in msgspec.structs.fields(driver.options_type))


def by_line(registry: Registry) -> dict[SerialSettings, list[DriverCandidate]]:
    """Line settings in the order in which they are tried: those of most drivers first. Some have no driver but
    `lines`, which is for any. Stop bits and flow control make no difference to who only listens."""
    groups: dict[SerialSettings, list[DriverCandidate]] = {}
    for driver in serial_drivers(registry):
        for line in dict.fromkeys((driver.line, *driver.scan_hints.lines)):
            groups.setdefault(_heard_as(line), []).append(DriverCandidate(driver, line))
    if LINES in registry:
        any_text = registry.get(LINES)
        for line in (any_text.line, *any_text.scan_hints.lines):
            groups.setdefault(line, [])
    order = sorted(groups, key=lambda line: (-len(groups[line]), line.baudrate, line.parity))
    return {line: groups[line] for line in order}


def _heard_as(line: SerialSettings) -> SerialSettings:
    return msgspec.structs.replace(line, stopbits=1, flow="none")


def all_of(groups: dict[SerialSettings, list[DriverCandidate]]) -> list[DriverCandidate]:
    """Each driver once, with its own line settings: where there is no speed, as on a pseudo terminal."""
    found: dict[str, DriverCandidate] = {}
    for candidates in groups.values():
        for candidate in candidates:
            found.setdefault(candidate.driver.name, DriverCandidate(candidate.driver, candidate.driver.line))
    return list(found.values())


def line_keys(line: SerialSettings, usual: SerialSettings) -> dict[str, Any]:
    """What the settings of a device must say where a line is not the driver's usual one."""
    names = ("baudrate", "bytesize", "parity", "stopbits", "flow")
    return {name: getattr(line, name) for name in names if getattr(line, name) != getattr(usual, name)}
