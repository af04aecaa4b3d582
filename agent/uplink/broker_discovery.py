"""Brokers that announce themselves on the local network by DNS-SD (RFC 6763): `_mqtt._tcp` and `_secure-mqtt._tcp`."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

SERVICES = {"_mqtt._tcp.local.": "mqtt", "_secure-mqtt._tcp.local.": "mqtts"}
SEARCH = 3.0  # seconds in which announcements are collected,
RESOLVE = 2.0  # and those in which addresses are asked for
FRESH = 10.0  # seconds in which the same answer serves everybody
MOST = 50
NOT_INSTALLED = "extra discovery not installed: pip install 'gatepost[discovery]'"
NO_NETWORK = "the network cannot be searched"

Found = list[dict[str, Any]]


class BrokerDiscovery:
    """One search at a time. `interfaces` as zeroconf takes them: None = all."""

    def __init__(self, monotonic: Callable[[], float], interfaces: list[str] | None = None) -> None:
        self._monotonic = monotonic
        self._interfaces = interfaces
        self._turn = asyncio.Lock()
        self._last: tuple[float, Found] | None = None

    async def search(self, seconds: float = SEARCH) -> tuple[Found, str]:
        """What was found, and a hint where nothing could be; takes `seconds` + RESOLVE at most."""
        async with self._turn:
            if self._last is not None and self._monotonic() - self._last[0] < FRESH:
                return self._last[1], ""
            try:
                library: Any = importlib.import_module("zeroconf.asyncio")
            except ImportError:
                return [], NOT_INSTALLED
            try:
                found = await self._search(library, seconds)
            except OSError as error:
                log.debug("no discovery: %s", error)
                return [], f"{NO_NETWORK}: {error.strerror or 'no interface for multicast'}"
            self._last = (self._monotonic(), found)
            return found, ""

    async def _search(self, library: Any, seconds: float) -> Found:
        heard: dict[tuple[str, str], None] = {}

        def changed(zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
            if state_change.name == "Added" and len(heard) < MOST:
                heard[service_type, name] = None

        engine = library.AsyncZeroconf(**({} if self._interfaces is None else {"interfaces": self._interfaces}))
        try:
            browser = library.AsyncServiceBrowser(engine.zeroconf, list(SERVICES), handlers=[changed])
            try:
                await asyncio.sleep(seconds)
            finally:
                await browser.async_cancel()
            infos = [library.AsyncServiceInfo(kind, name) for kind, name in heard]
            known = await asyncio.gather(*(info.async_request(engine.zeroconf, RESOLVE * 1000) for info in infos))
            return sorted((_told(info) for info, there in zip(infos, known, strict=True) if there), key=_by_name)
        finally:
            await engine.async_close()


def _told(info: Any) -> dict[str, Any]:
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
