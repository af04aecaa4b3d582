"""The printed rules on a real broker: a gateway below its own root works, and speaks for nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatepost_fleet.acl import ENGINES, rules

from gatepost.agent.settings.model import BrokerSettings
from tests.support.waiting import until
from tests.uplink.broker import MOSQUITTO, Mosquitto, running
from tests.uplink.client import connected
from tests.uplink.gateway import gateway


@pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")
async def test_a_gateway_under_the_rules_of_mosquitto(tmp_path: Path) -> None:
    acl = rules("mosquitto", "org", "fleet")
    users = {"gw": "a", "gw-8": "b", "fleet": "c"}
    async with running(Mosquitto(tmp_path / "broker", users=users, acl=acl)) as broker, gateway(tmp_path / "gw") as gw:
        settings = BrokerSettings(broker.url, username="gw", password="a", layout="gateway", protocol="3.1.1")
        gw.statuses["d"] = {"status": "online"}
        await gw.apply(a=settings)
        await gw.deliver(*range(50))
        async with (
            connected(broker.url, username="fleet", password="c", client_id="fleet") as fleet,
            connected(broker.url, username="gw-8", password="b", client_id="gw-8") as other,
        ):
            codes = await fleet.connection.subscribe([("gateways/#", 1)], 5)
            assert max(codes) < 0x80
            fleet.connection.publisher.publish(b"gateways/gw/devices/d/commands", b"{}", 1, False, b"", 1)
            other.connection.publisher.publish(b"gateways/gw/devices/d/commands", b"forged", 1, False, b"", 2)
            other.connection.publisher.publish(b"gateways/gw/devices/d/data", b"forged", 1, False, b"", 3)
            await until(lambda: len(other.acks) == 2)
            await gw.put(50)
            await until(lambda: any(b'"n":50' in bytes(message.payload) for message in fleet.messages))
            await until(lambda: bool(gw.commands))
            assert [bytes(message.payload) for *_, message, _ in gw.commands] == [b"{}"]
            assert not any(b"forged" in bytes(message.payload) for message in fleet.messages)
        view = gw.uplink().as_dict()
        assert (view["connects"], view["refused_topics"], view["suspect"]) == (1, {}, None)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_names_organization_and_user(engine: str) -> None:
    text = rules(engine, "clinic", "worker")
    assert "clinic" in text
    assert "worker" in text
