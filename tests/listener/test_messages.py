"""Messages of devices become readings, and are acknowledged once they are on disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatepost.agent.listener import acknowledgements
from gatepost.agent.listener.packets import AckPacket, PublishPacket
from gatepost.agent.listener.properties import PUBACK, PUBREC
from tests.listener.rig import MQTT_3, MQTT_5, ListenerRig
from tests.support.waiting import until

BOTH = pytest.mark.parametrize("version", [MQTT_3, MQTT_5])


@BOTH
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_becomes_a_reading(tmp_path: Path, version: int, qos: int) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        async with rig.client(version=version) as client:
            assert client.connack.code == 0
            payload = {"metric_type": "environment", "temperature": 21.5, "units": {"temperature": "Cel"}}
            ack = await client.publish("devices/plug-3/data", payload, qos)
            if qos:
                assert ack is not None
                assert ack.code == 0
            else:
                await client.publish("devices/plug-3/data", {"humidity": 40})
            reading = (await rig.readings())[0]
        assert reading["metric_type"] == "environment"
        assert reading["temperature"] == 21.5
        assert reading["units"] == {"temperature": "Cel"}


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("devices/other/data", {"t": 1}, "not-your-topic"),
        ("devices/plug-3/commands", {"t": 1}, "not-your-topic"),
        ("$SYS/x", {"t": 1}, "not-your-topic"),
        ("devices/plug-3/data", b"{", "not-json"),
        ("devices/plug-3/data", b"", "not-json"),
        ("devices/plug-3/data", {"t": 1, "token": "gp_other"}, "wrong-token"),
        ("devices/plug-3/data", {"t": 1, "device_id": "other"}, "wrong-device"),
        ("devices/plug-3/data", {}, "no-values"),
        ("devices/plug-3/data", {"only": {"nested": 1}}, "no-values"),
        ("devices/plug-3/data", {f"v{n}": n for n in range(65)}, "too-large"),
        ("devices/plug-3/data", {"t": "x" * 257}, "too-large"),
        ("devices/plug-3/responses", {"id": "unknown", "status": "done"}, "not-your-topic"),
    ],
)
async def test_what_is_refused_is_acknowledged_counted_and_told(
    tmp_path: Path, topic: str, payload: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}, "other": {}}) as rig:
        with rig.events.listen() as events:
            async with rig.client(version=MQTT_3) as client:
                ack = await client.publish(topic, payload)
                assert ack == AckPacket(PUBACK, 1)
            async with rig.client(version=MQTT_5) as client:
                ack = await client.publish(topic, payload)
                assert ack is not None
                assert ack.code >= 0x80
                assert ack.properties == {"reason_string": reason}
                ack = await client.publish(topic, payload, 2)
                assert ack is not None
                assert ack.code >= 0x80
                assert (await client.publish("devices/plug-3/data", {"t": 2})) is not None
            told = [
                event.data for event in (events.get_nowait() for _ in range(events.qsize())) if "refused" in event.kind
            ]
        assert told == [{"device_id": "plug-3", "topic": topic, "reason": reason}] * 3
        assert sum(rig.server.intake.refused.values()) == 3
        (kept,) = rig.server.intake.refusals.as_list()
        assert (kept["device"], kept["topic"], kept["reason"], kept["count"]) == ("plug-3", topic, reason, 3)
        assert [reading["t"] for reading in await rig.readings()] == [2]
        assert len([line for line in caplog.messages if reason in line]) == 1


async def test_the_payload_of_a_reading(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        async with rig.client() as client:
            members = {
                "metric_type": "pulse_oximetry",
                "spo2": 97,
                "name": "left",
                "none": None,
                "rr": [800, 810],
                "nested": {"x": 1},
                "timestamp": "2026-11-20T10:30:00Z",
                "urgent": True,
                "token": "gp_plug-3",
                "device_id": "plug-3",
                "id": "mine",
                "patient_id": "P-1",
                "clock": "synchronised",
                "quality": "bad",
                "flags": ["x"],
            }
            await client.publish("devices/plug-3/data", members)
            await client.publish("devices/plug-3/data", [{"a": 1}, {"a": 2}])
        first, second, third = await rig.readings()
        assert first == {
            "device_id": "plug-3",
            "metric_type": "pulse_oximetry",
            "units": {},
            "quality": "good",
            "flags": ["none:nan"],
            "spo2": 97,
            "name": "left",
            "rr": [800, 810],
            "device_timestamp": "2026-11-20T10:30:00",
            "urgent": True,
        }
        assert (second["a"], third["a"], second["urgent"]) == (1, 2, False)


async def test_datastream(tmp_path: Path) -> None:
    streams = {"1": {"metric": "environment", "name": "temperature", "unit": "Cel"}}
    async with ListenerRig(tmp_path, {"plug-3": {"streams": streams}}) as rig:
        async with rig.client() as client:
            topic = "devices/plug-3/datastream"
            await client.publish(topic, {"value": "23.5", "telemetryDataId": 1, "token": "gp_plug-3"})
            await client.publish(topic, {"value": 7, "telemetryDataId": "x", "thresholds": {"max": 5}})
            await client.publish(topic, {"value": True, "telemetryDataId": "x", "urgent": True})
        mapped, other, said = await rig.readings()
        assert (mapped["metric_type"], mapped["temperature"], mapped["units"]) == (
            "environment",
            23.5,
            {"temperature": "Cel"},
        )
        assert (other["metric_type"], other["value"], other["telemetryDataId"], other["urgent"]) == (
            "datastream",
            7,
            "x",
            True,
        )
        assert (said["value"], said["urgent"], mapped["urgent"]) == (True, True, False)


async def test_mapped_topics(tmp_path: Path) -> None:
    topics = {
        "tele/{device}/SENSOR": {
            "metric": "environment",
            "fields": {"/AM2301/Temperature": {"name": "temperature", "unit": "Cel"}},
            "others": "drop",
            "device_time": "Time",
        },
        "tele/{device}/LWT": {"status": {"online": "Online", "offline": "Offline"}},
        "lab/{value}/state": {"format": "value", "metric": "environment"},
        "by/{metric}/#": {"format": "keyvalue"},
    }
    async with ListenerRig(tmp_path, {"plug-3": {"topics": topics}, "other": {}}) as rig:
        async with rig.client() as client:
            await client.publish("tele/plug-3/LWT", b"Online", 0, retain=True)
            sensor = {"Time": "2026-11-20T10:30:00", "AM2301": {"Temperature": 21.5, "Humidity": 40}, "TempUnit": "C"}
            await client.publish("tele/plug-3/SENSOR", sensor)
            await client.publish("lab/humidity/state", b"41.5")
            await client.publish("by/weight/kitchen/1", b"w=70.5")
            await client.publish("tele/other/SENSOR", sensor)
            await client.publish("tele/plug-3/LWT", b"Offline")
            assert rig.statuses["plug-3"]["status"] == "offline"
        tasmota, value, pairs = await rig.readings("plug-3")
        assert (tasmota["temperature"], tasmota["device_timestamp"]) == (21.5, "2026-11-20T10:30:00")
        assert "Humidity" not in tasmota
        assert (value["metric_type"], value["humidity"]) == ("environment", 41.5)
        assert (pairs["metric_type"], pairs["w"]) == ("weight", 70.5)
        assert rig.server.intake.refused["topic"] == 1


async def test_one_connection_carries_many_devices(tmp_path: Path) -> None:
    devices = {
        "bridge": {},
        "bulb": {"via": "bridge", "topics": {"zigbee2mqtt/{device}": {"metric": "environment"}}},
        "door": {
            "via": "bridge",
            "topics": {"zigbee2mqtt/{device}": {}, "zigbee2mqtt/{device}/availability": {"status": {}}},
        },
    }
    async with ListenerRig(tmp_path, devices) as rig:
        async with rig.client("bridge") as client:
            await client.publish("zigbee2mqtt/bulb", {"temperature": 20, "battery": 90})
            await client.publish("zigbee2mqtt/door/availability", {"state": "offline"})
            await client.publish("zigbee2mqtt/strange", {"x": 1})
            assert [rig.statuses[name]["status"] for name in devices] == ["online", "online", "offline"]
        [reading] = await rig.readings()
        assert (reading["device_id"], reading["temperature"]) == ("bulb", 20)
        async with asyncio.timeout(5):
            while rig.statuses["bulb"]["status"] != "offline":
                await asyncio.sleep(0.01)


async def test_nothing_is_acknowledged_before_the_disk_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "LAST_ACKS", 3600.0)
    async with ListenerRig(tmp_path, {"plug-3": {}}, commit=30.0, ack_within=5.0) as rig, rig.client() as client:
        await client.publish("devices/plug-3/data", {"n": 0})  # after a quiet spell: at once
        for number in (1, 2):
            await client.publish("devices/plug-3/data", {"n": number}, number, wait=False)
        await client.ping()
        pong = await client.receive()
        assert pong is not None
        assert not isinstance(pong, AckPacket)
        assert len(await rig.readings()) == 1
        rig.store.writer.hurry()
        assert [await client.receive(), await client.receive()] == [AckPacket(PUBACK, 2), AckPacket(PUBREC, 3)]
        assert len(await rig.readings()) == 3
        await client.publish("devices/plug-3/data", {"n": 3}, wait=False)
        await until(lambda: rig.store.writer.waiting)
        await asyncio.wait_for(rig.server.stop(), 20)  # it hurries the commit, and waits for no other
        assert await client.receive() == AckPacket(PUBACK, 4)


async def test_who_waits_hurries_the_commit(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}, commit=30.0, ack_within=0.1) as rig, rig.client() as client:
        began = asyncio.get_running_loop().time()
        for number in range(5):
            await client.publish("devices/plug-3/data", {"n": number})
        assert asyncio.get_running_loop().time() - began > 0.35


async def test_a_full_store_keeps_the_device_waiting_and_loses_nothing(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}, rate=0) as rig:
        rig.store.writer.refuse("a test")
        async with rig.client(version=MQTT_5, clean=False, properties={"session_expiry": 60}) as client:
            packets = [PublishPacket("devices/plug-3/data", b'{"n": %d}' % n, 1 + n % 2, n) for n in range(1, 11)]
            await client.send(*packets)
            with pytest.raises(TimeoutError):
                await client.receive(0.3)
            assert await rig.readings() == []
            rig.store.writer.refuse(None)
            acks = [await client.receive() for _ in packets]
            assert [ack.packet_id for ack in acks if isinstance(ack, AckPacket)] == list(range(1, 11))
            assert [reading["n"] for reading in await rig.readings()] == list(range(1, 11))


async def test_a_fast_device_is_slowed(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}, "other": {}}, rate=1.0) as rig:
        async with rig.client() as fast, rig.client("other") as other:
            for number in range(20):
                await fast.publish("devices/plug-3/data", {"n": number}, 0)
            slowed = asyncio.create_task(fast.publish("devices/plug-3/data", {"n": 20}))
            assert await other.publish("devices/other/data", {"n": 1}) is not None
            assert not slowed.done()
            await rig.listener.apply(msgspec.structs.replace(rig.settings, rate=0), {})
            assert await slowed is not None
        assert len(await rig.readings("plug-3")) == 21


async def test_qos_2_is_stored_once_also_after_a_new_connection(tmp_path: Path) -> None:
    connect = {"clean": False, "properties": {"session_expiry": 60}}
    message = PublishPacket("devices/plug-3/data", b'{"n": 1}', 2, 7)
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5, **connect) as client:
        await client.send(message)
        assert await client.receive() == AckPacket(PUBREC, 7)
    message.dup = True
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5, **connect) as client:
        await client.send(message)
        assert await client.receive() == AckPacket(PUBREC, 7)
        assert len(await rig.readings()) == 1


@pytest.mark.parametrize("version", [MQTT_3, MQTT_5])
async def test_qos_2_is_stored_once_also_where_its_device_comes_anew_while_the_store_is_full(
    tmp_path: Path, version: int
) -> None:
    connect = {"clean": False, "properties": {"session_expiry": 60} if version == MQTT_5 else {}}
    message = PublishPacket("devices/plug-3/data", b'{"n": 1}', 2, 7)
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        rig.store.writer.refuse("a test")
        async with rig.client(version=version, **connect) as client:
            await client.send(message)
            [before] = rig.server._connected["plug-3"]
            await until(lambda: not before._reading)
        message.dup = True
        async with rig.client(version=version, **connect) as client:
            await client.send(message)
            await client.send(PublishPacket("devices/plug-3/data", b'{"n": 2}', 2, 8))
            [now] = rig.server._connected["plug-3"]
            assert now is not before
            await until(lambda: not now._reading)
            rig.store.writer.refuse(None)
            assert await client.receive() == AckPacket(PUBREC, 7)
            assert await client.receive() == AckPacket(PUBREC, 8)
        assert [reading["n"] for reading in await rig.readings()] == [1, 2]
