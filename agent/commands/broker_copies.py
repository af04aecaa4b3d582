"""Copies of a command: one message that several connections of the agent to the same broker bring."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from gatepost.agent.commands.model import CommandRequest, RefusedCommand
from gatepost.agent.settings.model import Settings

WITHIN = 10.0  # seconds after which the same message is a repeat, which is answered
MOST_MESSAGES = 256  # messages that are remembered

COPY = RefusedCommand("duplicate", "Another connection to the same broker brought it already.", silent=True)

Key = tuple[str, str | None, bytes]


class BrokerCopies:
    """Copies among the commands of all brokers; the first one is carried out and answered."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: OrderedDict[Key, tuple[str, float]] = OrderedDict()  # -> the broker that brought it, and when

    def is_copy(self, request: CommandRequest, settings: Settings) -> bool:
        broker = request.source.partition(":")[2]
        known = settings.brokers.get(broker)
        if not request.remote or known is None:
            return False
        said = b"%b\0%b" % (request.correlation or b"", request.payload)
        key = (urlsplit(known.url).netloc.lower(), request.topic, hashlib.sha256(said).digest())
        now = self._monotonic()
        first, at = self._seen.get(key, (broker, now))
        if first != broker and now - at < WITHIN:
            return True
        self._seen[key] = (broker, now)
        self._seen.move_to_end(key)
        while len(self._seen) > MOST_MESSAGES:
            self._seen.popitem(last=False)
        return False
