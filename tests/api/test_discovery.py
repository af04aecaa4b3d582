from __future__ import annotations

import importlib
import time

import pytest

from gatepost.agent.uplink.broker_discovery import NOT_INSTALLED, BrokerDiscovery


async def test_without_the_library_the_answer_is_empty_and_says_why(http, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    answer = await http.get("/api/v1/brokers/discovered")
    assert (answer.status_code, answer.json()) == (200, {"brokers": [], "hint": NOT_INSTALLED})


async def test_a_network_that_cannot_be_searched_is_said(monkeypatch):
    class Library:
        @staticmethod
        def AsyncZeroconf():  # noqa: N802 - its name
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(importlib, "import_module", lambda name: Library)
    found, hint = await BrokerDiscovery(time.monotonic).search(0)
    assert (found, hint) == ([], "the network cannot be searched: Network is unreachable")


async def test_a_broker_that_announces_itself_is_found():
    library = pytest.importorskip("zeroconf.asyncio")
    engine = library.AsyncZeroconf(interfaces=["127.0.0.1"])
    info = library.AsyncServiceInfo(
        "_secure-mqtt._tcp.local.",
        "ward seven._secure-mqtt._tcp.local.",
        port=8883,
        server="broker-seven.local.",
        parsed_addresses=["127.0.0.1"],
    )
    try:
        await (await engine.async_register_service(info))
        found, hint = await BrokerDiscovery(time.monotonic, ["127.0.0.1"]).search(1.5)
    finally:
        await engine.async_close()
    assert hint == ""
    assert found == [
        {
            "name": "ward seven",
            "service": "_secure-mqtt._tcp",
            "host": "broker-seven.local",
            "addresses": ["127.0.0.1"],
            "port": 8883,
            "url": "mqtts://broker-seven.local:8883",
        }
    ]
