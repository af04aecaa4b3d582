"""Backlog export of one broker: what it is owed, as messages that another gateway can send; and receipts for them."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from gatepost.agent.core.errors import BadInput, Conflict
from gatepost.agent.settings.model import BrokerSettings
from gatepost.agent.store.delivery.positions import NORMAL, URGENT_TRACK
from gatepost.agent.store.model import EVENT, URGENT, Record
from gatepost.agent.uplink.broker_format import BrokerFormat, topics_of
from gatepost.agent.uplink.carried.carried_message import CarriedMessage, CarriedRange, DeliveryReceipt, carried
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.message_renderer import MessageRenderer, UnsendableMessage
from gatepost.agent.uplink.routing import BrokerRoutes, PaceKey, PaceVerdict, ReadingThinner

log = logging.getLogger(__name__)

PAGE_OCTETS = 400_000  # of payloads in one answer
SECRET = "carried-secret"  # noqa: S105 - the name of the key under which it is kept


class BacklogExport:
    """Export of what one broker is owed; nothing here changes that but a receipt. `requeue`: the broker's link goes on
    with what it is owed now."""

    def __init__(
        self,
        name: str,
        settings: BrokerSettings,
        routes: BrokerRoutes,
        context: UplinkContext,
        requeue: Callable[[], None],
    ) -> None:
        self._name = name
        self._settings = settings
        self._routes = routes
        self._context = context
        self._requeue = requeue
        self._store = context.store
        topics = topics_of(settings, routes, context)
        self._format = BrokerFormat(name, settings, topics, context, routes)

    async def owed(self) -> dict[str, Any]:
        """The ranges that are owed, and a new export: its id, and the key for its receipts. Raises Conflict."""
        self._check_format()
        export = secrets.token_hex(8)
        first, head = await self._store.queries.first() or 0, self._store.head
        position = self._store.backlog.position(self._name)
        within = [[list(part) for part in position.owed[track].within(first, head + 1)] for track in (0, 1)]
        return {
            "broker": self._name,
            "gateway": self._context.gateway,
            "format": self._settings.format,
            "export": export,
            "key": await self._key(export),
            "normal": within[NORMAL],
            "urgent": within[URGENT_TRACK],
        }

    async def page(self, urgent: bool, lo: int, hi: int, limit: int) -> dict[str, Any]:
        """The messages of rows [lo, upto), whether owed or not. `ranges` leave out rows that cannot be written as
        messages, `left_out` counts those. Rules with `every` thin out within a page. Raises Conflict, StoreError."""
        self._check_format()
        hi = max(lo, min(hi, self._store.head + 1))
        records = await self._store.queries.page(URGENT_TRACK if urgent else NORMAL, lo, hi, limit)
        upto = records[-1].seq + 1 if len(records) == limit else hi
        readings: list[dict[str, Any]] = []
        left_out: list[int] = []
        renderer, thinner = self._renderer(), ReadingThinner()
        octets = 0
        for record in records:
            if octets > PAGE_OCTETS:
                upto = record.seq
                break
            try:
                messages = self._messages(renderer, thinner, record)
            except (UnsendableMessage, KeyError) as problem:
                log.warning("%s: row %d is left out of the export: %s", self._name, record.seq, problem)
                left_out.append(record.seq)
                continue
            if messages:
                readings.append({"seq": record.seq, "messages": messages})
                octets += sum(len(message.payload) for message in messages)
        ends = [*left_out, upto]
        ranges = [
            CarriedRange(urgent, start, end, self._store.reading_id(end - 1))
            for start, end in zip([lo, *(seq + 1 for seq in left_out)], ends, strict=True)
            if start < end
        ]
        return {"upto": upto, "ranges": ranges, "readings": readings, "left_out": len(left_out)}

    async def take_receipt(self, receipt: DeliveryReceipt) -> int:
        """What it names is delivered; how many rows were still owed. Raises BadInput for a receipt that is not of an
        export of this log, or was changed."""
        if receipt.broker != self._name or not receipt.is_genuine(await self._key(receipt.export)):
            raise BadInput(
                f"the receipt is not for readings that this gateway gave out for {self._name}, or it was changed",
                "copy it again from where the readings were sent",
            )
        store = self._store
        for part in receipt.ranges:
            # Another id for the same number: the log is an older one since then, and counts on from there.
            if part.lo >= part.hi or store.reading_id(part.hi - 1) != part.last:
                raise BadInput(
                    "the receipt is for readings that this log does not hold any more",
                    "they are sent again, with ids of their own",
                )
        backlog = store.backlog
        for refused in receipt.refused:
            if any(refused.seq in owed for owed in backlog.position(self._name).owed):
                store.dead_letter(self._name, refused.seq, None, refused.reason)
        ranges = [(URGENT_TRACK if part.urgent else NORMAL, part.lo, part.hi) for part in receipt.ranges]
        count = await backlog.settle(self._name, ranges)
        self._requeue()
        log.info("%s: receipt from %s for %d readings, %d still owed", self._name, receipt.by, receipt.readings, count)
        return count

    def _check_format(self) -> None:
        if not self._format.kind.carried:
            raise Conflict(
                f"{self._name} has the format {self._settings.format}, whose messages belong to a connection of the "
                "gateway's own and cannot be carried",
                "carry the readings of a broker with another format, or connect this one",
            )

    def _renderer(self) -> MessageRenderer:
        self._format.update_devices(self._routes)
        reading_id, clock = self._store.reading_id, self._context.clock
        return MessageRenderer(self._format.current, None, self._routes, reading_id, clock, self._settings.qos, None)

    def _messages(self, renderer: MessageRenderer, thinner: ReadingThinner, record: Record) -> Sequence[CarriedMessage]:
        store = self._store
        wall, clock = store.time_of(record)
        one = renderer.route(record, store.series_of(record.series), wall, clock, replayed=True)
        if one.rule is None:
            return []
        if one.rule.every and not record.bits & EVENT:
            key = PaceKey(one.series.device, renderer.metric(one.series), True)
            verdict = thinner.judge(key, one.rule.every, record.seq, wall, bool(record.bits & URGENT))
            if verdict is not PaceVerdict.SEND:
                return []  # the first of each interval is carried: what comes later is not looked for
        return [carried(message) for message in renderer.outgoing([one])]

    async def _key(self, export: str) -> str:
        """For the receipts of one export; a log that another took the place of has other ones."""
        secret = await self._store.key_value.update(SECRET, lambda old: old or secrets.token_hex(32))
        return hmac.new(str(secret).encode(), f"{self._name}\n{export}".encode(), hashlib.sha256).hexdigest()
