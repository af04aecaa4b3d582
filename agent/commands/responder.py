"""Responder over brokers: sends once the outcome is recorded, and again after the link's return until acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gatepost.agent.commands.model import GATEWAY, AddressedResponse, CommandRequest, CommandResponse
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.store.command_ledger import CommandLedger, LedgerEntry

log = logging.getLogger(__name__)

Send = Callable[[AddressedResponse], Awaitable[bool]]
AT_ONCE = 64  # responses that are being sent
SEND_TIMEOUT = 15.0  # seconds for one acknowledgement
GIVE_UP_AFTER = 3  # responses in a row that are not taken: the link is gone again
TOPIC_OCTETS = 1024
UNKNOWN = {
    "key": "outcome-unknown",
    "message": "The gateway stopped while the command was being carried out: it may or may not have been carried out.",
    "hint": "Look at the device before sending it again under a new id.",
}


def topic_of(request: CommandRequest) -> str | None:
    """The response topic that the request named, if a message can be published to it."""
    topic = request.response_topic
    if not topic or len(topic.encode("utf-8", "replace")) > TOPIC_OCTETS or topic.startswith("$"):
        return None
    return None if set(topic) & {"+", "#", "\0"} else topic


class CommandResponder:
    """Bounded: what does not fit is left for the link's next return (rejections, which no row remembers, are lost)."""

    def __init__(self, ledger: CommandLedger, send: Send, gateway: Callable[[], str]) -> None:
        self._ledger = ledger
        self._send = send
        self._gateway = gateway
        self._under_way: dict[str, asyncio.Event] = {}
        self._count = 0
        self._resuming: set[str] = set()
        self.lost = 0

    async def refuse(self, request: CommandRequest, response: CommandResponse) -> None:
        """Respond to a command that has no row in the ledger, where responses go and not where it says: nobody knows
        who sent it."""
        taken = await self._send_one(
            AddressedResponse(request.source, request.target, None, request.correlation, response.as_bytes())
        )
        self.lost += not taken

    async def tell(self, entry: LedgerEntry, state: str, payload: bytes) -> bool:
        """Respond to a command of the ledger; True when that was acknowledged and recorded."""
        if entry.id in self._under_way and await self._settled(entry.id, state):
            return True
        self._under_way[entry.id] = asyncio.Event()
        try:
            target = None if entry.target == GATEWAY else entry.target
            topic = None if state == "rejected" else entry.topic
            if not await self._send_one(AddressedResponse(entry.source, target, topic, entry.correlation, payload)):
                return False
            await self._ledger.answered(entry.id, state)
            return True
        except GatepostError as error:
            log.warning("an acknowledged response could not be noted and may be repeated: %s", error.message)
            return True
        finally:
            self._under_way.pop(entry.id).set()

    async def resume(self, source: str) -> int:
        """The link of `source` is back: send what waits, oldest first; how many were acknowledged."""
        if source in self._resuming:
            return 0
        self._resuming.add(source)
        sent = failed = 0
        after = -1
        try:
            while entries := await self._ledger.unanswered(source, after=after):
                for entry in entries:
                    after = entry.recorded
                    taken = await self.tell(entry, entry.state, entry.response or self._unknown(entry))
                    sent += taken
                    failed = 0 if taken else failed + 1
                    if failed >= GIVE_UP_AFTER:
                        return sent
            return sent
        finally:
            self._resuming.discard(source)

    async def _settled(self, id: str, state: str) -> bool:  # noqa: A002
        """Wait for whoever is sending it; True when nothing of this state is left to send."""
        while id in self._under_way:
            await self._under_way[id].wait()
        entry = await self._ledger.find(id)
        return entry is None or entry.answered or entry.state != state

    def _unknown(self, entry: LedgerEntry) -> bytes:
        gateway = self._gateway() if entry.target == GATEWAY else None
        when = rfc3339(entry.finished or entry.recorded)
        device = entry.target or None
        return CommandResponse(
            entry.id, device, entry.command, "outcome-unknown", None, UNKNOWN, when, gateway
        ).as_bytes()

    async def _send_one(self, answer: AddressedResponse) -> bool:
        if self._count >= AT_ONCE:
            return False
        self._count += 1
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                return await self._send(answer)
        except (GatepostError, TimeoutError, OSError) as error:
            log.info("a response could not be sent now: %s", error)
            return False
        except Exception:
            log.exception("a response could not be sent")
            return False
        finally:
            self._count -= 1
