"""Addresses of one broker: `url` and `failover`, in the order in which they are tried."""

from __future__ import annotations

from random import Random

from gatepost.agent.settings.model import BrokerSettings

STEADY_AFTER = 30.0  # seconds that a connection must hold before earlier failures are forgotten
EARLY_DISCONNECTS = 2  # connections in a row that did not hold, until another address of the broker has its turn


class BrokerAddresses:
    """Addresses of a broker. An address that accepts and then hangs up is no better than a dead one: after
    EARLY_DISCONNECTS of those the next one comes first."""

    def __init__(self, name: str, gateway: str) -> None:
        self._seed = f"{gateway}/{name}"
        self._early = 0

    def in_turn(self, settings: BrokerSettings) -> list[str]:
        urls = [settings.url, *settings.failover]
        if settings.order == "random":
            # The same order at each try: gateways spread over the addresses, each one stays at its own.
            Random(self._seed).shuffle(urls)  # noqa: S311
        first = self._early // EARLY_DISCONNECTS % len(urls)
        return urls[first:] + urls[:first]

    def ended(self, held: float, lost: bool) -> None:
        """A connection has ended after so many seconds, by itself or not."""
        self._early = self._early + 1 if lost and held < STEADY_AFTER else 0
