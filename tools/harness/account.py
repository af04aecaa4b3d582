"""The account of a torture run: what a tap's journal says, held against what is stored."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from tools.harness.truth import Row

REFUSED = 0x80  # reason codes from here on are no delivery


class Arrivals:
    """One broker's side: reads the journal as it grows. A reading counts as delivered once it was acknowledged."""

    def __init__(self, journal: Path, loose: str = "\0") -> None:
        """`loose`: devices whose names begin with it may repeat what they say."""
        self._journal, self._at, self._loose = journal, 0, loose
        self._flight: dict[tuple[str, str], list[tuple[str, int]]] = {}
        self._last: dict[tuple[str, str, str], tuple[int, int]] = {}
        self.sent: dict[str, tuple[str, int]] = {}  # id -> device, n as it was first sent
        self.sends = 0
        self.delivered: Counter[str] = Counter()
        self.times: set[int] = set()  # `ts` of what was delivered: under another id now, where damage took the epochs
        self.refused = 0
        self.connections = 0
        self.replayed = 0
        self.disorder: list[str] = []
        self.changed: list[str] = []

    def read(self) -> None:
        """Takes in whole lines that were added."""
        with self._journal.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._at += end
        for line in data[:end].decode().splitlines():
            kind, connection, *rest = line.split(" ")
            if kind == "P":
                self._publish(connection, *rest)
            elif kind == "A":
                self._ack(connection, *rest)
            else:
                self.connections += 1

    def _publish(
        self, connection: str, mid: str, key: str, device: str, n: str, ts: str, lane: str, event: str
    ) -> None:
        self.sends += 1
        self.replayed += lane == "r"
        self._flight.setdefault((connection, mid), []).append((key, int(ts)))
        first = self.sent.setdefault(key, (device, int(n)))
        if first != (device, int(n)):
            self.changed.append(f"{key} was {first} and then {(device, int(n))}")
        if event == "1":
            return
        place, order = (connection, device, lane), (int(key.rpartition(":")[2]), int(n))
        before = self._last.get(place)
        strict = not device.startswith(self._loose)
        if before is not None and (order[0] <= before[0] or order[1] <= before[1]) and strict:
            self.disorder.append(
                f"connection {connection}, {device}, lane {lane}: {order} after {before} (sequence, n)"
            )
        self._last[place] = order

    def _ack(self, connection: str, mid: str, reason: str) -> None:
        keys = self._flight.pop((connection, mid), [])
        if int(reason) >= REFUSED:
            self.refused += len(keys)
        else:
            self.delivered.update(key for key, _ in keys)
            self.times.update(ts for _, ts in keys)


def key_at(kind: str, key: str, row: Row) -> str:
    """Under which id a broker of this format gets a stored row."""
    return f"{row.device}:{row.n}" if kind == "sparkplug" and not row.event else key


def superseded(rows: dict[str, Row], delivered: Counter[str]) -> set[str]:
    """Readings after which a newer one of their device was delivered: Home Assistant is not told of them any more."""
    newest: dict[str, int] = {}
    for at, (key, row) in enumerate(rows.items()):
        if key in delivered:
            newest[row.device] = at
    return {key for at, (key, row) in enumerate(rows.items()) if not row.event and at < newest.get(row.device, -1)}


class Window(NamedTuple):
    """When the agent was not there to take anything; wall nanoseconds."""

    since: int
    until: int


class Hole(NamedTuple):
    """Lines of a device that are not stored: after n = `after`, so many of them, written between these times."""

    device: str
    after: int
    lines: int
    since: int
    until: int


def holes(rows: dict[str, Row], fed: dict[str, int]) -> tuple[list[Hole], list[str], list[str]]:
    """Holes in what each device counted; readings stored twice; readings stored in another order than printed."""
    last: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    seen: dict[str, set[int]] = defaultdict(set)
    found: list[Hole] = []
    twice: list[str] = []
    disorder: list[str] = []
    for key, row in rows.items():
        if row.event:
            continue
        n, ts = last[row.device]
        if row.n in seen[row.device]:
            twice.append(f"{row.device} n={row.n} again as {key}")
        elif row.n < n:
            disorder.append(f"{row.device} n={row.n} after {n}")
        elif row.n > n + 1:
            found.append(Hole(row.device, n, row.n - n - 1, ts, row.ts))
        seen[row.device].add(row.n)
        last[row.device] = max(last[row.device], (row.n, row.ts))
    for device, count in fed.items():
        n, ts = last[device]
        if n < count:
            found.append(Hole(device, n, count - n, ts, 1 << 62))
    return found, twice, disorder


def unexplained(found: list[Hole], windows: list[Window], slack: float) -> list[Hole]:
    """Holes that do not lie within a time when the agent was away (`slack` seconds around it)."""
    room = int(slack * 1e9)
    merged: list[Window] = []
    for window in sorted(Window(one.since - room, one.until + room) for one in windows):
        if merged and window.since <= merged[-1].until:
            merged[-1] = Window(merged[-1].since, max(merged[-1].until, window.until))
        else:
            merged.append(window)
    return [hole for hole in found if not any(w.since <= hole.since and hole.until <= w.until for w in merged)]
