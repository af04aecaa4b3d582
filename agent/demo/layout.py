"""Layout of the demo's table for a width: counters are never cut, and the last reading is always there."""

from __future__ import annotations

from typing import NamedTuple

from gatepost.agent.demo.statistics import DemoStatistics, DeviceStatistics

GAP = " " * 2
READING = 36  # columns that a reading needs beside the rest; with less it goes below
COUNTERS = ("taken", "stored", "delivered", "replayed")


class ScreenLine(NamedTuple):
    """`state` is the part of `text` that is coloured: (from, to), and the word that decides the colour."""

    text: str
    state: tuple[int, int, str] | None = None


def lines(statistics: DemoStatistics, width: int) -> list[ScreenLine]:
    """A heading and the devices, none longer than `width` where that is possible: from 38 columns on."""
    devices = list(statistics.devices.values())
    names = ["device", "driver", "state", *COUNTERS]
    while len(names) > 1 and _width(names, devices) > width:
        # What can be missed first, first.
        gone = next((each for each in ("driver", "state", "replayed") if each in names), None)
        if gone is None:
            break
        names.remove(gone)
    room = width - _width(names, devices) - len(GAP)
    beside = room >= READING
    found = [ScreenLine(_row(names, names, devices) + (f"{GAP}last reading" if beside else ""))]
    for device in devices:
        text = _row([_cell(name, device) for name in names], names, devices)
        state = None
        if "state" in names:
            before = _width(names[: names.index("state")], devices) + len(GAP)
            state = (before, before + len(device.status), device.status)
        if beside:
            found.append(ScreenLine(_cut(f"{text}{GAP}{device.shown}", width), state))
            continue
        found.append(ScreenLine(text, state))
        below = device.shown if "state" in names else f"{device.status}: {device.shown}"
        found.append(ScreenLine(_cut(f"{GAP}{below}", width)))
    return found


def _cell(name: str, device: DeviceStatistics) -> str:
    if name in COUNTERS:
        return str(getattr(device.counts, name))
    return {"device": device.name, "driver": device.driver}.get(name, device.status)


def _size(name: str, devices: list[DeviceStatistics]) -> int:
    return max(len(name), 8 if name == "state" else 0, *(len(_cell(name, device)) for device in devices))


def _width(names: list[str], devices: list[DeviceStatistics]) -> int:
    return sum(_size(name, devices) for name in names) + len(GAP) * (len(names) - 1)


def _row(cells: list[str], names: list[str], devices: list[DeviceStatistics]) -> str:
    sized = ((cell, name, _size(name, devices)) for cell, name in zip(cells, names, strict=True))
    return GAP.join(cell.rjust(size) if name in COUNTERS else cell.ljust(size) for cell, name, size in sized)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"
