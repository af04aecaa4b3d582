"""A plugin of the demo's broker: each reading that it takes becomes a JSON line on standard output."""

from __future__ import annotations

import sys
from typing import Any

import orjson
from amqtt.mqtt.publish import PublishPacket
from amqtt.plugins.base import BasePlugin


class MqttTap(BasePlugin[Any]):  # type: ignore[misc]  # amqtt is untyped
    # At the packet, before it is acknowledged: told later, a broker that ends in between would have taken a reading
    # that the agent never sends again, and nobody would have counted it.
    async def on_mqtt_packet_received(self, *, packet: Any, session: Any = None) -> None:
        if not isinstance(packet, PublishPacket) or not (packet.topic_name or "").endswith("/data"):
            return
        reading = orjson.loads(packet.data or b"{}")
        told = {name: reading.get(name) for name in ("id", "device_id", "replayed")}
        sys.stdout.buffer.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
