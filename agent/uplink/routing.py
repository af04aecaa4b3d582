"""Routing: which readings a broker is given, and how. Judged when sending: a rule never touches what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from gatepost.agent.settings.model import RouteRule

MAX_THINNED = 10_000  # pairs of device and metric whose last time is remembered
EVERYTHING = RouteRule()


class SeriesRoute:
    """The rules that may match readings of one series, in order; none: they are not for this broker."""

    def __init__(self, rules: Sequence[RouteRule]) -> None:
        self.rules = tuple(rules)
        self.plain = self.rules == (EVERYTHING,)  # the usual case: nothing to judge for each reading

    def rule(self, urgent: bool, good: bool) -> RouteRule | None:
        """The rule of a reading; None = it is not for this broker."""
        for rule in self.rules:
            if ("urgent" not in rule.only or urgent) and ("good" not in rule.only or good):
                return None if rule.drop else rule
        return None


class BrokerRoutes:
    """Routes of one broker, and the devices that name the brokers they report to."""

    def __init__(
        self,
        broker: str,
        routes: Sequence[RouteRule],
        device_brokers: Mapping[str, Sequence[str] | None],
        rooms: Mapping[str, str] | None = None,
    ) -> None:
        self._broker = broker
        self._routes = tuple(routes)
        self._device_brokers = dict(device_brokers)
        self.rooms = dict(rooms or {})  # device id -> room

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BrokerRoutes) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def reports(self, device: str) -> bool:
        """Whether the device reports to this broker at all."""
        named = self._device_brokers.get(device)
        return named is None or self._broker in named

    def series(self, device: str, metric: str) -> SeriesRoute:
        """The rules for readings of this device and metric_type; a device no longer configured has them too."""
        if not self.reports(device):
            return SeriesRoute(())
        if not self._routes:
            return SeriesRoute((EVERYTHING,))
        room = self.rooms.get(device, "")
        return SeriesRoute(
            [
                rule
                for rule in self._routes
                if _any(rule.devices, device) and _any(rule.metrics, metric) and _any(rule.rooms, room)
            ]
        )


class ReadingThinner:
    """Thins out readings by `every` of their rule: of each device and metric one in that time, urgent ones always."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}

    def passes(self, device: str, metric: str, every: float, time: int, urgent: bool) -> bool:
        """`every` in seconds, `time` of the reading in microseconds. A repeat of the last one passes."""
        key = (device, metric)
        last = self._last.get(key)
        if last is not None and not urgent and 0 < time - last < every * 1e6:
            return False
        if len(self._last) >= MAX_THINNED:
            self._last.clear()
        if last is None or time > last:
            self._last[key] = time
        return True


def _any(patterns: Sequence[str], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
