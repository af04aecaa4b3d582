"""Batches: several readings in one message, bounded by number, octets and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from gatepost.agent.core.errors import SettingsWrong
from gatepost.agent.core.views import PAYLOAD_SCHEMA
from gatepost.agent.settings.model import BatchSettings
from gatepost.agent.uplink.devices_format import CONTENT_TYPE, DevicesFormat
from gatepost.agent.uplink.mqtt.codec import encode_properties
from gatepost.agent.uplink.wire_message import RoutedRecord, WireMessage

OVERHEAD = 400  # octets of a reading beside its body, estimated


class BatchEncoder:
    """Batches of one broker. Format `devices` is joined here; other formats join their readings themselves."""

    def __init__(self, settings: BatchSettings, octets: int, gateway: str, topic: str, mqtt5: bool) -> None:
        self.readings = settings.readings
        self.delay = settings.delay
        self.octets = octets
        self._compress = compressor(settings.compress)
        self._head = b'{"gateway_id":%b,"schema":%d,"readings":[' % (orjson.dumps(gateway), PAYLOAD_SCHEMA)
        self._topic = topic.encode()
        kind = CONTENT_TYPE if settings.compress == "none" else f"{CONTENT_TYPE}+{settings.compress}"
        self._properties = encode_properties(kind, [("schema", str(PAYLOAD_SCHEMA))]) if mqtt5 else b""

    def count(self, sizes: Sequence[int], maximum_packet_size: int | None) -> int:
        """How many of the next records fit into one batch; at least one. `sizes` of their bodies."""
        limit = self.octets if maximum_packet_size is None else min(self.octets, maximum_packet_size)
        total = 0
        for number, size in enumerate(sizes[: self.readings]):
            total += size + OVERHEAD
            if total > limit:
                return max(1, number)
        return max(1, min(len(sizes), self.readings))

    def wire(self, fast: DevicesFormat, some: Sequence[RoutedRecord], qos: int) -> WireMessage:
        """One message of format `devices` with all of them."""
        bodies = [fast.render(one.record, one.series, one.wall, one.clock, one.replayed)[1] for one in some]
        payload = self._compress(self._head + b",".join(bodies) + b"]}")
        return WireMessage(self._topic, payload, qos, False, self._properties)


def compressor(name: str) -> Callable[[bytes], bytes]:
    """SettingsWrong when the library for it is not installed."""
    if name == "gzip":
        import gzip  # 0.2 MiB

        return lambda octets: gzip.compress(octets, 6, mtime=0)
    if name == "zstd":
        try:
            import zstandard
        except ImportError:
            hint = "install gatepost[zstd], or write compress: gzip"
            raise SettingsWrong("compress: zstd needs the package zstandard", hint) from None
        encoder: Any = zstandard.ZstdCompressor(level=3)
        return lambda octets: bytes(encoder.compress(octets))
    return lambda octets: octets
