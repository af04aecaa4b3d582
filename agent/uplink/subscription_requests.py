"""Subscription requests to one broker: what it refuses, by a reason code or by hanging up, is asked again later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping

from gatepost.agent.core.errors import UplinkError
from gatepost.agent.uplink.mqtt.connection import ConnectionLost, MqttConnection
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED, explain
from gatepost.agent.uplink.poison_messages import NOT_THE_MESSAGE

log = logging.getLogger(__name__)

FIRST_TIMEOUT, LONGEST_TIMEOUT = 10.0, 120.0  # seconds for SUBACK: doubled while a busy cluster leaves them out
FILTERS_PER_PACKET = 50
HANG_UPS = 2  # times that the broker hung up on a filter asked for alone, until it counts as refused
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0  # seconds until such a filter is asked for again: it may cost the connection
HANGS_UP = "the broker hangs up when it is asked for"


class SubscriptionRequests:
    """Subscription requests over all connections of one link; one SUBSCRIBE at a time, which blames a hang-up on its
    filters. `refused`: filter -> why the broker does not grant it, of those that the gateway needs."""

    def __init__(self, name: str, monotonic: Callable[[], float]) -> None:
        self.refused: dict[str, str] = {}
        self._name = name
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._asking: set[str] = set()  # in a SUBSCRIBE that is not answered on the connection that there is
        self._hang_ups: dict[str, int] = {}  # of filters in doubt
        self._not_before: dict[str, float] = {}
        self.timeout = FIRST_TIMEOUT  # seconds within which an answer is expected now

    @property
    def in_doubt(self) -> bool:
        """Whether the broker hung up on a SUBSCRIBE, and the next one must show which filter it was: alone on the
        wire, so that no reading is blamed for it."""
        return any(self._due(each) for each in self._hang_ups)

    @property
    def complaint(self) -> str:
        """What is missing, in words; "" when nothing is."""
        if not self.refused:
            return ""
        return f"the broker refuses {len(self.refused)} of the subscriptions to commands, see `gatepost doctor`"

    async def ask(
        self, connection: MqttConnection, wanted: Mapping[str, int], optional: Collection[str] = ()
    ) -> dict[str, str]:
        """SUBSCRIBE to filters with their QoS: those not granted, and why. `optional` ones are not missed.

        Raises UplinkError when the broker does not answer.
        """
        async with self._turn:
            due = [each for each in wanted if self._due(each)]
            together = [each for each in due if each not in self._hang_ups]
            packets = [[each] for each in due if each in self._hang_ups]
            packets += [together[at : at + FILTERS_PER_PACKET] for at in range(0, len(together), FILTERS_PER_PACKET)]
            refused = {each: HANGS_UP for each in wanted if each not in due}
            for packet in packets:
                refused.update(await self._subscribe(connection, {each: wanted[each] for each in packet}, optional))
        return refused

    async def _subscribe(
        self, connection: MqttConnection, packet: Mapping[str, int], optional: Collection[str]
    ) -> dict[str, str]:
        self._asking = set(packet) if connection.is_open else set()
        try:
            answers = await connection.subscribe(list(packet.items()), self.timeout)
        except UplinkError as error:
            if connection.is_open:
                self._asking = set()
                self.timeout = min(LONGEST_TIMEOUT, self.timeout * 2)
                self._refuse(packet, optional, error.message)
            raise
        self._asking = set()
        self.timeout = FIRST_TIMEOUT
        refused = {topic: explain(code).phrase for topic, code in zip(packet, answers, strict=True) if code >= REFUSED}
        for topic in packet:
            if topic not in refused:
                self.forget(topic)
        for topic, reason in refused.items():
            self._hang_ups.pop(topic, None)
            self._not_before.pop(topic, None)
            self._refuse([topic], optional, reason)
        return refused

    def forget(self, topic: str) -> None:
        """It is granted, or not wanted any more."""
        self._hang_ups.pop(topic, None)
        self._not_before.pop(topic, None)
        if self.refused.pop(topic, None) is not None:
            log.info("%s: subscription no longer refused: %s", self._name, topic)

    def hung_up(self, lost: ConnectionLost) -> bool:
        """The broker ended the connection: whether it did so on a SUBSCRIBE, and no reading is to blame."""
        asking, self._asking = self._asking, set()
        if not asking or lost.silent or lost.code in NOT_THE_MESSAGE:
            return False
        alone = len(asking) == 1
        for topic in asking:
            count = self._hang_ups[topic] = self._hang_ups.get(topic, 0) + 1
            if alone and count >= HANG_UPS:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (count - HANG_UPS))
                self._not_before[topic] = self._monotonic() + pause
                self._refuse([topic], (), HANGS_UP)
        return True

    def _due(self, topic: str) -> bool:
        return self._monotonic() >= self._not_before.get(topic, 0.0)

    def _refuse(self, topics: Collection[str], optional: Collection[str], reason: str) -> None:
        new = [topic for topic in topics if topic not in optional and self.refused.get(topic) != reason]
        if new:
            log.warning("%s: subscription refused (%s): %s", self._name, reason, ", ".join(new))
        self.refused.update(dict.fromkeys(new, reason))
