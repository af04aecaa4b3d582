"""Payload formats: one file each, a stored record in, a message out, pure."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gatepost.agent.store.model import Record, Series

FORMATS = ("devices",)


class RenderedMessage(NamedTuple):
    """Rendered message, ready to publish; `properties` as an MQTT 5 property block, b"" for 3.1.1."""

    topic: bytes
    payload: bytes
    properties: bytes


class PayloadFormat(Protocol):
    """Payload format: record -> message. `wall` in microseconds; `clock` synchronised, rectified or unsynchronised."""

    def render(self, record: Record, series: Series, wall: int, clock: str, replayed: bool) -> RenderedMessage: ...
