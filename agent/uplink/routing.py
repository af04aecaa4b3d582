"""Routes of readings to a broker: applied when sending, so a changed route never touches what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from gatepost.agent.settings.model import RouteRule


class BrokerRoutes:
    """Routes of one broker, and the devices that name the brokers they report to."""

    def __init__(
        self, broker: str, routes: Sequence[RouteRule], device_brokers: Mapping[str, Sequence[str] | None]
    ) -> None:
        self._broker = broker
        self._routes = tuple(routes)
        self._device_brokers = dict(device_brokers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BrokerRoutes) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def reports(self, device: str) -> bool:
        """Whether the device reports to this broker at all."""
        named = self._device_brokers.get(device)
        return named is None or self._broker in named

    def wants(self, device: str, metric: str) -> bool:
        """Whether readings of this device and metric_type go to the broker; a device no longer configured does too."""
        if not self.reports(device):
            return False
        return not self._routes or any(_matches(route, device, metric) for route in self._routes)


def _matches(route: RouteRule, device: str, metric: str) -> bool:
    return _any(route.devices, device) and _any(route.metrics, metric)


def _any(patterns: Sequence[str], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
