"""Payload formats on a real log against a real mosquitto: order, acknowledgements, batches, commands, hosts that go."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatepost.agent.settings.model import BatchSettings, BrokerSettings, RouteRule
from gatepost.agent.uplink.broker_addresses import BrokerAddresses
from gatepost.agent.uplink.formats.interface import DeviceProfile
from gatepost.agent.uplink.formats.sparkplug_payload import BOOLEAN, SparkplugMetric, encode_payload
from gatepost.agent.uplink.manager import BrokerManager
from gatepost.drivers.reading import UNREAL
from tests.support.waiting import until

from .broker import Mosquitto, running
from .gateway import Gateway, Listener, gateway, listening

pytestmark = pytest.mark.usefixtures("soon")


@pytest.fixture
async def gw(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path / "state") as one:
        one.context = replace(one.context, profiles={"d": DeviceProfile("nonin", commands=("read_now",))})
        one.uplinks = BrokerManager(one.context, one.supervisor)
        yield one


def topics(there: Listener) -> list[str]:
    return [message.topic for message in there.messages]


async def test_sparkplug_is_born_before_its_data_and_done_by_the_ping(gw: Gateway, broker: Mosquitto) -> None:
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, format="sparkplug"))
        await gw.deliver(*range(300))
        await until(lambda: sum("DDATA" in topic for topic in topics(there)) >= 300)
        said = [topic.split("/")[2] for topic in topics(there) if topic.startswith("spBv1.0")]
    assert said[:3] == ["NBIRTH", "DBIRTH", "DDATA"]
    assert said.count("DDATA") == 300
    assert gw.uplink().counters.delivered == 300


async def test_sparkplug_waits_for_its_host_and_leaves_with_it(gw: Gateway, broker: Mosquitto) -> None:
    state = "spBv1.0/STATE/scada"
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, format="sparkplug", options={"primary_host": "scada"}))
        await gw.put(1, 2, 3)
        await asyncio.sleep(0.3)  # nothing may come; there is nothing to wait for
        assert not any(topic.startswith("spBv1.0/Gatepost") for topic in topics(there))
        there.publish(state, orjson.dumps({"online": True, "timestamp": 1}), retain=True)
        await gw.delivered()
        await until(lambda: sum("DDATA" in topic for topic in topics(there)) == 3)
        there.publish(state, orjson.dumps({"online": False, "timestamp": 2}), retain=True)
        await until(lambda: any("NDEATH" in topic for topic in topics(there)))
        await gw.put(4)
        assert await gw.owes() == 1
        there.publish(state, orjson.dumps({"online": True, "timestamp": 3}), retain=True)
        await gw.delivered()


async def test_a_dcmd_reaches_the_dispatcher_and_its_answer_the_host(gw: Gateway, broker: Mosquitto) -> None:
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, format="sparkplug"))
        await gw.deliver(1)
        metric = SparkplugMetric("Device Control/read_now", BOOLEAN, True, 5)
        there.publish("spBv1.0/Gatepost/DCMD/gw/d", encode_payload(5, [metric], None))
        await until(lambda: bool(gw.commands))
        name, device, message, broadcast = gw.commands[0]
        assert (name, device, broadcast) == ("a", "d", False)
        assert orjson.loads(message.payload)["command"] == "read_now"
        answer = orjson.dumps({"id": "sp-5-d-read_now", "status": "done"})
        await gw.uplink().answer("d", answer, None, message.properties["correlation_data"])
        await until(lambda: any(b'"done"' in m.payload for m in there.messages))


async def test_home_assistant_hears_of_a_value_before_it_comes(gw: Gateway, broker: Mosquitto) -> None:
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, format="homeassistant"))
        await gw.deliver(*range(20))
        await until(lambda: topics(there).count("gatepost/gw/d/reading") == 20)
        before = there.messages[: topics(there).index("gatepost/gw/d/reading")]
    told = [orjson.loads(m.payload) for m in before if m.topic == "homeassistant/device/gatepost_gw_d/config"]
    assert "reading_n" in told[-1]["components"]
    assert gw.uplink().counters.delivered == 20


async def test_what_a_format_keeps_outlives_the_connection(gw: Gateway, broker: Mosquitto) -> None:
    await gw.connect(a=BrokerSettings(broker.url, format="homeassistant"))
    await gw.deliver(1)
    await gw.uplink().disconnect()
    await gw.state("disconnected")
    async with listening(broker.url) as there:
        await gw.uplink().connect()
        await gw.state("connected")
        await until(lambda: "homeassistant/device/gatepost_gw_d/config" in topics(there)[-3:])
        config = next(m for m in reversed(there.messages) if m.topic.endswith("gatepost_gw_d/config"))
        assert "reading_n" in orjson.loads(config.payload)["components"]


async def test_home_assistant_hears_of_devices_that_come_and_change_and_of_none_that_the_routes_leave_out(
    gw: Gateway, broker: Mosquitto
) -> None:
    devices = {"d": DeviceProfile("nonin")}
    gw.context = replace(gw.context, profiles=devices)
    gw.uplinks = BrokerManager(gw.context, gw.supervisor)
    settings = BrokerSettings(broker.url, format="homeassistant", routes=[RouteRule(devices=["d*"])])
    async with listening(broker.url) as there:
        await gw.connect(a=settings)
        gw.statuses["d2"] = {"device_id": "d2", "status": "online", "timestamp": "2026-11-20T10:30:00Z"}
        gw.uplink().device_status("d2", gw.statuses["d2"])  # the device was faster than the settings of the broker
        await gw.deliver(1)
        devices |= {"d": DeviceProfile("nonin", "Bed 4"), "d2": DeviceProfile("nonin"), "other": DeviceProfile("nonin")}
        gw.uplink().devices_changed()
        await until(lambda: any("gw_d2/" in topic for topic in topics(there)) and "devices/d2/status" in topics(there))
        devices["d"] = DeviceProfile("nonin", "Bed 4", info={"model": "Onyx"})  # it told that with its status
        gw.uplink().device_status("d", {"device_id": "d", "status": "online", "timestamp": "2026-11-20T10:30:00Z"})
        await until(lambda: "devices/d/status" in topics(there))
        told = [m["device"] for m in there.on("homeassistant/device/gatepost_gw_d/config")]
        assert [(each["name"], each.get("model")) for each in told[-2:]] == [("Bed 4", None), ("Bed 4", "Onyx")]
        assert not any("other" in topic for topic in topics(there))


async def test_a_broker_that_home_assistant_is_taken_from_keeps_nothing_of_it(gw: Gateway, broker: Mosquitto) -> None:
    settings, devices = BrokerSettings(broker.url, format="homeassistant"), BrokerSettings(broker.url)
    moved = BrokerSettings(broker.url, format="homeassistant", options={"discovery_prefix": "p"})
    successors: list[dict[str, BrokerSettings]] = [{}, {"a": devices}, {"a": moved}]
    for successor in successors:
        await gw.connect(a=settings)
        await gw.deliver(1)
        await gw.apply(**successor)
        async with listening(broker.url) as there:
            await until(lambda: "gateways/gw/status" in topics(there))
            assert not [topic for topic in topics(there) if topic.startswith(("homeassistant", "gatepost"))]


async def test_a_removed_device_goes_from_home_assistant_and_what_it_was_owed_does_not_bring_it_back(
    gw: Gateway, broker: Mosquitto
) -> None:
    devices = {"d": DeviceProfile("nonin"), "late": DeviceProfile("nonin")}
    gw.context = replace(gw.context, profiles=devices)
    gw.uplinks = BrokerManager(gw.context, gw.supervisor)
    await gw.connect(a=BrokerSettings(broker.url, format="homeassistant"))
    await gw.deliver(1)
    async with listening(broker.url) as there:
        del devices["d"]
        gw.uplink().devices_changed()
        config = "homeassistant/device/gatepost_gw_d/config"
        await until(lambda: b"" in [m.payload for m in there.messages if m.topic == config])
        await gw.deliver(2)
        await gw.uplink().disconnect()
    del devices["late"]  # while the broker is away, and the agent does not remember it in memory
    gw.uplink().devices_changed()
    await gw.apply()
    await gw.connect(a=BrokerSettings(broker.url, format="homeassistant"))
    remembered = [""]
    while remembered:
        async with listening(broker.url) as there:
            await until(lambda: "homeassistant/device/gatepost_gw/config" in topics(there))
            remembered = [message.topic for message in there.messages if "late" in message.topic and message.payload]
    await gw.uplink().disconnect()
    async with listening(broker.url) as there:
        await until(lambda: "homeassistant/device/gatepost_gw/config" in topics(there))
        assert not [topic for topic in topics(there) if "gw_d/" in topic or "late" in topic or "/d/" in topic]


async def test_what_was_owed_of_a_removed_device_leaves_it_dead_at_a_sparkplug_host(
    gw: Gateway, broker: Mosquitto
) -> None:
    devices = {"d": DeviceProfile("nonin")}
    gw.context = replace(gw.context, profiles=devices)
    gw.uplinks = BrokerManager(gw.context, gw.supervisor)
    await gw.put(1)
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, format="sparkplug"))
        await gw.delivered()
        await gw.uplink().disconnect()
        await gw.put(2)
        del devices["d"]
        await gw.uplink().connect()
        await gw.delivered()
        kinds = lambda: [topic.split("/")[2] for topic in topics(there) if topic.endswith("/d")]  # noqa: E731
        await until(lambda: kinds()[-3:] == ["DBIRTH", "DDATA", "DDEATH"])


async def test_every_format_loses_nothing_over_a_killed_broker(gw: Gateway, broker: Mosquitto) -> None:
    common = {"url": broker.url, "window": 20}
    brokers: dict[str, BrokerSettings] = {
        name: BrokerSettings(client_id=f"c-{name}", format=name, **common)
        for name in ("scalar", "senml", "thingsboard", "fhir", "sparkplug")
    }
    await gw.apply(**brokers)
    for name in brokers:
        await gw.state("connected", name)
    await gw.put(*range(50))
    broker.kill()
    await gw.put(*range(50, 300))
    await broker.start()
    for name in brokers:
        await gw.state("connected", name)
        await gw.delivered(name)
        assert gw.uplink(name).counters.dead == 0


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
async def test_batches_are_joined_compressed_and_done_together(gw: Gateway, broker: Mosquitto, compress: Any) -> None:
    async with listening(broker.url) as there:
        batch = BatchSettings(readings=10, delay=0.05, compress=compress)
        await gw.connect(a=BrokerSettings(broker.url, batch=batch))
        await gw.deliver(*range(25))
        batches = lambda: [m for m in there.messages if m.topic == "gateways/gw/data"]  # noqa: E731
        await until(lambda: sum(len(readings_of(m.payload)) for m in batches()) == 25)
        bodies = [readings_of(m.payload) for m in batches()]
        kinds = {m.properties["content_type"] for m in batches()}
    assert [each["n"] for body in bodies for each in body] == list(range(25))
    assert max(map(len, bodies)) == 10
    assert kinds == {f"application/json+{compress}"}


def readings_of(payload: bytes) -> list[dict[str, Any]]:
    if payload[:2] == b"\x1f\x8b":
        text = gzip.decompress(payload)
    else:
        text = pytest.importorskip("zstandard").decompress(payload)
    readings: list[dict[str, Any]] = orjson.loads(text)["readings"]
    return readings


async def test_a_batch_that_is_too_large_is_sent_one_by_one(gw: Gateway, tmp_path: Path) -> None:
    small = Mosquitto(tmp_path / "small", max_packet_size=700)
    async with running(small):
        await gw.connect(a=BrokerSettings(small.url, batch=BatchSettings(readings=50)))
        await gw.deliver(*range(20))
        assert gw.uplink().counters.dead == 0
        assert gw.uplink().counters.delivered == 20


async def test_a_batch_keeps_to_the_rule_that_sends_it(gw: Gateway, broker: Mosquitto) -> None:
    rules = [RouteRule(metrics=["own"], topic="ward/{device}"), RouteRule(metrics=["sure"], qos=0), RouteRule()]
    async with listening(broker.url) as there:
        await gw.apply(a=BrokerSettings(broker.url, batch=BatchSettings(readings=10), routes=rules, active=False))
        for metric in ("own", "sure", "reading"):
            await gw.put(1, 2, 3, metric=metric)
        await gw.connect(a=BrokerSettings(broker.url, batch=BatchSettings(readings=10), routes=rules))
        await gw.delivered()
        await until(lambda: sum(m.payload.count(b'"n"') for m in there.messages) == 9)
        said = [(m.topic, m.qos, m.payload.count(b'"n"')) for m in there.messages if b'"n"' in m.payload]
    assert said == [("ward/d", 1, 1)] * 3 + [("gateways/gw/data", 0, 3), ("gateways/gw/data", 1, 3)]


async def test_rules_send_elsewhere_otherwise_or_not_at_all(gw: Gateway, broker: Mosquitto) -> None:
    rules = [
        RouteRule(metrics=["noise"], drop=True),
        RouteRule(only=["urgent"], topic="alarm/{device}", qos=2, retain=True),
        RouteRule(devices=["d"]),
    ]
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, routes=rules))
        await gw.put(1)
        await gw.put(2, urgent=True)
        await gw.put(3, metric="noise")
        await gw.deliver(4, device="other")
        await until(lambda: "alarm/d" in topics(there))
    found = {m.topic: orjson.loads(m.payload)["n"] for m in there.messages if b'"n"' in m.payload}
    assert found == {"devices/d/data": 1, "alarm/d": 2}
    assert gw.uplink().counters.skipped == 2


@pytest.mark.parametrize(
    ("settings", "carries"),
    [
        ({}, True),
        ({"format": "thingsboard"}, True),
        ({"format": "scalar"}, True),
        ({"format": "scalar", "options": {"payload": "bare"}}, False),
        ({"format": "senml"}, False),
        ({"format": "fhir"}, False),
        ({"format": "homeassistant"}, False),
    ],
)
async def test_data_of_no_patient_goes_only_where_that_can_be_said(
    gw: Gateway, broker: Mosquitto, settings: dict[str, Any], carries: bool
) -> None:
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, **settings))
        for flag in UNREAL:
            await gw.put(71, metric="heart_rate", flags=(flag, "source-ecg"))
        await gw.deliver(72, metric="heart_rate", flags=("source-ecg",))
        await until(lambda: any(b"72" in message.payload for message in there.messages))
        said = b"".join(message.payload for message in there.messages)
    assert all((flag.encode() in said) is carries for flag in UNREAL)
    assert gw.uplink().counters.skipped == (0 if carries else len(UNREAL))


async def test_what_a_format_cannot_say_is_done_and_counted(gw: Gateway, broker: Mosquitto) -> None:
    routes = [RouteRule(metrics=["noise"], drop=True), RouteRule()]
    await gw.apply(a=BrokerSettings(broker.url, format="datastream", routes=routes))  # no value has an id
    await gw.state("connected")
    await gw.put(1, 2)
    await gw.deliver(3, metric="noise")
    view = gw.uplink().as_dict()
    assert (view["skipped"], view["not_routed"], view["sent"]) == (2, 1, 0)


async def test_another_format_takes_what_the_first_one_was_owed(gw: Gateway, broker: Mosquitto) -> None:
    settings = BrokerSettings(broker.url, active=False)
    await gw.apply(a=settings)
    await gw.put(1, 2, 3)
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, format="scalar"))
        await gw.delivered()
        await until(lambda: topics(there).count("devices/d/reading/n") == 3)


async def test_the_layout_of_a_gateway_puts_everything_below_one_root(gw: Gateway, broker: Mosquitto) -> None:
    async with listening(broker.url) as there:
        await gw.connect(a=BrokerSettings(broker.url, layout="gateway"))
        await gw.deliver(1)
        await until(lambda: "gateways/gw/devices/d/data" in topics(there))
        there.publish("gateways/gw/devices/d/commands", b'{"command": "ping"}')
        await until(lambda: bool(gw.commands))
        assert gw.commands[0][:2] == ("a", "d")
    assert all(topic.startswith("gateways/gw/") for topic in topics(there))


async def test_a_kept_session_brings_commands_of_the_time_away(gw: Gateway, broker: Mosquitto) -> None:
    await gw.connect(a=BrokerSettings(broker.url, session="kept"))
    await until(lambda: bool(gw.uplink()._tasks._subscriptions.held))
    await gw.uplink().disconnect()
    await gw.state("disconnected")
    async with listening(broker.url) as there:
        there.publish("gateways/gw/commands", b'{"command": "ping"}')
        await until(lambda: bool(there.messages))
    await gw.uplink().connect()
    await until(lambda: bool(gw.commands))


def test_random_order_is_one_order_for_each_gateway() -> None:
    urls = [f"mqtt://{name}" for name in "abcdefgh"]
    settings = BrokerSettings(urls[0], failover=urls[1:], order="random")
    orders = set()
    for name in ("one", "two", "one"):
        order = BrokerAddresses("a", name).in_turn(settings)
        assert sorted(order) == urls
        orders.add(tuple(order))
    assert len(orders) == 2
