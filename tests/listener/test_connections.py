"""Connections: who may be here, sessions, wills, statuses, and how they end."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.core.clock import US
from gatepost.agent.devices.status_view import view_of
from gatepost.agent.listener import socket_watch
from gatepost.agent.listener.authentication import RefusedClient
from gatepost.agent.listener.packets import ConnectPacket, PublishPacket, SignalPacket, WillMessage, encode
from gatepost.agent.listener.properties import DISCONNECT, PINGRESP
from gatepost.agent.listener.websocket import WebSocketLayer
from gatepost.agent.listener.wire import StreamOver
from tests.listener.rig import MQTT_3, MQTT_5, ListenerRig
from tests.support.ports import free_port
from tests.support.waiting import until

HANDSHAKE = (
    b"GET /mqtt HTTP/1.1\r\nHost: gw\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
BOTH = pytest.mark.parametrize("version", [MQTT_3, MQTT_5])


@pytest.mark.parametrize(
    "connect",
    [
        {"password": b"gp_other"},
        {"password": b"wrong"},
        {"password": None},
        {"username": "stranger", "password": b"gp_stranger"},
        {"username": None, "password": None},
        {"username": "x" * 100, "password": b"gp_plug-3"},
    ],
    ids=["another's token", "wrong", "no password", "unknown device", "nothing", "a long name"],
)
@BOTH
async def test_strangers_are_refused_alike(tmp_path: Path, version: int, connect: dict[str, Any]) -> None:
    if version == MQTT_3 and connect.get("username", "") is None:
        connect = {**connect, "password": None}
    async with ListenerRig(tmp_path, {"plug-3": {}, "other": {}}) as rig:
        async with rig.client(version=version, **connect) as client:
            assert client.connack.code == (4 if version == MQTT_3 else 0x86)
            assert await client.closed() is None
        assert rig.server.intake.refused["auth"] == 1
        assert rig.statuses["plug-3"]["status"] == "offline"


async def test_a_token_in_the_wrong_field_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        for _ in range(3):
            async with rig.client(username="gp_abcdefgh_SECRET", password=None) as client:
                assert await client.closed() is None
    assert "a token as user name refused" in caplog.text
    assert "SECRET" not in caplog.text
    assert caplog.text.count("a token as user name") == 1  # once a minute for each address


async def test_a_password_of_the_settings_is_the_other_way(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {"password": "twelve-octets"}}) as rig:
        async with rig.client(password=b"twelve-octets") as client:
            assert client.connack.code == 0
        async with rig.client(password=b"gp_plug-3") as client:
            assert client.connack.code == 0


@pytest.mark.parametrize(("version", "code"), [(MQTT_3, 5), (MQTT_5, 0x8A)])
async def test_guesses_are_slowed_and_a_token_is_not(tmp_path: Path, version: int, code: int) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {"password": "twelve-octets"}, "other": {}}) as rig:
        for _ in range(6):
            async with rig.client(version=version, password=b"guess") as client:
                assert client.connack.code != code
        async with rig.client(version=version, password=b"twelve-octets") as client:
            assert client.connack.code == code
        async with rig.client(version=version) as client:
            assert client.connack.code == 0
        async with rig.client("other", version) as client:
            assert client.connack.code == 0


async def test_guesses_of_one_ipv6_network_are_slowed_together(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {"password": "twelve-octets"}}) as rig:
        judge = rig.server.authenticator.judge
        verdicts = [judge(f"2001:db8::{each}", "plug-3", b"guess", None) for each in range(7)]
        assert isinstance(verdicts[-1], RefusedClient)
        assert verdicts[-1].slowed
        assert not isinstance(judge("2001:db8:0:1::1", "plug-3", b"twelve-octets", None), RefusedClient)


async def test_a_device_that_another_one_carries_does_not_connect(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"bridge": {}, "bulb": {"via": "bridge"}}) as rig, rig.client("bulb") as client:
        assert client.connack.code == 4


@BOTH
async def test_status_goes_with_the_connection(tmp_path: Path, version: int) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        async with rig.client(version=version) as client:
            await until(lambda: rig.statuses["plug-3"]["status"] == "online")
            await client.publish("devices/plug-3/status", {"status": "online", "battery": 87, "signal_strength": -61})
            assert rig.statuses["plug-3"]["battery"] == 87
            assert rig.statuses["plug-3"]["signal_strength"] == -61
            await client.disconnect()
        await until(lambda: rig.statuses["plug-3"]["status"] == "offline")
        assert rig.statuses["plug-3"]["reason"] == "disconnected"


async def test_a_device_that_connects_for_each_message_is_as_it_should_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        caplog.clear()
        for number in range(6):
            async with rig.client() as client:
                await client.publish("devices/plug-3/data", {"n": number})
                if number % 2:
                    await client.disconnect()
            await until(lambda: rig.statuses["plug-3"]["status"] == "offline")
        view = view_of(rig.devices._sessions["plug-3"], rig.clock)
        assert (view["status"], view["condition"]) == ("offline", "idle")
        assert "the device disconnected" not in caplog.text  # nothing to warn of


async def test_the_will_says_why(tmp_path: Path) -> None:
    will = WillMessage("devices/plug-3/status", b'{"status": "offline", "reason": "battery empty"}', 1, True)
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        async with rig.client(will=will):
            await until(lambda: rig.statuses["plug-3"]["status"] == "online")
        await until(lambda: rig.statuses["plug-3"].get("reason") == "battery empty")
        async with rig.client(will=will) as client:
            await until(lambda: rig.statuses["plug-3"]["status"] == "online")
            assert await client.subscribe("devices/plug-3/status") == [1]
            retained = await client.receive()
            assert isinstance(retained, PublishPacket)
            assert retained.retain
            await client.disconnect()  # which discards the will
        await until(lambda: rig.statuses["plug-3"].get("reason") == "disconnected")


async def test_an_end_by_the_gateway_is_told_beside_the_will(tmp_path: Path, caplog) -> None:
    will = WillMessage("devices/plug-3/status", b'{"status": "offline", "reason": "lost"}', 1, True)
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(will=will):
        await until(lambda: rig.statuses["plug-3"]["status"] == "online")
        rig.server.token_revoked("id-plug-3")
        await until(lambda: rig.statuses["plug-3"].get("reason") == "lost")
        view = view_of(rig.devices._sessions["plug-3"], rig.clock)
        assert view["message"] == "its connection ended: its token was revoked"
        assert "plug-3 is offline: its connection ended: its token was revoked" in caplog.text


async def test_an_empty_status_clears_the_retained_one(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5) as client:
        await client.publish("devices/plug-3/status", b"online", retain=True)
        assert rig.server.retained_for("plug-3", "devices/plug-3/status") == [("devices/plug-3/status", b"online")]
        ack = await client.publish("devices/plug-3/status", b"", retain=True)
        assert ack is not None
        assert ack.code == 0
        assert rig.server.retained_for("plug-3", "devices/plug-3/status") == []
        assert rig.statuses["plug-3"]["status"] == "online"


async def test_a_will_waits_for_its_delay(tmp_path: Path) -> None:
    def connect(delay: int) -> dict[str, Any]:
        will = WillMessage("devices/plug-3/data", b'{"gone": 1}', 1, properties={"will_delay": delay})
        return {"version": MQTT_5, "will": will, "clean": False, "properties": {"session_expiry": 3600}}

    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        async with rig.client(**connect(1800)):
            (session,) = rig.server.sessions.of("plug-3")
        waits = await until(lambda: session.will_timer)
        async with rig.client(**connect(1)) as client:
            assert client.connack.session_present
            assert (waits.cancelled(), session.will) == (True, None)
            began, head = asyncio.get_running_loop().time(), rig.store.head
        await until(lambda: rig.store.head > head)
        assert asyncio.get_running_loop().time() - began >= 1
        await rig.store.stored(rig.store.head)
        assert [reading["gone"] for reading in await rig.readings()] == [1]


async def test_keepalive(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}, keepalive_max=1.0) as rig:
        async with rig.client(version=MQTT_5, keepalive=0) as client:
            assert client.connack.properties["server_keepalive"] == 1
            end = await client.closed()
            assert end == SignalPacket(DISCONNECT, 0x8D)
        await until(lambda: rig.statuses["plug-3"].get("reason") == "keepalive")


@BOTH
async def test_a_newer_connection_of_the_same_client_takes_over(tmp_path: Path, version: int) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}, "other": {}}) as rig:
        other = rig.client("other", version, client_id="plug-3-client")
        async with rig.client(version=version) as old, other, rig.client(version=version) as new:
            end = await old.closed()
            assert end == (SignalPacket(DISCONNECT, 0x8E) if version == MQTT_5 else None)
            assert not new.connack.session_present
            await new.publish("devices/plug-3/data", {"n": 1})
            await other.ping()
            assert await other.receive() == SignalPacket(PINGRESP)
            assert rig.statuses["plug-3"]["status"] == "online"


async def test_a_first_packet_must_come_in_time(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}, connect_timeout=0.3) as rig:
        client = rig.client()
        await client.open()
        for octet in b"\x10\x30\x00\x04MQT":
            await client.write(bytes((octet,)))
        assert await client.closed() is None
        assert rig.server.as_dict()["connectedClients"] == 0


async def test_more_connections_than_allowed_are_closed_at_once(tmp_path: Path) -> None:
    rig = ListenerRig(tmp_path, {"plug-3": {}}, max_connections=2)
    async with rig, rig.client(client_id="a") as first, rig.client(client_id="b"):
        third = rig.client(client_id="c")
        await third.open()
        assert await third.closed() is None
        await first.publish("devices/plug-3/data", {"n": 1})


async def test_silent_strangers_keep_no_device_out(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}, max_connections=2) as rig:
        async with rig.client(client_id="a"):
            stranger = rig.client()
            await stranger.open()
            await until(lambda: rig.server.as_dict()["connectedClients"] == 2)
            async with rig.client(client_id="b") as client:
                assert client.connack.code == 0
            assert await stranger.closed() is None
        stranger.writer.close()


async def test_the_oldest_that_has_not_said_who_it_is_goes_first(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}, max_connections=20) as rig:
        silent = [rig.client() for _ in range(8)]
        for each in silent:
            await each.open()
            await until(lambda: rig.server.as_dict()["connectedClients"] >= 1)
        await until(lambda: rig.server.as_dict()["connectedClients"] == 8)
        async with rig.client() as client:
            assert client.connack.code == 0
            assert await silent[0].closed() is None
            assert rig.server.as_dict()["connectedClients"] == 8
        for each in silent:
            each.writer.close()


async def test_a_token_ends_with_its_connection(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        rig.tokens.expires["plug-3"] = rig.clock.now().wall + US
        async with rig.client(version=MQTT_5) as client:
            assert await client.closed(3.0) == SignalPacket(DISCONNECT, 0x87)
        assert rig.statuses["plug-3"]["reason"] == "token expired"
        rig.tokens.expires.clear()
        async with rig.client(version=MQTT_5) as client:
            rig.server.token_revoked("id-plug-3")
            assert await client.closed(2.0) == SignalPacket(DISCONNECT, 0x87)
        async with rig.client(version=MQTT_5) as client:
            assert rig.server.hang_up("plug-3") == 1
            assert await client.closed(2.0) == SignalPacket(DISCONNECT, 0x98)


async def test_a_device_that_is_removed_is_hung_up_on(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5) as client:
        await rig.apply_devices({})
        assert await client.closed(2.0) == SignalPacket(DISCONNECT, 0x87)


@BOTH
async def test_subscriptions_are_its_own(tmp_path: Path, version: int) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}, "other": {}}) as rig, rig.client(version=version) as client:
        own = ["devices/plug-3/commands", "devices/plug-3/status", "devices/plug-3/#", "devices/plug-3/+"]
        assert await client.subscribe(*own, "organizations/org-1/broadcast", qos=2) == [1] * 5
        no = 0x80 if version == MQTT_3 else 0x87
        others = ["devices/other/commands", "devices/+/commands", "#", "devices/#", "$SYS/#", "devices/plug-3/data"]
        assert await client.subscribe(*others) == [no] * 6
        shared = 0x80 if version == MQTT_3 else 0x9E
        assert await client.subscribe("$share/g/devices/plug-3/commands") == [shared]


async def test_sessions_outlive_connections_and_the_agent(tmp_path: Path) -> None:
    connect = {"clean": False, "properties": {"session_expiry": 7200}}
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5, **connect) as client:
        assert not client.connack.session_present
        assert client.connack.properties["session_expiry"] == 3600
        await client.subscribe("devices/plug-3/commands")
        await client.publish("devices/plug-3/data", {"n": 1})
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        async with rig.client(version=MQTT_5, **connect) as client:
            assert client.connack.session_present
            assert rig.listener.server.outbox.is_connected("plug-3", "plug-3")
        async with rig.client(version=MQTT_5, clean=True) as client:
            assert not client.connack.session_present
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        assert len(rig.server.sessions) == 0


async def test_a_session_of_an_earlier_run_that_ends_with_its_connection_does_not_come_back(tmp_path: Path) -> None:
    connect = {"clean": False, "properties": {"session_expiry": 7200}}
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5, **connect) as client:
        await client.subscribe("devices/plug-3/commands")
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        async with rig.client(version=MQTT_5, clean=False) as client:
            assert client.connack.session_present
        await until(lambda: not len(rig.server.sessions))
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        assert len(rig.server.sessions) == 0


async def test_a_session_that_was_given_up_does_not_come_back(tmp_path: Path) -> None:
    connect = {"clean": False, "properties": {"session_expiry": 7200}}
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5, **connect) as client:
        await client.publish("devices/plug-3/data", {"n": 1})
        rig.server.sessions.of("plug-3")[0].expiry = 0  # as DISCONNECT with session expiry 0 says
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        assert len(rig.server.sessions) == 0


async def test_a_client_without_an_id_is_given_one(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        async with rig.client(version=MQTT_5, client_id="") as client:
            assert client.connack.properties["assigned_client_id"]
        async with rig.client(version=MQTT_3, client_id="") as client:
            assert client.connack.code == 0
        async with rig.client(version=MQTT_3, client_id="", clean=False) as client:
            assert client.connack.code == 2


async def test_what_the_api_shows(tmp_path: Path) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig, rig.client(version=MQTT_5) as client:
        await client.publish("devices/plug-3/data", {"n": 1})
        shown = rig.listener.as_dict()
        assert shown["isInitialized"]
        assert (shown["connectedClients"], shown["authenticatedClients"]) == (1, 1)
        assert (shown["received"], shown["stored"], shown["unacknowledged"]) == (1, 1, 0)
        [one] = shown["clients"]
        assert (one["device"], one["protocol"], one["tls"]) == ("plug-3", "5", False)


async def test_a_socket_that_cannot_be_watched_ends_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ListenerRig(tmp_path, {"plug-3": {}}) as rig:
        with monkeypatch.context() as patched:
            patched.setattr(socket_watch, "select", NoDescriptors)
            client = rig.client()
            await client.open()
            await client.closed()
            await until(lambda: not rig.server._pending)
        async with rig.client() as other:
            assert other.connack.code == 0


class NoDescriptors:
    """The module `select` in a process that has as many files open as it may."""

    @staticmethod
    def epoll() -> None:
        raise OSError(errno.EMFILE, "Too many open files")


def in_frame(octets: bytes, opcode: int = 2) -> bytes:
    """A WebSocket frame of a client, masked with zeros."""
    assert len(octets) < 126
    return bytes((0x80 | opcode, 0x80 | len(octets), 0, 0, 0, 0)) + octets


async def test_what_comes_with_the_close_of_a_websocket_counts(tmp_path: Path) -> None:
    port = free_port()
    async with ListenerRig(tmp_path, {"plug-3": {"password": "twelve-octets"}}, ws=f"127.0.0.1:{port}") as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        connect = ConnectPacket(MQTT_3, "c", username="plug-3", password=b"twelve-octets")
        writer.write(in_frame(encode(connect, MQTT_3)))
        await until(lambda: rig.statuses["plug-3"]["status"] == "online")
        last = encode(PublishPacket("devices/plug-3/data", b'{"n": 1}'), MQTT_3) + encode(
            SignalPacket(DISCONNECT), MQTT_3
        )
        writer.write(in_frame(last) + in_frame(b"\x03\xe8", 8))
        await until(lambda: rig.statuses["plug-3"]["status"] == "offline")
        assert rig.statuses["plug-3"]["reason"] == "disconnected"
        writer.close()
        rig.store.writer.hurry()
        await until(lambda: rig.store.head)
        assert [reading["n"] for reading in await rig.readings()] == [1]


def test_a_websocket_gives_what_came_before_its_end() -> None:
    layer = WebSocketLayer(lambda origin, host: True, 1000)
    with pytest.raises(StreamOver):
        layer.feed(b"GET /elsewhere HTTP/1.1\r\n" + HANDSHAKE.partition(b"\r\n")[2])
    layer = WebSocketLayer(lambda origin, host: True, 1000)
    layer.feed(HANDSHAKE)
    assert layer.feed(in_frame(b"a")) == b"a"
    assert not layer.over
    assert layer.feed(in_frame(b"b") + in_frame(b"\x03\xe8", 8)) == b"b"
    assert layer.over
