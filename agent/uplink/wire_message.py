"""Wire message: what is published, and the routed record that it is made from."""

from __future__ import annotations

import msgspec

from gatepost.agent.settings.model import RouteRule
from gatepost.agent.store.model import Record, Series


class WireMessage(msgspec.Struct, gc=False):
    """A message ready to publish; `properties` as an MQTT 5 property block, b"" for 3.1.1."""

    topic: bytes
    payload: bytes
    qos: int
    retain: bool
    properties: bytes


class RoutedRecord(msgspec.Struct, gc=False):
    """A record with what is known of it; `rule` None = it is not for this broker."""

    record: Record
    series: Series
    wall: int
    clock: str
    replayed: bool
    rule: RouteRule | None
