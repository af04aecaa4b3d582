"""`python -m gatepost.drivers.ble.twin NAME[:SEED] ...`: simulated devices on a private bus, in a process of its own.

The first line printed is JSON: `bus` (for DBUS_SYSTEM_BUS_ADDRESS), `devices`, `drop`. Orders are then read from
standard input (console.py), if any come; it runs until SIGTERM, Ctrl-C, or the end of its input with `--attached`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

from gatepost.drivers.ble.twin.console import TwinConsole
from gatepost.drivers.ble.twin.daemon_state import REAL_TIMING, DaemonTiming
from gatepost.drivers.ble.twin.devices.catalogue import NAMES, driver_of, make, secure
from gatepost.drivers.ble.twin.emulated_bluetooth import EmulatedBluetooth, SimulatedEntry, settings_text
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral
from gatepost.drivers.ble.twin.private_bus import NoBus


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gatepost.drivers.ble.twin", description="Simulated BLE devices.")
    parser.add_argument("names", nargs="+", metavar="NAME[:SEED[:JSON]]", help=", ".join(NAMES))
    parser.add_argument("--bus", type=Path, help="where the bus listens; default a temporary folder")
    parser.add_argument("--adapters", type=int, default=1)
    parser.add_argument("--slots", type=int, help="links that each adapter holds")
    parser.add_argument("--speed", type=float, default=1.0, help="times as fast as devices are")
    parser.add_argument("--real", action="store_true", help="everything takes as long as with a real daemon")
    parser.add_argument("--attached", action="store_true", help="end with the end of standard input")
    parsed = parser.parse_args(arguments)
    try:
        peripherals = [_made(name) for name in parsed.names]
    except (KeyError, ValueError, TypeError) as error:
        parser.error(f"no simulated device: {error}")
    try:
        asyncio.run(_run(peripherals, parsed))
    except NoBus as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _made(text: str) -> TwinPeripheral:
    name, _, rest = text.partition(":")
    seed, _, settings = rest.partition(":")
    options = json.loads(settings or "{}")
    secured, passkey = options.pop("secure", False), options.pop("passkey", None)
    made = make(name, int(seed or 0), **options)
    return secure(made, passkey) if secured else made


async def _run(peripherals: list[TwinPeripheral], parsed: argparse.Namespace) -> None:
    timing = REAL_TIMING if parsed.real else DaemonTiming()
    async with EmulatedBluetooth(peripherals, parsed.bus, parsed.adapters, timing, parsed.speed) as stage:
        for adapter in stage.daemon.adapters.values():
            adapter.slots = parsed.slots
        names = [name.partition(":")[0] for name in parsed.names]
        devices = [
            SimulatedEntry(f"{name}-{number}", driver_of(name), each.address)
            for number, (name, each) in enumerate(zip(names, peripherals, strict=True), 1)
        ]
        known = [{"name": each.name, "driver": each.driver, "address": each.address} for each in devices]
        _say({"bus": stage.bus.address, "devices": known, "drop": settings_text(devices)})
        await _serve(TwinConsole(stage), parsed.attached)


async def _serve(console: TwinConsole, attached: bool) -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    if not _speaks(sys.stdin.fileno()):
        await end.wait()
        return
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    orders = asyncio.create_task(_orders(reader, console))
    over = asyncio.create_task(end.wait())
    await asyncio.wait({orders, over}, return_when=asyncio.FIRST_COMPLETED)
    if not attached:
        await over
    for task in (orders, over):
        task.cancel()
    await asyncio.gather(orders, over, return_exceptions=True)
    transport.close()


def _speaks(number: int) -> bool:
    """True if orders can come from there: a pipe, a socket or a terminal, and no file or /dev/null."""
    mode = os.fstat(number).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(number)


async def _orders(reader: asyncio.StreamReader, console: TwinConsole) -> None:
    while line := await reader.readline():
        _say(await console.hear(line.decode(errors="replace")))


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
