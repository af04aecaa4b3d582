"""Discovery of brokers announced on the local network by DNS-SD (RFC 6763): `_mqtt._tcp` and `_secure-mqtt._tcp`."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from typing import Any

from gatepost.drivers.extras import install_extra

log = logging.getLogger(__name__)

SERVICES = {"_mqtt._tcp.local.": "mqtt", "_secure-mqtt._tcp.local.": "mqtts"}
SEARCH_SECONDS = 3.0  # in which announcements are collected,
RESOLVE_SECONDS = 2.0  # and those in which addresses are resolved
CACHE_SECONDS = 10.0  # in which the same result serves everybody
MAX_BROKERS = 50
NOT_INSTALLED = f"extra discovery not installed; {install_extra('discovery')}"
NO_NETWORK = "the network cannot be searched"

BrokerList = list[dict[str, Any]]


class BrokerDiscovery:
    """Discovery of brokers, one search at a time. `interfaces` as zeroconf takes them: None = all."""

    def __init__(self, monotonic: Callable[[], float], interfaces: list[str] | None = None) -> None:
        self._monotonic = monotonic
        self._interfaces = interfaces
        self._turn = asyncio.Lock()
        self._last: tuple[float, BrokerList] | None = None

    async def search(self, seconds: float = SEARCH_SECONDS) -> tuple[BrokerList, str]:
        """Brokers, and a hint where none could be searched for; takes `seconds` + RESOLVE_SECONDS at most."""
        async with self._turn:
            if self._last is not None and self._monotonic() - self._last[0] < CACHE_SECONDS:
                return self._last[1], ""
            try:
                library: Any = importlib.import_module("zeroconf.asyncio")
            except ImportError:
                return [], NOT_INSTALLED
            try:
                brokers = await self._search(library, seconds)
            except OSError as error:
                log.debug("no discovery: %s", error)
                return [], f"{NO_NETWORK}: {error.strerror or 'no interface for multicast'}"
            self._last = (self._monotonic(), brokers)
            return brokers, ""

    async def _search(self, library: Any, seconds: float) -> BrokerList:
        announced: dict[tuple[str, str], None] = {}

        def changed(zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
            if state_change.name == "Added" and len(announced) < MAX_BROKERS:
                announced[service_type, name] = None

        engine = library.AsyncZeroconf(**({} if self._interfaces is None else {"interfaces": self._interfaces}))
        try:
            browser = library.AsyncServiceBrowser(engine.zeroconf, list(SERVICES), handlers=[changed])
            try:
                await asyncio.sleep(seconds)
            finally:
                await browser.async_cancel()
            infos = [library.AsyncServiceInfo(kind, name) for kind, name in announced]
            resolved = await asyncio.gather(
                *(info.async_request(engine.zeroconf, RESOLVE_SECONDS * 1000) for info in infos)
            )
            return sorted(
                (_broker(info) for info, answered in zip(infos, resolved, strict=True) if answered), key=_by_name
            )
        finally:
            await engine.async_close()


def _broker(info: Any) -> dict[str, Any]:
    host = str(info.server or "").rstrip(".")
    scheme = SERVICES[info.type]
    addresses = [str(address) for address in info.parsed_addresses()]
    return {
        "name": str(info.name).removesuffix(f".{info.type}"),
        "service": str(info.type).removesuffix(".local."),
        "host": host,
        "addresses": addresses,
        "port": int(info.port or 0),
        "url": f"{scheme}://{host}:{info.port}",
    }


def _by_name(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["name"], entry["url"]
