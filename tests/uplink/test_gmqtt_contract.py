"""Each private name of gmqtt that the uplink relies on.

When one of these fails after an update, look at wiring.py, connection.py and transport.py of agent/uplink.
"""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from gmqtt.client import Client, Message
from gmqtt.mqtt.connection import MQTTConnection
from gmqtt.mqtt.constants import MQTTCommands
from gmqtt.mqtt.protocol import BaseMQTTProtocol, MQTTProtocol
from gmqtt.subscription import Subscription

from gatepost.agent.uplink.mqtt.connection import ConnectOptions, LastWill
from gatepost.agent.uplink.mqtt.gmqtt_client import NoStorage, PassiveClient, make_client
from gatepost.agent.uplink.mqtt.transport import MqttStream


class Transport:
    """Remembers what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def wired(protocol: Any = "5", **options: Any) -> tuple[Any, Any, Transport]:
    """(client, gmqtt's connection, transport) as connection.py puts them together; packets go out unqueued."""
    client = make_client(ConnectOptions(client_id="c", protocol=protocol, **options), {})
    stream = MqttStream(1000)
    transport = Transport()
    sender = SimpleNamespace(queue=transport.write)
    stream.wire(SimpleNamespace(), sender, client._connection_state, client._package_handler.id_generator)  # type: ignore[arg-type]
    stream.connection_made(transport)  # type: ignore[arg-type]
    connection = MQTTConnection(transport, stream, True, 30, package_handler=client._package_handler)
    connection._keep_connection_callback.cancel()
    return client, connection, transport


def test_the_pinned_version() -> None:
    assert version("gmqtt") == "0.8.0"


def test_signatures() -> None:
    def names(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert names(Client.__init__)[1:] == [
        "client_id",
        "clean_session",
        "optimistic_acknowledgement",
        "will_message",
        "persistent_storage",
        "logger",
        "kwargs",
    ]
    assert names(Client.reconnect) == ["self", "delay"]
    assert names(Client.disconnect) == ["self", "reason_code", "properties"]
    assert names(MQTTConnection.__init__)[1:6] == [
        "transport",
        "protocol",
        "clean_session",
        "keepalive",
        "package_handler",
    ]
    assert names(MQTTConnection.auth) == ["self", "client_id", "username", "password", "will_message", "kwargs"]
    assert names(MQTTConnection.send_command_with_mid) == ["self", "cmd", "mid", "dup", "reason_code"]
    assert names(MQTTConnection.send_disconnect) == ["self", "reason_code", "properties"]
    assert names(MQTTConnection.subscribe) == ["self", "subscription", "kwargs"]
    assert names(MQTTConnection.unsubscribe) == ["self", "topic", "kwargs"]
    assert names(MQTTProtocol.write_data) == ["self", "data"]
    assert MQTTProtocol.__mro__[1] is BaseMQTTProtocol
    assert issubclass(MQTTProtocol, asyncio.Protocol)


def test_storage_has_every_method_that_gmqtt_calls() -> None:
    from gmqtt.storage import PersistentStorage

    public = {name for name in vars(PersistentStorage) if not name.startswith("_")}
    assert public == {name for name in vars(NoStorage) if not name.startswith("_")}


async def test_the_client_never_reconnects_or_disconnects() -> None:
    client = make_client(ConnectOptions(client_id="c"), {})
    assert isinstance(client, PassiveClient)
    client._is_active = True  # as after gmqtt's own connect(), which is not used
    handler = client._package_handler
    await asyncio.wait_for(handler._reconnect_callback(delay=True), 1)
    await handler._disconnect_callback()
    assert client._connection is None


async def test_hooks_are_called_by_packet_type() -> None:
    got: list[tuple[int, bytes]] = []
    client = make_client(
        ConnectOptions(client_id="c"), {MQTTCommands.PUBLISH: lambda command, body: got.append((command, body))}
    )
    client._package_handler._handle_packet(0x3B, b"body")
    assert got == [(0x3B, b"body")]
    with pytest.raises(ValueError, match="240"):
        client._package_handler._handle_packet(0xF0, b"")


async def test_the_protocol_is_made_before_its_connection_and_reads_nothing_itself() -> None:
    tasks = asyncio.all_tasks()
    _, connection, _ = wired()
    assert asyncio.all_tasks() == tasks
    assert connection._protocol._read_loop_future is None
    assert connection._protocol._connected.is_set()


async def test_connect_is_written_with_will_and_credentials() -> None:
    will = LastWill("w", b"gone", 1, True, "text/plain")
    client, connection, transport = wired(username="u", password="p", will=will)
    await connection.auth(
        "é".encode(),
        client._username,
        client._password,
        will_message=client._will_message,
        **client._connect_properties,
    )
    assert transport.data[0] == 0x10
    assert transport.data[2:12] == b"\0\x04MQTT\x05\xee\0\x1e"
    assert transport.data[1] == len(transport.data) - 2
    assert b"\0\x02\xc3\xa9" in transport.data
    assert b"\x03\0\x0atext/plain" in transport.data
    assert transport.data.endswith(b"\0\x01w\0\x04gone\0\x01u\0\x01p")


async def test_connack_is_learnt_and_starts_the_timer_again() -> None:
    client, connection, _ = wired()
    handler = client._package_handler
    before = connection._keep_connection_callback
    handler._handle_connack_packet(0x20, b"\x01\0\x06\x21\0\x09\x13\0\x05")
    assert handler._connack_properties == {"receive_maximum": [9], "server_keep_alive": [5]}
    assert handler.has_error is False
    assert handler.id_generator._max == 9
    assert connection.keepalive == 5
    assert connection._keep_connection_callback is not before
    connection._keep_connection_callback.cancel()
    await asyncio.sleep(0)  # its replay finds nothing


async def test_a_malformed_connack_is_an_error() -> None:
    client, _, _ = wired()
    handler = client._package_handler
    handler._handle_connack_packet(0x20, b"\0\0\x02\x7f\0")
    assert handler.has_error
    await asyncio.sleep(0)


async def test_properties_are_parsed() -> None:
    handler = wired()[0]._package_handler
    assert handler._parse_properties(b"\x07\x26\0\x01a\0\x01brest") == ({"user_property": [("a", "b")]}, b"rest")
    assert handler._parse_properties(b"\x01\x7e") == (None, None)
    assert wired("3.1.1")[0]._package_handler._parse_properties(b"rest") == ({}, b"rest")


@pytest.mark.parametrize(("protocol", "none"), [("5", b"\0"), ("3.1.1", b"")])
async def test_subscriptions_use_low_packet_ids_and_are_answered(protocol: str, none: bytes) -> None:
    client, connection, transport = wired(protocol)
    handler = client._package_handler
    handler.id_generator._max = 64
    got: list[tuple[int, tuple[int, ...]]] = []
    handler.on_subscribe = handler.on_unsubscribe = lambda mid, codes, properties=None: got.append((mid, codes))
    assert connection.subscribe([Subscription("é", qos=1)]) == 1
    assert transport.data == bytes((0x82, 7 + len(none))) + b"\0\x01" + none + b"\0\x02\xc3\xa9\x01"
    handler._handle_packet(0x90, b"\0\x01" + none + b"\x01")
    assert connection.unsubscribe(["é".encode()]) == 2
    handler._handle_packet(0xB0, b"\0\x02" + none + (b"\0" if none else b""))
    assert got == [(1, (1,)), (2, (0,) if none else ())]
    assert handler.id_generator._used_ids == set()
    used = [handler.id_generator.next_id() for _ in range(63)]
    assert max(used) == 63
    with pytest.raises(OverflowError):
        handler.id_generator.next_id()


async def test_small_packets() -> None:
    _, connection, transport = wired()
    connection._send_ping_request()
    connection.send_command_with_mid(MQTTCommands.PUBACK, 7, False, reason_code=0x87)
    connection.send_disconnect(reason_code=4)
    assert transport.data == b"\xc0\0" + b"\x40\x04\0\x07\x87\0" + b"\xe0\x02\x04\0"


def test_a_message_keeps_octets() -> None:
    message = Message("é", b"\xff", qos=1, retain=True, content_type="t")
    assert (message.topic, message.payload, message.properties) == (b"\xc3\xa9", b"\xff", {"content_type": "t"})
