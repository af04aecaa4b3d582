"""Messages of devices on their way in: routed, decoded, stored; what is not taken is counted and told."""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import Struct

from gatepost.agent.core.events import EventBus
from gatepost.agent.listener.acknowledgements import CommitLog
from gatepost.agent.listener.device_link import MqttLink
from gatepost.agent.listener.link_directory import LinkDirectory
from gatepost.agent.listener.refused_messages import RefusedMessages
from gatepost.drivers.mqtt.message import MqttMessage

log = logging.getLogger(__name__)

KINDS = {"not-your-topic": "topic", "malformed": "malformed", "rate": "rate"}  # the others are the payload's fault
CODES = {"not-your-topic": 0x87, "wrong-token": 0x87, "wrong-device": 0x87, "too-large": 0x97, "rate": 0x97}
PAYLOAD_INVALID = 0x99
TOLD_EVERY = 60.0  # seconds between two lines about one device and kind
MOST_TOLD = 1000
LONGEST_TOPIC = 256

HELD = 1 << 62  # the ticket of a message that waits for room in the store
UNTAKEN = HELD + 1  # of one whose device is being opened anew: take it again once its link is open


class TakenMessage(Struct, gc=False):
    """What became of a message: `ticket` is the commit that holds it (0 = nothing of it is to be stored)."""

    refusal: str = ""
    ticket: int = 0
    kind: str = ""
    link: MqttLink | None = None

    @property
    def code(self) -> int:
        """The reason code of MQTT 5."""
        return CODES.get(self.refusal, PAYLOAD_INVALID) if self.refusal else 0


class MessageIntake:
    """One for all sources. `holds_token(device, text)` judges a token that stands in a payload."""

    def __init__(
        self,
        directory: LinkDirectory,
        commits: CommitLog,
        events: EventBus,
        holds_token: Callable[[str, str], bool],
        monotonic: Callable[[], float],
    ) -> None:
        self.received = 0
        self.refused = {"auth": 0, "topic": 0, "payload": 0, "malformed": 0, "rate": 0}
        self.refusals = RefusedMessages(monotonic)
        self._directory = directory
        self._commits = commits
        self._events = events
        self._holds_token = holds_token
        self._monotonic = monotonic
        self._told: dict[tuple[str, str], tuple[float, int]] = {}  # when, and how many since

    def take(self, source: str, carrier: str, topic: str, payload: bytes, will: bool = False) -> TakenMessage:
        """In one go: when it returns, what is to be stored is in the store's queue, or the ticket says what is to be
        waited for."""
        route = self._directory.route(source, carrier, topic)
        if route is None:
            return self.refuse(carrier or source, topic, "not-your-topic", payload)
        link, kind, captures = route
        commits, device = self._commits, link.name
        message = MqttMessage(kind, payload, device, captures, self._holds_token)
        before = commits.next_seq
        if not link.take(message, will):
            return TakenMessage("", UNTAKEN, kind, link)
        if message.refusal:
            return self.refuse(device, topic, message.refusal, payload)
        self.received += 1
        if link.paused:
            return TakenMessage("", HELD, kind, link)
        return TakenMessage("", commits.ticket if commits.next_seq != before else 0, kind, link)

    def refuse(self, device: str, topic: str, reason: str, payload: bytes = b"") -> TakenMessage:
        """Counted; one line for each device and kind in a minute, and an event. Its content is for operators."""
        self.received += 1
        self.refused[KINDS.get(reason, "payload")] += 1
        shown = shown_topic(topic)
        self.refusals.add(device, shown, reason, payload)
        self._events.emit("device.message.refused", {"device_id": device, "topic": shown, "reason": reason})
        self.tell(device, reason, f"a message on {shown!r} was refused: {reason}")
        return TakenMessage(reason)

    def tell(self, device: str, kind: str, what: str) -> None:
        now = self._monotonic()
        when, more = self._told.get((device, kind), (-TOLD_EVERY, 0))
        if now - when < TOLD_EVERY:
            self._told[device, kind] = (when, more + 1)
            return
        if len(self._told) >= MOST_TOLD:
            del self._told[next(iter(self._told))]
        self._told[device, kind] = (now, 0)
        log.warning("%s: %s%s", device or "listener", what, f" ({more} more since the last line)" if more else "")


def shown_topic(topic: str) -> str:
    """Bounded, and nothing in it that a terminal or a log would take for its own."""
    return "".join(each if each.isprintable() else "?" for each in topic[:LONGEST_TOPIC])
