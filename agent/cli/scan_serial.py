"""`gatepost scan serial`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.cli.human import count
from agent.cli.scan_common import progress, seconds_of
from agent.cli.scan_drop import Drop, finish, place
from agent.cli.scan_known import Configured, Known, configured
from agent.cli.show import complain, say, say_json, table
from drivers.driver import Registry

if TYPE_CHECKING:
    from drivers.scan.hearing import Found
    from drivers.scan.ports import Port

LEFT_ALONE, W1 = "left-alone", "ds18b20"
PATIENCE = 60.0  # seconds beyond twice its time after which a port counts as hanging in the system
ENDING = 3.0  # seconds that ports get to be closed after Ctrl-C


class Result(NamedTuple):
    """A port or 1-wire sensor, what was found there, and who has it."""

    port: Port
    found: Found
    mine: Known | None


def run(
    duration: str,
    given: list[str],
    ask: bool,
    name: str | None,
    socket: Path | None,
    config: Path | None,
    json: bool,
) -> None:
    seconds = seconds_of(duration)
    known = configured(socket, config)
    path = None if name is None else place(name, config, known)
    for note in known.notes:
        complain(note)
    registry = Registry.installed()
    results = _look(_ports(given), known, registry, seconds, ask, bool(given))
    results += [] if given else _sensors(known, registry)
    drop = _drop(results, known, registry)
    if not json:
        _print(results, seconds, ask)
    told = finish(drop, path, known, config, json)
    if json:
        say_json({"seconds": seconds, "ports": [_told(result, registry) for result in results], **told})


def _ports(given: list[str]) -> list[Port]:
    from drivers.scan.ports import given as named
    from drivers.scan.ports import ports

    return [named(path) for path in dict.fromkeys(given)] if given else ports()


# -- listening


def _look(
    ports: list[Port], known: Configured, registry: Registry, seconds: float, ask: bool, insisted: bool
) -> list[Result]:
    """All ports at once, each in a thread of its own. What the agent has is left to it, unless it is named."""
    from drivers.scan.hearing import Found, Hearing

    results: dict[str, Result] = {}
    over = threading.Event()
    doing: dict[str, str] = {}

    def hear(port: Port, mine: Known | None) -> None:
        def step(what: str) -> None:
            doing[port.path] = what

        hearing = Hearing(port.path, registry, seconds, ask=ask, step=step, over=over.is_set)
        results[port.path] = Result(port, hearing.run(), mine)

    threads: dict[str, tuple[Port, Known | None, threading.Thread]] = {}
    for port in ports:
        mine = known.at_port(port.path)
        if mine is not None and mine.status and not insisted:
            results[port.path] = Result(port, Found(LEFT_ALONE, message="the running agent has it"), mine)
            continue
        thread = threading.Thread(target=hear, args=(port, mine), daemon=True, name=f"scan {port.path}")
        threads[port.path] = (port, mine, thread)
        thread.start()
    _wait([thread for _, _, thread in threads.values()], 2 * seconds + PATIENCE, over, lambda: _doing(threads, doing))
    for path, (port, mine, thread) in threads.items():
        if thread.is_alive() or path not in results:
            hangs = Found("timeout", message=f"{path}: the system does not answer", hint="unplug and replug it")
            results[path] = Result(port, hangs, mine)
    return [results[port.path] for port in ports]


def _wait(threads: list[threading.Thread], limit: float, over: threading.Event, words: Callable[[], str]) -> None:
    """Until all are done, Ctrl-C, or the limit; then they get a moment to close their ports."""
    end = time.monotonic() + limit
    try:
        with progress("listening") as tell:
            while any(thread.is_alive() for thread in threads) and time.monotonic() < end:
                tell(words())
                next(thread for thread in [*threads, threading.main_thread()] if thread.is_alive()).join(0.1)
    except KeyboardInterrupt:
        pass
    over.set()
    end = time.monotonic() + ENDING
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


def _doing(threads: dict[str, tuple[Port, Known | None, threading.Thread]], doing: dict[str, str]) -> str:
    busy = [path for path, (_, _, thread) in threads.items() if thread.is_alive()]
    if not busy:
        return "listening"
    done = f"{len(threads) - len(busy)} of {count(len(threads), 'port')}"
    return f"{done}: {busy[0].rpartition('/')[2]}: {doing.get(busy[0], 'opening')}, Ctrl-C ends it"


def _sensors(known: Configured, registry: Registry) -> list[Result]:
    """On the kernel's 1-wire bus; they are not read."""
    from drivers.driver import Line
    from drivers.scan.hearing import RECOGNISED, Found
    from drivers.scan.judge import SURE, Verdict
    from drivers.scan.ports import Port, sensors
    from drivers.serial import w1_link

    if W1 not in registry:
        return []
    found = Found(RECOGNISED, (Verdict(W1, SURE, Line(), {}, 0, 0, 0.0, 1.0),))
    return [Result(Port(name, name), found, known.at_port(name)) for name in sensors(w1_link.ROOT)]


# -- telling


def _print(results: list[Result], seconds: float, ask: bool) -> None:
    if not results:
        say("no serial port and no 1-wire sensor is there")
        say("is the adapter plugged in? see `dmesg`; --port names a port that the system does not list")
        return
    columns = ("port", "state", "driver", "line", "configured", "usb", "what")
    rows = [_row(result) for result in results]
    table(columns, rows, ("state",), ("what", "usb", "configured", "line"), ("port",))
    if not ask and any(result.found.state == "silent" for result in results):
        say(f"silent for {seconds:g} s: some devices speak only when they are asked (--ask), or have measured")


def _row(result: Result) -> tuple[Any, ...]:
    from drivers.scan.hearing import named

    port, found, mine = result
    best = found.verdicts[0] if found.verdicts else None
    line = None if best is None or best.driver == W1 else named(best.line)
    usb = " ".join(filter(None, (port.usb, port.product, port.serial_number)))
    return (port.path, found.state, best and best.driver, line, mine and str(mine), usb, _what(found))


def _what(found: Found) -> str:
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


def _told(result: Result, registry: Registry) -> dict[str, Any]:
    from drivers.scan.hearing import settings

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


def _drop(results: list[Result], known: Configured, registry: Registry) -> Drop:
    from drivers.scan.hearing import settings
    from drivers.scan.naming import device_id

    devices: dict[str, dict[str, Any]] = {}
    remarks = ["Found by `gatepost scan serial`. Rename as you like."]
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
    return Drop(devices, remarks)
