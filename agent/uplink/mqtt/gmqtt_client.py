"""gmqtt, reduced to what is used of it: CONNECT, CONNACK, SUBSCRIBE, SUBACK, DISCONNECT, properties.

Its storage, replay and reconnect lose data (a session that is gone clears everything in flight) and are switched off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gmqtt.client import Client, Message
from gmqtt.mqtt.constants import MQTTCommands

from gatepost.agent.core.errors import ConnectFailed
from gatepost.agent.uplink.mqtt.codec import check_topic
from gatepost.agent.uplink.mqtt.connect_options import ConnectOptions, LastWill

TEXT_LIMIT = 200  # of a reason string that a broker sends
Hook = Callable[[int, bytes], None]


class NoStorage:
    """No storage, in the place of gmqtt's: nothing is replayed or cleared by itself."""

    is_empty = True

    def push_message(self, mid: int, raw: bytes) -> None: ...

    def remove_message_by_mid(self, mid: int) -> None: ...

    async def wait_empty(self) -> None: ...

    def clear(self) -> None: ...

    def get_all(self) -> list[tuple[int, bytes]]:
        return []


class PassiveClient(Client):  # type: ignore[misc]
    """Passive client of gmqtt: it never reconnects or disconnects by itself."""

    async def reconnect(self, delay: bool = False) -> None: ...

    async def disconnect(self, reason_code: int = 0, **properties: Any) -> None: ...


def make_client(options: ConnectOptions, hooks: dict[MQTTCommands, Hook]) -> Any:
    """A client whose handler calls `hooks` instead of gmqtt's own handlers. Raises ConnectFailed `settings`."""
    logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # what it would warn of is ConnectionLost or ConnectFailed
    version = 5 if options.protocol == "5" else 4
    properties: dict[str, Any] = {}
    if version == 5:
        properties["receive_maximum"] = options.inbound_maximum
        properties["maximum_packet_size"] = options.inbound_size
        if options.session_expiry:
            properties["session_expiry_interval"] = options.session_expiry
    if not 0 <= options.keepalive <= 0xFFFF:
        raise ConnectFailed("settings", "keepalive is 0 to 65535 seconds", retry="later")
    client = PassiveClient(
        options.client_id or "-",  # CONNECT gets the real one; an empty one would be made up here
        clean_session=options.clean_start,
        will_message=None if options.will is None else _will(options.will),
        persistent_storage=NoStorage(),
        logger=logging.getLogger("gmqtt"),
        **properties,
    )
    client._connection_state.protocol_version = version
    if options.username is not None or options.password is not None:
        client.set_auth_credentials(options.username or "", options.password)
    client._package_handler._handler_cache.update(hooks)
    return client


def _will(will: LastWill) -> Any:
    problem = check_topic(will.topic)
    if problem is not None:
        raise ConnectFailed("settings", f"last will: {problem}", "check the topics of this broker", "later")
    extra = {"content_type": will.content_type} if will.content_type else {}
    return Message(will.topic, will.payload, qos=will.qos, retain=will.retain, **extra)


def first_values(properties: dict[str, list[Any]] | None) -> dict[str, Any]:
    """gmqtt's parsed properties, one value each; texts cut to TEXT_LIMIT characters."""
    return {
        name: values[0][:TEXT_LIMIT] if isinstance(values[0], str) else values[0]
        for name, values in (properties or {}).items()
        if values
    }
