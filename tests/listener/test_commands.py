"""Commands for devices that carry them out themselves: sent, acknowledged, answered, waiting, expired."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from gatepost.agent.core.errors import DeviceOffline, OutcomeUnknown
from gatepost.agent.devices.builtin_commands import AcceptedCommand
from gatepost.agent.devices.interfaces import DeliveredCommand
from gatepost.agent.listener.packets import AckPacket, PublishPacket
from gatepost.agent.listener.properties import PUBACK
from gatepost.drivers.driver import CommandFailed
from tests.listener.rig import MQTT_3, MQTT_5, ListenerRig, RawClient

TOPIC = "devices/plug-3/commands"
KEPT: dict[str, Any] = {"clean": False, "properties": {"session_expiry": 600}}


def command(ident: str = "c1", expires_in: float = 5.0, within: float = 2.0) -> DeliveredCommand:
    return DeliveredCommand(ident, "set_led", {"on": True}, "2026-11-20T10:30:00Z", "x", expires_in, within)


def execute(rig: ListenerRig, given: DeliveredCommand) -> asyncio.Task[Any]:
    return asyncio.create_task(rig.devices.execute("plug-3", given.command, given, "test"))


async def received(client: RawClient) -> tuple[PublishPacket, dict[str, Any]]:
    packet = await client.receive()
    assert isinstance(packet, PublishPacket), packet
    assert packet.topic == TOPIC
    assert not packet.retain
    return packet, orjson.loads(packet.payload)


async def acknowledge(client: RawClient, packet: PublishPacket) -> None:
    await client.send(AckPacket(PUBACK, packet.packet_id))


@pytest.mark.parametrize("version", [MQTT_3, MQTT_5])
async def test_done_with_its_acknowledgement(tmp_path: Path, version: int) -> None:
    options = {"commands": ["set_led"]}
    async with ListenerRig(tmp_path, {"plug-3": options}) as rig, rig.client(version=version) as client:
        await client.subscribe(TOPIC)
        task = execute(rig, command())
        packet, body = await received(client)
        assert body == {
            "id": "c1",
            "command": "set_led",
            "parameters": {"on": True},
            "issued_at": "2026-11-20T10:30:00Z",
            "expires_at": "x",
        }
        assert packet.qos == 1
        assert not task.done()
        await acknowledge(client, packet)
        assert await task == {"acknowledged": True}


async def test_done_with_its_answer(tmp_path: Path) -> None:
    options = {"commands": ["*"], "answers": True}
    async with ListenerRig(tmp_path, {"plug-3": options}) as rig, rig.client() as client:
        await client.subscribe("devices/plug-3/#")
        task = execute(rig, command())
        packet, body = await received(client)
        await acknowledge(client, packet)
        await client.publish("devices/plug-3/responses", {"id": body["id"], "status": "done", "result": {"led": 1}})
        assert await task == {"led": 1}
        task = execute(rig, command("c2"))
        packet, body = await received(client)
        await acknowledge(client, packet)
        error = {"key": "no-led", "message": "there is none"}
        await client.publish("devices/plug-3/responses", {"id": "c2", "status": "failed", "error": error})
        with pytest.raises(CommandFailed, match="there is none"):
            await task


async def test_nobody_to_send_it_to(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {"commands": ["*"]}}) as rig:
        condition = rig.devices.state_of("plug-3")
        assert condition is not None
        assert not condition.reachable
        with pytest.raises(DeviceOffline):
            await execute(rig, command())
        async with rig.client() as client:
            with pytest.raises(DeviceOffline, match="has not subscribed"):
                await execute(rig, command())
            await client.subscribe(TOPIC, qos=0)
            with pytest.raises(OutcomeUnknown):
                await execute(rig, command())


async def test_a_command_waits_for_a_device_whose_session_lives(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {"commands": ["*"]}}) as rig:
        async with rig.client(version=MQTT_5, **KEPT) as client:
            await client.subscribe(TOPIC)
        async with asyncio.timeout(5):
            while rig.statuses["plug-3"]["status"] != "offline":
                await asyncio.sleep(0.01)
        condition = rig.devices.state_of("plug-3")
        assert condition is not None
        assert condition.reachable
        accepted = await execute(rig, command())
        assert isinstance(accepted, AcceptedCommand)
        lost = await execute(rig, command("c2", expires_in=0.2))
        with pytest.raises((DeviceOffline, OutcomeUnknown)):
            await lost.finished
        async with rig.client(version=MQTT_5, **KEPT) as client:
            packet, body = await received(client)
            assert body["id"] == "c1"
            assert 1 <= packet.properties["message_expiry"] <= 5
            await acknowledge(client, packet)
            assert await accepted.finished == {"acknowledged": True}


async def test_what_was_sent_and_never_acknowledged_is_unknown(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {"commands": ["*"]}}) as rig:
        async with rig.client() as client:
            await client.subscribe(TOPIC)
            task = execute(rig, command())
            await received(client)
        with pytest.raises(OutcomeUnknown):
            await task


async def test_what_was_sent_is_sent_again_to_the_same_session(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {"commands": ["*"]}}) as rig:
        async with rig.client(version=MQTT_5, **KEPT) as client:
            await client.subscribe(TOPIC)
            task = execute(rig, command())
            first, _ = await received(client)
            assert not first.dup
        async with rig.client(version=MQTT_5, **KEPT) as client:
            again, _ = await received(client)
            assert again.dup
            await acknowledge(client, again)
            assert await task == {"acknowledged": True}


async def test_so_many_wait_and_no_more(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {"commands": ["*"]}}) as rig:
        async with rig.client(version=MQTT_5, **KEPT) as client:
            await client.subscribe(TOPIC)
        waiting = [await execute(rig, command(f"c{n}")) for n in range(100)]
        with pytest.raises(DeviceOffline, match="100 commands"):
            await execute(rig, command("more"))
        for each in waiting:
            each.finished.cancel()


async def test_names_of_commands(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {"commands": ["set_led"]}, "other": {"commands": ["*"]}}) as rig:
        known = rig.devices.commands("plug-3")
        assert "set_led" in known
        assert known["set_led"].free
        assert not known["set_interval"].free
        assert rig.devices.any_command("plug-3", "strange") is None
        strange = rig.devices.any_command("other", "strange")
        assert strange is not None
        assert strange.free
        assert rig.devices.commands("other")["set_interval"].free
        assert not rig.devices.commands("other")["status"].free


async def test_broadcasts_are_handed_on_without_what_authenticated_them(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client() as client:
        await client.subscribe("organizations/org-1/broadcast")
        rig.listener.broadcast(orjson.dumps({"id": "b", "command": "ping", "token": "t", "signature": "s"}))
        packet = await client.receive()
        assert isinstance(packet, PublishPacket)
        assert orjson.loads(packet.payload) == {"id": "b", "command": "ping"}
