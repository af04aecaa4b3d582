"""A whole set-up for one measurement: simulated devices -> program -> mosquitto -> collector, in its own folder."""

from __future__ import annotations

import shutil
import tempfile
import time
from array import array
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from tools.harness import program
from tools.harness.collector import WIDTH
from tools.harness.helper import Helper, HelperFailed, wait_for
from tools.harness.mosquitto import Mosquitto

INFLIGHT = 200  # mosquitto's own default of 20 would decide the window; both programs are to use theirs (100)
BROKER = "bench"


class Row(NamedTuple):
    """One arrival at the far end; times in nanoseconds of the wall clock."""

    device: int
    n: int
    ts: int
    received: int
    sequence: int
    replayed: int


class Rig:
    """`kind` is "agent" or "floor". With `tap` the link to the broker can be taken away; it costs some time. `broker`:
    further settings of the broker, whose messages are in `payload_format`."""

    def __init__(
        self,
        kind: str,
        devices: int,
        base: Path | None = None,
        tap: bool = False,
        payload_format: str = "",
        broker: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="gatepost-", dir=base))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._build(kind, devices, tap, payload_format, broker or {}, settings)
        except BaseException:
            self._stack.close()
            raise

    def _build(
        self, kind: str, devices: int, tap: bool, payload_format: str, broker: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        enter = self._stack.enter_context
        self.mosquitto = enter(Mosquitto(self.folder, INFLIGHT))
        topic = {"topic": "#", "payload_format": payload_format} if payload_format else {}
        self.collector = enter(Helper("collector", port=self.mosquitto.port, **topic))
        self.feeder = enter(Helper("feeder", folder=str(self.folder), devices=devices))
        self.ports: list[str] = self.feeder.hello["ports"]
        self.ttys = [self.folder / f"tty-{index}" for index in range(devices)]
        self.tap = enter(Helper("tap", upstream=self.mosquitto.port)) if tap else None
        port = self.tap.hello["port"] if self.tap else self.mosquitto.port
        if kind == "floor":
            self.program = program.floor(self.folder, port, self.ttys)
        else:
            made = program.agent_settings(self.folder, {BROKER: port}, self.ttys)
            made["brokers"][BROKER] |= broker
            self._settings = made
            self.program = program.agent(self.folder, made)
            self.change_settings(**settings)
        enter(self.program)
        self.base = [0] * devices

    def change_settings(self, **sections: dict[str, Any]) -> None:
        """Keys of the agent's settings, before it is started."""
        for section, keys in sections.items():
            self._settings.setdefault(section, {}).update(keys)
        program.write_settings(self.folder, self._settings)

    def start(self) -> None:
        """Program up, ports open, and one reading of every device seen at the far end; counting starts after that."""
        self.program.start()
        self.program.opened(self.ports)
        self.feeder.ask("feed", rate=10 * len(self.ports))
        wait_for(
            "the first reading of every device at the far end",
            lambda: len(self.collector.ask("stats")["devices"]) == len(self.ports),
            30.0,
            0.1,
        )
        self.base = self.feeder.ask("stop")["fed"]
        self.rest()
        self.collector.ask("reset")

    def rest(self, quiet: float = 2.5, timeout: float = 60.0) -> int:
        """Waits until nothing arrives any more; returns how much arrived since the last reset."""
        until = time.monotonic() + timeout
        last, since = -1, time.monotonic()
        while time.monotonic() < until:
            received: int = self.collector.ask("stats")["received"]
            if received != last:
                last, since = received, time.monotonic()
            elif time.monotonic() - since > quiet:
                return received
            time.sleep(0.1)
        raise TimeoutError(f"still arriving after {timeout:.0f} s")

    def arrived(self, count: int, stalled: float = 15.0) -> bool:
        """Waits until `count` arrived since the last reset; False when nothing came for `stalled` seconds."""
        last, since = -1, time.monotonic()
        while True:
            received: int = self.collector.ask("stats", timeout=30.0)["received"]
            if received >= count:
                return True
            if received != last:
                last, since = received, time.monotonic()
            elif time.monotonic() - since > stalled:
                return False
            time.sleep(0.05)

    def stop_feeding(self) -> int:
        """Lines written since the counting started."""
        fed: list[int] = self.feeder.ask("stop")["fed"]
        return sum(fed) - sum(self.base)

    def rows(self) -> list[Row]:
        """What arrived since the last reset, without the warming up."""
        path = self.folder / "arrived.bin"
        stats = self.collector.ask("dump", timeout=60.0, path=str(path))
        if stats["connects"] != 1:
            raise HelperFailed("the collector lost its connection, so it cannot say what arrived")
        values = array("q")
        values.frombytes(path.read_bytes())
        path.unlink()
        base = {number: self.base[int(name.rpartition("-")[2])] for name, number in stats["devices"].items()}
        rows = (Row(*values[at : at + WIDTH]) for at in range(0, len(values), WIDTH))
        return [row for row in rows if row.n > base[row.device]]

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def quantile(ordered: list[float], share: float) -> float | None:
    """Of an ordered list; None when it is empty."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
