"""Messages that come while a device is opened anew, or while the store has no room: none is acknowledged and lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.listener import broker_source, held_messages
from gatepost.agent.listener.intake import TakenMessage
from gatepost.agent.listener.packets import AckPacket, PublishPacket, encode
from gatepost.agent.listener.properties import PUBACK, PUBREC
from gatepost.agent.settings.model import BrokerSettings
from gatepost.agent.store import writer
from gatepost.drivers.mqtt.decoder import MqttDecoder
from gatepost.drivers.mqtt.message import MqttMessage
from tests.listener.rig import MQTT_5, ListenerRig
from tests.support.waiting import until
from tests.uplink.broker import FakeBroker

TOPIC = "devices/plug-3/data"
BULB = {"topics": {"zigbee2mqtt/{device}": {}}}


@pytest.mark.parametrize("room_first", [True, False])
async def test_a_link_that_is_closed_while_the_store_is_full_goes_on_when_it_has_room(
    tmp_path: Path, room_first: bool
) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}, retry=0.3 if room_first else 0.01) as rig, rig.client() as client:
        rig.store.writer.refuse("a test")
        await client.publish(TOPIC, {"n": 1}, wait=False)
        await until(lambda: rig.devices._sessions["plug-3"].queue.paused)
        await rig.interrupt()
        if not room_first:
            await until(lambda: rig.is_open())
        rig.store.writer.refuse(None)
        assert await client.receive() == AckPacket(PUBACK, 1)
        await client.publish(TOPIC, {"n": 2})
        assert [reading["n"] for reading in await rig.readings()] == [1, 2]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_waits_while_its_device_is_opened_anew(tmp_path: Path, qos: int) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client() as client:
        await rig.interrupt()
        await client.publish(TOPIC, {"n": 1}, qos)
        await client.publish(TOPIC, {"n": 2})
        assert [reading["n"] for reading in await rig.readings()] == [1, 2]
        assert sum(rig.server.intake.refused.values()) == 0
        assert rig.server.intake.received == 2


async def test_a_message_through_another_devices_connection_waits_too(tmp_path: Path) -> None:
    devices = {"bridge": {}, "bulb": {"via": "bridge", **BULB}}
    async with ListenerRig(tmp_path, devices) as rig, rig.client("bridge") as client:
        await rig.interrupt("bulb")
        await client.publish("zigbee2mqtt/bulb", {"n": 1})
        await client.publish("devices/bridge/data", {"n": 2})
        assert [(each["device_id"], each["n"]) for each in await rig.readings()] == [("bulb", 1), ("bridge", 2)]


async def test_a_device_whose_settings_change_comes_again_and_loses_nothing(tmp_path: Path) -> None:
    devices = {"plug-3": {}, "bulb": {"via": "plug-3", **BULB}}
    async with ListenerRig(tmp_path, devices, retry=60.0) as rig:
        async with rig.client() as client:
            await rig.interrupt("bulb")
            await client.publish("zigbee2mqtt/bulb", {"n": 1}, wait=False)
            await until(lambda: rig.server._connected["plug-3"][0].waits)
            other = {"topics": {"zigbee2mqtt/{device}": {"metric": "changed"}}}
            await rig.apply_devices({"plug-3": {}, "bulb": {"via": "plug-3", **other}})
            assert await client.receive() == AckPacket(PUBACK, 1)
            [reading] = await rig.readings()
            assert (reading["n"], reading["metric_type"]) == (1, "changed")
            await rig.apply_devices({"plug-3": {"commands": ["blink"]}})
            await client.closed()
        async with rig.client() as client:
            await client.publish(TOPIC, {"n": 2})
            await client.publish("zigbee2mqtt/bulb", {"n": 3})  # which is not configured any more
            rig.listener.directory.keep(())  # another driver has the device now
            await client.closed()
        assert [reading["n"] for reading in await rig.readings()] == [1, 2]
        assert rig.server.intake.refused["topic"] == 1


async def test_a_wait_without_end_ends_the_connection_and_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_messages, "LONGEST_WAIT", 0.05)
    async with ListenerRig(tmp_path, {"plug-3": {}}, retry=60.0) as rig, rig.client(version=MQTT_5) as client:
        await rig.interrupt()
        await client.publish(TOPIC, {"n": 1}, wait=False)
        packet = await client.closed()
        assert packet is not None
        assert packet.code == held_messages.SERVER_BUSY
        assert await rig.readings() == []
        assert rig.listener.directory._waiting == {"plug-3": {}}


async def test_a_message_on_which_the_decoder_fails_is_refused_and_the_next_one_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: MqttDecoder, members: object, message: MqttMessage) -> None:
        if b"bad" in message.payload:
            raise RuntimeError("a fault of the driver")
        return whole(self, members, message)

    whole = MqttDecoder._reading
    monkeypatch.setattr(MqttDecoder, "_reading", fail)
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5) as client:
        await client.send(PublishPacket(TOPIC, b'{"bad": 1}', 1, 1), PublishPacket(TOPIC, b'{"n": 2}', 1, 2))
        first, second = await client.receive(), await client.receive()
        assert isinstance(first, AckPacket)
        assert (first.packet_id, first.properties) == (1, {"reason_string": "malformed"})
        assert second == AckPacket(PUBACK, 2)
        assert [reading["n"] for reading in await rig.readings()] == [2]
        assert rig.server.intake.refused["malformed"] == 1


async def test_a_reading_that_cannot_be_handed_to_the_store_has_its_message_refused(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5) as client:
        queue = rig.devices._sessions["plug-3"].queue
        ways = queue._append, queue._append_all  # the one while its driver has not yet ended its conversation
        queue._append = queue._append_all = lambda *row: 1 / 0
        ack = await client.publish(TOPIC, {"n": 1})
        assert ack is not None
        assert ack.code >= 0x80
        queue._append, queue._append_all = ways
        await client.publish(TOPIC, {"n": 2})
        assert [reading["n"] for reading in await rig.readings()] == [2]


@pytest.mark.parametrize("waiting", [5, 10])
async def test_a_list_of_qos_2_is_one_transaction_however_full_the_store_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    monkeypatch.setattr(writer, "QUEUE_ROWS", 10)
    rig = ListenerRig(tmp_path, {"plug-3": {}}, commit=3600.0, ack_within=3600.0)
    async with rig, rig.client(clean=False) as client:
        await until(lambda: not rig.store.writer._marks)  # its session is kept
        for number in range(waiting):
            await client.publish(TOPIC, {"n": number}, 0)
        await until(lambda: rig.store.writer.waiting == waiting)
        await client.publish(TOPIC, [{"n": number} for number in range(waiting, waiting + 8)], 2, wait=False)
        if waiting == 10:
            await until(lambda: rig.server._all()[0].waits is not None)
            assert rig.store.writer.waiting == 10  # nothing of it is taken before there is room
            rig.store.writer.hurry()
        held = 8 if waiting == 10 else 8 + waiting
        await until(lambda: rig.store.writer.waiting == held)
        assert any(b'"received":[1]' in (mark or b"") for mark in rig.store.writer._marks.values())
        rig.store.writer.hurry()
        assert await client.receive() == AckPacket(PUBREC, 1)
        assert [reading["n"] for reading in await rig.readings()] == list(range(waiting + 8))


def to_bulb(ident: int) -> bytes:
    return encode(PublishPacket("zigbee2mqtt/bulb", b'{"n": %d}' % ident, 1, ident), 5)


async def test_a_fault_in_a_message_of_qos_2_leaves_the_queue_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client() as client:
        monkeypatch.setattr(rig.server.intake, "take", lambda *_: 1 // 0)
        await client.publish("devices/plug-3/data", {"n": 1}, 2, wait=False)
        await client.closed()
        assert not rig.store.writer.together


async def test_a_fault_in_a_message_that_waited_ends_its_connection_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        ListenerRig(tmp_path, {"plug-3": {}, "plug-4": {}}, window=1, commit=30, ack_within=30) as rig,
        rig.client("plug-3") as one,
        rig.client("plug-4") as other,
    ):
        await rig.store.stored(rig.store.event("test", {}), hurry=True)  # what comes now waits for its turn
        for place, (client, device) in enumerate(((one, "plug-3"), (other, "plug-4"))):
            for number in (1, 2):
                await client.publish(f"devices/{device}/data", {"n": number}, wait=False)
            await until(lambda place=place: len(rig.server.acknowledger._waiting) == place + 1)
        take = rig.server.intake.take

        def take_or_fail(source: str, carrier: str, *message: Any) -> TakenMessage:
            if carrier == "plug-3":
                raise ValueError("a fault")
            return take(source, carrier, *message)

        monkeypatch.setattr(rig.server.intake, "take", take_or_fail)
        rig.store.writer.hurry()
        await one.closed()
        for number in (1, 2):
            rig.store.writer.hurry()
            ack = await other.receive()
            assert isinstance(ack, AckPacket)
            assert ack.packet_id == number


async def test_a_broker_is_acknowledged_to_only_once_it_is_stored(tmp_path: Path) -> None:
    devices = {"bulb": {"from": "hospital", **BULB}}
    async with FakeBroker() as broker, ListenerRig(tmp_path, devices, commit=30.0, ack_within=30.0) as rig:
        await rig.listener.apply(rig.settings, {"hospital": BrokerSettings(url=broker.url)})
        await until(lambda: rig.listener._sources["hospital"][0]._subscribed)
        broker.peer.send(to_bulb(1))  # after a quiet spell: committed at once
        await until(lambda: broker.peer.of(PUBACK))
        broker.peer.send(to_bulb(2) + to_bulb(3))
        await until(lambda: rig.store.writer.waiting == 2)
        assert len(broker.peer.of(PUBACK)) == 1
        rig.store.writer.hurry()
        await until(lambda: len(broker.peer.of(PUBACK)) == 3)
        assert [reading["n"] for reading in await rig.readings()] == [1, 2, 3]
        rig.store.writer.refuse("a test")
        broker.peer.send(to_bulb(4))
        await until(lambda: rig.devices._sessions["bulb"].queue.paused)
        assert len(broker.peer.of(PUBACK)) == 3
        rig.store.writer.refuse(None)
        rig.store.writer.hurry()
        await until(lambda: len(broker.peer.of(PUBACK)) == 4)
        assert [reading["n"] for reading in await rig.readings()] == [1, 2, 3, 4]


async def test_a_brokers_message_waits_for_its_device_and_comes_again_where_that_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = {"bulb": {"from": "hospital", **BULB}}
    async with FakeBroker() as broker, ListenerRig(tmp_path, devices) as rig:
        await rig.listener.apply(rig.settings, {"hospital": BrokerSettings(url=broker.url)})
        source = rig.listener._sources["hospital"][0]
        await until(lambda: source._subscribed)
        await rig.interrupt("bulb")
        broker.peer.send(to_bulb(1) + to_bulb(2))
        await until(lambda: len(broker.peer.of(PUBACK)) == 2)
        assert [reading["n"] for reading in await rig.readings()] == [1, 2]
        monkeypatch.setattr(broker_source, "LONGEST_WAIT", 0.0)
        monkeypatch.setattr(source._backoff, "next", lambda: 0.0)
        await rig.interrupt("bulb")
        broker.peer.send(to_bulb(3))
        await until(lambda: len(broker.peers) == 2)
        assert len(broker.peers[0].of(PUBACK)) == 2
        await until(lambda: rig.is_open("bulb"))
        await until(lambda: broker.peer.kinds())
        broker.peer.send(to_bulb(3))
        await until(lambda: broker.peer.of(PUBACK))
        assert [reading["n"] for reading in await rig.readings()] == [1, 2, 3]
