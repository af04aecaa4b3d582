"""`gatepost scan serial`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from gatepost.agent.cli.support.formatting import count
from gatepost.agent.cli.support.output import complain, say, say_json, table
from gatepost.agent.cli.support.progress_line import filled, progress, seconds_of
from gatepost.agent.cli.support.scan_drop import ScanDrop, finish, place
from gatepost.agent.cli.support.scan_known_ports import ConfiguredDevice, ConfiguredDevices, configured
from gatepost.drivers.driver import Registry

if TYPE_CHECKING:
    from gatepost.drivers.scan.port_probe import PortFinding
    from gatepost.drivers.scan.ports import SerialPort

LEFT_ALONE, W1 = "left-alone", "ds18b20"
HANGING_AFTER = 60.0  # seconds beyond twice its time after which a port counts as hanging in the system
ENDING = 3.0  # seconds that ports get to be closed after Ctrl-C


class ScanResult(NamedTuple):
    """A port or 1-wire sensor, what was found there, and who has it."""

    port: SerialPort
    found: PortFinding
    mine: ConfiguredDevice | None


def run(
    duration: str, paths: list[str], ask: bool, name: str | None, socket: Path | None, config: Path | None, json: bool
) -> None:
    seconds = seconds_of(duration)
    known = configured(socket, config)
    path = None if name is None else place(name, config, known)
    for note in known.notes:
        complain(note)
    registry = Registry.installed()
    results = _look(_ports(paths), known, registry, seconds, ask, bool(paths))
    results += [] if paths else _sensors(known, registry)
    drop = _drop(results, known, registry)
    if not json:
        _print(results, seconds, ask)
    told = finish(drop, path, known, config, json)
    if json:
        say_json({"seconds": seconds, "ports": [_told(result, registry) for result in results], **told})


def _ports(paths: list[str]) -> list[SerialPort]:
    from gatepost.drivers.scan.ports import given as port_of
    from gatepost.drivers.scan.ports import ports

    return [port_of(path) for path in dict.fromkeys(paths)] if paths else ports()


# -- listening


def _look(
    ports: list[SerialPort], known: ConfiguredDevices, registry: Registry, seconds: float, ask: bool, insisted: bool
) -> list[ScanResult]:
    """All ports at once, each in a thread of its own. What the agent has is left to it, unless it is named."""
    from gatepost.drivers.scan.port_probe import PortFinding, PortProbe

    over = threading.Event()
    crew = _Crew()
    alone = PortFinding(LEFT_ALONE, message="the running agent has it")
    hangs = PortFinding("timeout", message="the system does not answer", hint="unplug and replug it")
    owners = {port.path: known.at_port(port.path) for port in ports}
    found: dict[str, PortFinding] = {}
    # The display first: what Ctrl-C ends is the waiting, not an import, whose `exec` Python would remember as its end.
    with suppress(KeyboardInterrupt), progress("listening") as tell:
        for port in ports:
            mine = owners[port.path]
            if mine is not None and mine.status and not insisted:
                found[port.path] = alone
                continue
            hearing = PortProbe(port.path, registry, seconds, ask=ask, step=crew.told(port.path), over=over.is_set)
            crew.start(port.path, hearing.run)
        crew.wait(2 * seconds + HANGING_AFTER, tell)
    over.set()
    crew.wait(ENDING)
    found |= crew.done
    for path, mine in owners.items():
        if mine is not None and mine.status and path in found and found[path].state == "busy":
            found[path] = alone._replace(state="busy")
    return [ScanResult(port, found.get(port.path, hangs), owners[port.path]) for port in ports]


class _Crew:
    """Threads that listen. None is joined: one may hang in the system for ever, and Ctrl-C in a join makes Python take
    the thread for ended."""

    def __init__(self) -> None:
        self.done: dict[str, PortFinding] = {}
        self._doing: dict[str, str] = {}
        self._results: SimpleQueue[tuple[str, PortFinding]] = SimpleQueue()

    def told(self, path: str) -> Callable[[str], None]:
        """Takes what is being done at this port."""

        def told(what: str) -> None:
            self._doing[path] = what

        return told

    def start(self, path: str, work: Callable[[], PortFinding]) -> None:
        self._doing[path] = "opening"

        def run() -> None:
            try:
                found = work()
            except Exception as error:  # a driver of another package can fail in any way
                from gatepost.drivers.scan.port_probe import PortFinding

                found = PortFinding("failed", message=f"{type(error).__name__}: {error}")
            self._results.put((path, found))

        threading.Thread(target=run, daemon=True, name=f"scan {path}").start()

    def wait(self, limit: float, tell: Callable[[str], None] = lambda words: None) -> None:
        """Until all are done, or the limit."""
        end = time.monotonic() + limit
        while len(self.done) < len(self._doing) and time.monotonic() < end:
            with suppress(Empty):
                path, found = self._results.get(timeout=0.1)
                self.done[path] = found
            tell(self._words())

    def _words(self) -> str:
        busy = [path for path in self._doing if path not in self.done]
        if not busy:
            return "listening"
        done = f"{len(self.done)} of {count(len(self._doing), 'port')}"
        return f"{done}: {busy[0].rpartition('/')[2]}: {self._doing[busy[0]]}, Ctrl-C ends it"


def _sensors(known: ConfiguredDevices, registry: Registry) -> list[ScanResult]:
    """On the kernel's 1-wire bus; they are not read."""
    from gatepost.drivers.driver import SerialSettings
    from gatepost.drivers.onewire import link
    from gatepost.drivers.scan.driver_matcher import SURE, DriverMatch
    from gatepost.drivers.scan.port_probe import RECOGNISED, PortFinding
    from gatepost.drivers.scan.ports import SerialPort, sensors

    if W1 not in registry:
        return []
    found = PortFinding(RECOGNISED, (DriverMatch(W1, SURE, SerialSettings(), {}, 0, 0, 0.0, 1.0),))
    return [ScanResult(SerialPort(name, name), found, known.at_port(name)) for name in sensors(link.ROOT)]


# -- telling


def _print(results: list[ScanResult], seconds: float, ask: bool) -> None:
    if not results:
        say("no serial port or 1-wire sensor found")
        say("is the adapter plugged in? see `dmesg`; --port names a port that the system does not list")
        return
    rows = [_row(result) for result in results]
    columns, cells = filled(("port", "state", "driver", "line", "configured", "usb", "what"), rows)
    below = [name for name in ("what", "usb", "configured", "line") if name in columns]
    table(columns, cells, ("state",), below, ("port",))
    if not ask and any(result.found.state == "silent" for result in results):
        say(f"silent for {seconds:g} s: some devices speak only when they are asked (--ask), or have measured")


def _row(result: ScanResult) -> tuple[Any, ...]:
    from gatepost.drivers.scan.port_probe import named

    port, found, mine = result
    best = found.verdicts[0] if found.verdicts else None
    line = None if best is None or best.driver == W1 else named(best.line)
    usb = " ".join(filter(None, (port.usb, port.product, port.serial_number)))
    return (port.path, found.state, best and best.driver, line, mine and str(mine), usb, _what(found))


def _what(found: PortFinding) -> str:
    """How sure it is, or why nothing is known."""
    if found.message:
        return f"{found.message}; {found.hint}" if found.hint else found.message
    if not found.verdicts:
        said = f"; it says {found.sample!r}" if found.sample else ""
        return f"no driver understands its {count(found.octets)} octets{said}" if found.octets else ""
    best, others = found.verdicts[0], [one.driver for one in found.verdicts[1:]]
    parts = [] if best.certainty == "sure" else [f"{best.certainty}: {count(best.readings, 'reading')} only"]
    if best.options:
        parts.append(", ".join(f"{name}: {value}" for name, value in best.options.items()))
    if others:
        parts.append(f"also possible: {', '.join(others)}")
    return "; ".join(parts)


def _told(result: ScanResult, registry: Registry) -> dict[str, Any]:
    from gatepost.drivers.scan.port_probe import settings

    port, found, mine = result
    best = found.verdicts[0] if found.verdicts else None
    usb = None
    if port.usb:
        usb = {"id": port.usb, "maker": port.maker, "product": port.product, "serial_number": port.serial_number}
    return {
        "port": port.path,
        "device": port.device,
        "usb": usb,
        "state": found.state,
        "driver": None if best is None else best.driver,
        "certainty": None if best is None else best.certainty,
        "readings": 0 if best is None else best.readings,
        "faults": 0 if best is None else best.faults,
        "settings": None if best is None else settings(best, registry),
        "also": [one.driver for one in found.verdicts[1:]],
        "octets": found.octets,
        "sample": found.sample or None,
        "configured": None if mine is None else mine.words,
        "message": found.message or None,
        "hint": found.hint or None,
    }


def _drop(results: list[ScanResult], known: ConfiguredDevices, registry: Registry) -> ScanDrop:
    from gatepost.drivers.scan.naming import device_id
    from gatepost.drivers.scan.port_probe import settings

    devices: dict[str, dict[str, Any]] = {}
    remarks = ["Found by `gatepost scan serial`: rename as you like."]
    for port, found, mine in results:
        if not found.verdicts or mine is not None:
            continue
        best = found.verdicts[0]
        place_of = port.serial_number or (port.path if "/by-" not in port.path else port.device).rpartition("/")[2]
        name = device_id((best.driver, place_of), {*known.ids, *devices})
        entry = settings(best, registry)
        devices[name] = {"driver": entry.pop("driver"), "port": port.path, **entry}
        if best.certainty != "sure":
            remarks.append(f"{name}: {best.driver} is likely, not certain.")
    return ScanDrop(devices, remarks)
