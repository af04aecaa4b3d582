"""Two boxes without an agent: one that gives its backlog out, one that takes another's in."""

from __future__ import annotations

from typing import Any

from gatepost.agent.store.ranges import FOREVER, Ranges
from gatepost.agent.uplink.carried.carried_message import DeliveryReceipt
from gatepost.client import Unavailable

KEY = "ab" * 32


class HomeBox:
    """Owes readings 1 to `count` to the broker `a`; every tenth is urgent. Answers as the API does."""

    def __init__(self, count: int, gateway: str = "home") -> None:
        self.gateway = gateway
        self.count = count
        self.exports = 0
        self.asked: list[tuple[int, int]] = []
        self.owing = {False: Ranges([(1, FOREVER)]), True: Ranges([(1, FOREVER)])}

    def status(self) -> dict[str, Any]:
        return {"gateway": {"id": self.gateway}}

    def brokers_status(self) -> dict[str, Any]:
        return {"brokers": [{"name": "a"}]}

    def owed(self, broker: str) -> dict[str, Any]:
        self.exports += 1
        normal, urgent = (self.owing[track].within(1, self.count + 1) for track in (False, True))
        export = self.gateway.encode().hex() + f"{self.exports:04x}"
        names = {"broker": broker, "gateway": self.gateway, "export": export, "key": KEY}
        return names | {"normal": normal, "urgent": urgent}

    def owed_messages(self, broker: str, lo: int, hi: int, *, urgent: bool, limit: int) -> dict[str, Any]:
        self.asked.append((lo, hi))
        seqs = [seq for seq in range(lo, hi) if (seq % 10 == 0) is urgent][:limit]
        upto = seqs[-1] + 1 if len(seqs) == limit else hi
        readings = [{"seq": seq, "messages": [{"topic": "t", "payload": f"{self.gateway}:{seq}"}]} for seq in seqs]
        return {"upto": upto, "ranges": [[urgent, lo, upto, str(upto - 1)]], "readings": readings, "left_out": 0}

    def take_receipt(self, broker: str, receipt: Any) -> dict[str, Any]:
        import msgspec

        taken = msgspec.convert(receipt, DeliveryReceipt)
        assert taken.is_genuine(KEY)
        before = self.owes()
        for part in taken.ranges:
            assert part.last == str(part.hi - 1)
            self.owing[part.urgent].subtract(part.lo, part.hi)
        return {"readings": taken.readings, "delivered": before - self.owes()}

    def deliver(self, lo: int, hi: int) -> None:
        """By itself: its network was there."""
        for owing in self.owing.values():
            owing.subtract(lo, hi)

    def owes(self) -> int:
        within = {urgent: Ranges(self.owing[urgent].within(1, self.count + 1)) for urgent in (False, True)}
        return sum(seq in within[seq % 10 == 0] for seq in range(1, self.count + 1))


class CourierBox:
    """Its broker takes everything, but what `judge` objects to; remembers parcels as the agent does."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.upstream: list[str] = []
        self.fails_at = fails_at  # so many readings are taken, then the broker is away once
        self._done: dict[str, Ranges] = {}

    def status(self) -> dict[str, Any]:
        return {"gateway": {"id": "courier"}}

    def brokers_status(self) -> dict[str, Any]:
        return {"brokers": [{"name": "up"}]}

    def carry(self, broker: str, parcel: str, start: int, readings: list[Any]) -> dict[str, Any]:
        assert broker == "up"
        done = self._done.setdefault(parcel, Ranges())
        for index, messages in enumerate(readings, start):
            if self.fails_at is not None and len(self.upstream) >= self.fails_at:
                self.fails_at = None
                raise Unavailable("broker-not-connected", "up is not connected", "", 503)
            if index not in done:
                self.upstream += [message["payload"] for message in messages]
                done.add(index, index + 1)
        return {"done": list(done), "refused": []}
