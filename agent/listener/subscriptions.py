"""Subscriptions of devices: what is granted, and the retained statuses that go with it."""

from __future__ import annotations

from collections.abc import Iterable

from gatepost.agent.listener.link_directory import LinkDirectory
from gatepost.drivers.mqtt.options import LISTENER

NOT_AUTHORIZED, SHARED_NOT_SUPPORTED = 0x87, 0x9E
LONGEST_STATUS = 4096  # octets of a retained status
MOST_QOS = 1


class DeviceTopics:
    """Default deny: a device's commands, its status, and its organization's broadcast."""

    def __init__(self, directory: LinkDirectory, organization: str | None) -> None:
        self.broadcast = f"organizations/{organization}/broadcast" if organization else ""
        self._directory = directory
        self._retained: dict[str, bytes] = {}  # device -> what it last said of itself, with the retain flag

    def judge(self, carrier: str, topic_filter: str, qos: int) -> int:
        """The granted QoS, or the reason code of MQTT 5 why not."""
        if topic_filter.startswith("$share/"):
            return SHARED_NOT_SUPPORTED
        allowed = topic_filter == self.broadcast or any(
            topic_filter == f"devices/{device}/{last}"
            for device in self._devices(carrier)
            for last in ("commands", "status", "#", "+")
        )
        return min(qos, MOST_QOS) if allowed and topic_filter else NOT_AUTHORIZED

    def retain(self, device: str, payload: bytes) -> None:
        """An empty payload clears it [3.3.1-10]."""
        if payload and len(payload) <= LONGEST_STATUS:
            self._retained[device] = payload
        else:
            self._retained.pop(device, None)

    def forget(self, device: str) -> None:
        self._retained.pop(device, None)

    def retained_for(self, carrier: str, topic_filter: str) -> list[tuple[str, bytes]]:
        return [
            (f"devices/{device}/status", self._retained[device])
            for device in self._devices(carrier)
            if device in self._retained
            and topic_filter in (f"devices/{device}/{last}" for last in ("status", "#", "+"))
        ]

    def _devices(self, carrier: str) -> Iterable[str]:
        return (link.name for link in self._directory.carried_by(LISTENER, carrier))


def granted(subscriptions: dict[str, int], topic: str) -> int | None:
    """The QoS at which these filters want a topic; None when none of them does."""
    head = topic.rpartition("/")[0]
    found = [subscriptions[each] for each in (topic, f"{head}/#", f"{head}/+") if each in subscriptions]
    return max(found, default=None)
