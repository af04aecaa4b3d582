"""Inbound: parcels of other gateways are sent through a broker of this one; each that was taken gets its receipt."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gatepost.agent.core.errors import StickWrong
from gatepost.agent.stick.folder import StickFolder
from gatepost.agent.stick.outbound import take_receipts
from gatepost.agent.stick.parcel import ParcelContents, ParcelHeader, SealedParcel
from gatepost.agent.store.ranges import Ranges
from gatepost.agent.uplink.carried.carried_message import DeliveryReceipt, RefusedReading
from gatepost.client import GatewayClient
from gatepost.client.retries import retried

SENT_AT_ONCE = 200  # readings in one request, and
OCTETS_AT_ONCE = 400_000  # of their messages; the API takes 1 MiB


class StickImport(Struct):
    """What an import came to. `delivered`: readings of this gateway that receipts told of, and `twice` that it had
    delivered itself; `own`: parcels of this gateway, which it sends itself; `before`: those with a receipt."""

    delivered: int = 0
    twice: int = 0
    readings: int = 0
    parcels: int = 0
    refused: int = 0
    before: int = 0
    own: int = 0
    unfinished: list[str] = []
    problems: list[str] = []


class Inbound:
    """One import. `broker`: through which one; None = the one of the name that the parcel says, else the only one."""

    def __init__(
        self,
        client: GatewayClient,
        folder: StickFolder,
        broker: str | None = None,
        private: str | None = None,
        tell: Callable[[int], None] = lambda readings: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._folder = folder
        self._broker = broker
        self._private = private
        self._tell = tell
        self._sleep = sleep
        self._gateway = ""
        self._done = StickImport()

    def run(self) -> StickImport:
        """Raises GatewayError (the agent, its broker), OSError (the stick); what was sent by then is remembered."""
        done = self._done
        self._gateway = self._client.status()["gateway"]["id"]
        self._folder.sweep()
        done.delivered, done.twice, done.problems = take_receipts(self._client, self._folder)
        for path, _ in self._look():
            self._send(path)
        return done

    def check(self) -> StickImport:
        """Look at every parcel, send nothing."""
        for path, header in self._look():
            if self._opened(path) is not None:
                self._done.parcels += 1
                self._done.readings += header.readings
        return self._done

    def _look(self) -> list[tuple[Path, ParcelHeader]]:
        """The parcels of other gateways in the order in which they are sent; what is torn or missing is a problem."""
        found = []
        for path in self._folder.parcels():
            try:
                header = self._folder.read(path).header
            except StickWrong as error:
                self._done.problems.append(f"{path.name}: {error.message}; {error.hint}")
                continue
            if header.gateway == self._gateway:
                self._done.own += 1
            else:
                found.append((path, header))
        self._done.problems += [f"{name} is missing: the copy is not complete" for name in self._folder.missing()]
        self._done.unfinished = sorted(self._folder.unfinished({header.export for _, header in found}))
        return sorted(found, key=lambda each: (each[1].gateway, each[1].order))

    def _send(self, path: Path) -> None:
        opened = self._opened(path)
        if opened is None:
            return
        parcel, contents = opened
        header = parcel.header
        before = self._folder.receipt(path)
        if before is not None and before.is_genuine(contents.key):
            self._done.before += 1
            return
        broker = self._chosen(header.broker)
        refused = self._sent(broker, parcel.digest, contents)
        receipt = DeliveryReceipt(
            header.gateway,
            header.broker,
            header.export,
            header.number,
            len(contents.readings),
            header.ranges,
            [RefusedReading(contents.readings[index].seq, reason) for index, reason in refused],
            self._gateway,
            f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        )
        self._folder.write_receipt(path, receipt.signed(contents.key))
        self._done.parcels += 1
        self._done.refused += len(refused)

    def _opened(self, path: Path) -> tuple[SealedParcel, ParcelContents] | None:
        try:
            parcel = self._folder.read(path)
            return parcel, parcel.open(self._private)
        except StickWrong as error:
            self._done.problems.append(f"{path.name}: {error.message}; {error.hint}")
            return None

    def _sent(self, broker: str, digest: str, contents: ParcelContents) -> list[tuple[int, str]]:
        """All of a parcel; index and reason of what the broker refused."""
        progress = self._carry(broker, digest, 0, [])
        at = 0
        while at < len(contents.readings):
            some = _next(contents, at)
            known = Ranges([(lo, hi) for lo, hi in progress["done"]])
            if known.outside(at, at + len(some)):
                progress = self._carry(broker, digest, at, some)
                self._done.readings += len(some)
                self._tell(self._done.readings)
            at += len(some)
        return [(index, reason) for index, reason in progress["refused"]]

    def _carry(self, broker: str, digest: str, start: int, readings: list[Any]) -> dict[str, Any]:
        return retried(lambda: self._client.carry(broker, digest, start, readings), self._sleep)

    def _chosen(self, named: str) -> str:
        if self._broker is not None:
            return self._broker
        names = [broker["name"] for broker in self._client.brokers_status()["brokers"]]
        if named in names:
            return named
        if len(names) == 1:
            return names[0]
        raise StickWrong(f"this gateway has no broker {named!r}", "say through which one to send: --broker NAME")


def _next(contents: ParcelContents, at: int) -> list[Any]:
    """The messages of the readings from `at` on that go together."""
    some: list[Any] = []
    octets = 0
    for reading in contents.readings[at : at + SENT_AT_ONCE]:
        octets += len(msgspec.json.encode(reading.messages))
        if some and octets > OCTETS_AT_ONCE:
            break
        some.append(reading.messages)
    return some
