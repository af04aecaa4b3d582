"""Directory of the mqtt devices: the link of each, the topics that lead to it, and who waits until it is open."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from gatepost.agent.listener.device_link import CommandCarrier, MqttLink
from gatepost.drivers.mqtt.options import LISTENER
from gatepost.drivers.mqtt.topics import own_topics


class TopicRoute(NamedTuple):
    """Where a topic leads: the link of a device, what it carries there, and what its named levels are."""

    link: MqttLink
    kind: str
    captures: Mapping[str, str]


class LinkDirectory:
    """Links of all configured mqtt devices by name, open or not, and the topics that each carrier may publish to."""

    CACHED = 256  # topics of one carrier that are remembered

    commands: CommandCarrier

    def __init__(self) -> None:
        self.links: dict[str, MqttLink] = {}
        self.on_change: list[Callable[[MqttLink, bool], None]] = []
        self.on_pause: Callable[[MqttLink], None] = lambda link: None
        self._routes: dict[tuple[str, str], dict[str, TopicRoute]] = {}
        self._waiting: dict[str, dict[Callable[[], None], None]] = {}  # in order

    def expect(self, link: MqttLink) -> None:
        before = self.links.get(link.name)
        if before is link:
            return
        self.links[link.name] = link
        if before is not None:
            self._changed(before, False)
            before.give_up()
        self._changed(link, True)

    def forget(self, link: MqttLink) -> None:
        if self.links.get(link.name) is link:
            del self.links[link.name]
            self._changed(link, False)
            link.give_up()
            self.opened(link)

    def keep(self, names: Collection[str]) -> None:
        """Forget all others."""
        for link in [link for name, link in self.links.items() if name not in names]:
            self.forget(link)

    def opened(self, link: MqttLink) -> None:
        """Or gone for good: nobody has to wait for it."""
        for tell in self._waiting.pop(link.name, ()):
            tell()

    def when_open(self, name: str, tell: Callable[[], None]) -> Callable[[], None]:
        """Call `tell` once the device's link is open, or the device is not configured any more; cancelled by what is
        returned."""
        self._waiting.setdefault(name, {})[tell] = None
        return lambda: self._waiting.get(name, {}).pop(tell, None)

    def _changed(self, link: MqttLink, there: bool) -> None:
        self._routes.clear()
        for tell in self.on_change:
            tell(link, there)

    def carried_by(self, source: str, carrier: str | None = None) -> list[MqttLink]:
        """Links of this source: `listener` and a device's name, or a broker's name."""
        return [
            link
            for link in self.links.values()
            if link.source == source and (carrier is None or link.carrier == carrier)
        ]

    def route(self, source: str, carrier: str, topic: str) -> TopicRoute | None:
        """Where a message of this carrier goes; None = it may not publish there. `carrier` is empty for a broker."""
        known = self._routes.get((source, carrier))
        if known is None:
            known = self._routes[source, carrier] = self._fixed(source, carrier)
        found = known.get(topic)
        if found is None:
            found = self._search(source, carrier, topic)
            if found is not None and len(known) < self.CACHED:
                known[topic] = found
        return found

    def _fixed(self, source: str, carrier: str) -> dict[str, TopicRoute]:
        return {
            topic: TopicRoute(link, kind, {})
            for link in self.carried_by(source, carrier or None)
            for topic, kind in (own_topics(link.name) if source == LISTENER else {}).items()
        }

    def _search(self, source: str, carrier: str, topic: str) -> TopicRoute | None:
        for link in self.carried_by(source, carrier or None):
            for pattern in link.patterns:
                captures = pattern.match(topic)
                if captures is not None:
                    return TopicRoute(link, pattern.pattern, captures)
        return None
