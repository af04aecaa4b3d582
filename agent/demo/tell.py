"""A plugin of the demo's broker: each reading that it takes becomes a JSON line on standard output."""

from __future__ import annotations

import sys
from typing import Any

import orjson
from amqtt.plugins.base import BasePlugin


class Tell(BasePlugin[Any]):  # type: ignore[misc]  # amqtt is untyped
    async def on_broker_message_received(self, *, client_id: str, message: Any) -> None:
        if not message.topic.endswith("/data"):
            return
        reading = orjson.loads(message.data)
        told = {name: reading.get(name) for name in ("id", "device_id", "replayed")}
        sys.stdout.buffer.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
