"""Network links of this gateway: listeners that devices share, and UDP."""

from __future__ import annotations

import logging

from gatepost.drivers.driver import Driver
from gatepost.drivers.link import Link, LinkEvents
from gatepost.drivers.network.listen_address import parse_listen_address
from gatepost.drivers.network.listener import Listener
from gatepost.drivers.network.listening_link import ListeningLink
from gatepost.drivers.network.udp_address import SCHEME as UDP
from gatepost.drivers.network.udp_address import parse_udp_address
from gatepost.drivers.network.udp_link import UdpLink


class NetworkLinks:
    """Factory of the links to devices on a network; one listener for each place."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._listeners: dict[str, Listener] = {}

    def connect(self, port: str, driver: Driver, events: LinkEvents) -> Link:
        """Raises ValueError for a port that is none."""
        if port.startswith(UDP):
            driver.datagrams = True
            return UdpLink(parse_udp_address(port), events)
        address = parse_listen_address(port)
        listener = self._listeners.setdefault(address.place, Listener(self._log))
        own = None if getattr(driver.options, "via", "") else address
        match = dict(getattr(driver.options, "match", {}))
        return ListeningLink(listener, own, address.place, driver, match, events)

    async def close(self) -> None:
        for listener in self._listeners.values():
            await listener.stop()
