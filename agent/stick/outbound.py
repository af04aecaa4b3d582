"""Outbound: what a broker is owed goes on a stick, parcel by parcel, as far as it is not there already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gatepost.agent.core.errors import StickWrong
from gatepost.agent.stick.folder import StickFolder
from gatepost.agent.stick.parcel import ParcelHeader, ParcelReading, encoded
from gatepost.agent.store.ranges import Range, Ranges
from gatepost.agent.uplink.carried.carried_message import CarriedRange
from gatepost.client import GatewayClient, GatewayError

PAGE = 500  # readings that the agent is asked for at once
PARCEL_READINGS = 5000
TRACKS = {True: "urgent", False: "normal"}
PARCEL_OCTETS = 4_000_000  # of messages, before they are compressed


class StickExport(Struct):
    """What an export came to. `delivered`: readings that receipts told of; `twice`: of them those that this gateway had
    delivered itself meanwhile; `there`: readings that were on the stick before; `gone`: readings that were, and that
    are not owed any more: delivered since, or dropped; `left_out`: rows that cannot be written as messages."""

    broker: str = ""
    delivered: int = 0
    twice: int = 0
    there: int = 0
    gone: int = 0
    readings: int = 0
    parcels: int = 0
    octets: int = 0
    left_out: int = 0
    complete: bool = False
    problems: list[str] = []


class Outbound:
    """One export of one broker's backlog. `most`: octets that it may write; None = as the stick has room."""

    def __init__(
        self,
        client: GatewayClient,
        folder: StickFolder,
        public: str | None = None,
        oldest_first: bool = False,
        most: int | None = None,
        tell: Callable[[int], None] = lambda readings: None,
    ) -> None:
        self._client = client
        self._folder = folder
        self._public = public
        self._oldest_first = oldest_first
        self._most = most
        self._tell = tell
        self._numbers: list[int] = []
        self._done = StickExport()

    def run(self, broker: str) -> StickExport:
        """Raises GatewayError, StickWrong, OSError (the stick); what is written by then stays, and counts."""
        done = self._done
        done.broker = broker
        self._folder.sweep()
        done.delivered, done.twice, done.problems = take_receipts(self._client, self._folder)
        owed = self._client.owed(broker)
        covered = self._covered(owed, broker)
        fits = True
        for urgent in (True, False):
            gatherer = _Gatherer()
            for lo, hi in self._windows(owed[TRACKS[urgent]], covered[urgent]):
                while fits and lo < hi:
                    page = self._client.owed_messages(broker, lo, hi, urgent=urgent, limit=PAGE)
                    done.left_out += page["left_out"]
                    gatherer.add(page)
                    lo = page["upto"]
                    if gatherer.is_full:
                        fits = self._put(owed, gatherer)
                        gatherer = _Gatherer()
                if not fits:
                    break
            fits = fits and (gatherer.is_empty or self._put(owed, gatherer))
        done.complete = fits
        if self._numbers:
            self._folder.finish(owed["export"], self._numbers)
        return done

    def _covered(self, owed: dict[str, Any], broker: str) -> dict[bool, Ranges]:
        """What the stick holds already; damaged parcels do not count. One of which nothing is owed any more stays until
        its receipt comes: it was delivered, or a full log has dropped it and this is the only copy."""
        gateway = owed["gateway"]
        covered = {False: Ranges(limit=100_000), True: Ranges(limit=100_000)}
        left = {urgent: Ranges(map(tuple, owed[name]), 100_000) for urgent, name in TRACKS.items()}
        for path in self._folder.parcels():
            try:
                header = self._folder.read(path).header
            except StickWrong as error:
                self._damaged(path, error, gateway)
                continue
            if header.gateway == gateway and header.broker == broker:
                if not any(left[part.urgent].within(part.lo, part.hi) for part in header.ranges):
                    self._done.gone += header.readings
                    continue
                self._done.there += header.readings
                for part in header.ranges:
                    covered[part.urgent].add(part.lo, part.hi)
        return covered

    def _damaged(self, path: Path, error: StickWrong, gateway: str) -> None:
        """One's own makes way for another one with its readings; another gateway's is left to who carries it."""
        header = self._folder.header(path)
        if header is not None and header.gateway == gateway:
            self._folder.forget(path)
            self._done.problems.append(f"{path.name}: {error.message}; its readings are written again")
        else:
            self._done.problems.append(f"{path.name}: {error.message}")

    def _windows(self, owed: list[list[int]], covered: Ranges) -> Iterator[Range]:
        """Ranges to ask for, in order."""
        ranges = [part for lo, hi in owed for part in covered.outside(lo, hi)]
        if self._oldest_first:
            yield from ranges
            return
        for lo, hi in reversed(ranges):
            while lo < hi:
                yield max(lo, hi - PAGE), hi
                hi -= PAGE

    def _put(self, owed: dict[str, Any], gatherer: _Gatherer) -> bool:
        """Whether it fitted."""
        number, done = len(self._numbers) + 1, self._done
        header = ParcelHeader(
            owed["gateway"],
            owed["broker"],
            owed["export"],
            number,
            f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            len(gatherer.readings),
            gatherer.ranges,
        )
        readings = sorted(gatherer.readings, key=lambda reading: reading.seq)
        content = encoded(header, owed["key"], readings, self._public)
        if len(content) > self._folder.space() or (self._most is not None and done.octets + len(content) > self._most):
            return False
        self._folder.write(header, content)
        self._numbers.append(number)
        done.parcels += 1
        done.readings += len(readings)
        done.octets += len(content)
        self._tell(done.readings)
        return True


class _Gatherer:
    """What goes into the next parcel."""

    def __init__(self) -> None:
        self.readings: list[ParcelReading] = []
        self.ranges: list[CarriedRange] = []
        self._octets = 0

    def add(self, page: dict[str, Any]) -> None:
        for reading in page["readings"]:
            self.readings.append(ParcelReading(reading["seq"], reading["messages"]))
            self._octets += sum(len(message["payload"]) for message in reading["messages"])
        for part in page["ranges"]:
            self._cover(CarriedRange(*part))

    def _cover(self, part: CarriedRange) -> None:
        """Joined with the last one where they touch, on either side."""
        last = self.ranges[-1] if self.ranges else None
        if last is not None and last.hi == part.lo:
            self.ranges[-1] = CarriedRange(part.urgent, last.lo, part.hi, part.last)
        elif last is not None and part.hi == last.lo:
            self.ranges[-1] = CarriedRange(part.urgent, part.lo, last.hi, last.last)
        else:
            self.ranges.append(part)

    @property
    def is_empty(self) -> bool:
        return not self.ranges

    @property
    def is_full(self) -> bool:
        return len(self.readings) >= PARCEL_READINGS or self._octets >= PARCEL_OCTETS


def take_receipts(client: GatewayClient, folder: StickFolder) -> tuple[int, int, list[str]]:
    """Receipts for this gateway's parcels: what they name is delivered, and leaves the stick. How many readings were
    still owed, how many were not, and what is wrong with receipts that are not taken."""
    delivered, twice, problems = 0, 0, []
    gateway = client.status()["gateway"]["id"]
    for path, receipt in list(folder.receipts()):
        if receipt.gateway != gateway:
            continue
        try:
            owed = client.take_receipt(receipt.broker, msgspec.to_builtins(receipt))["delivered"]
        except GatewayError as error:
            problems.append(f"{path.name}: {error.message}")
            continue
        delivered += owed
        twice += max(0, receipt.readings - owed)
        folder.forget(path)
    return delivered, twice, problems
