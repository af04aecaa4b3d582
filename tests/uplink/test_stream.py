"""Stream of a connection: acknowledgements are the same however they are cut into chunks."""

from __future__ import annotations

from typing import Any

import pytest

from gatepost.agent.uplink.mqtt.publisher import FIRST_ID, MqttPublisher
from gatepost.agent.uplink.mqtt.transport import MqttStream

PLAIN = [b"\x40\x02" + (FIRST_ID + at).to_bytes(2, "big") for at in range(6)]
CODED = b"\x40\x03" + (FIRST_ID + 6).to_bytes(2, "big") + b"\x10"
REFUSED = b"\x40\x04" + (FIRST_ID + 7).to_bytes(2, "big") + b"\x97\x00"
AGAIN = PLAIN[0]  # of a message that is not in flight any more
PINGRESP = b"\xd0\x00"
SENT = b"".join([*PLAIN[:3], CODED, AGAIN, *PLAIN[3:5], PINGRESP, REFUSED, PLAIN[5]])
ACKS = [(0, 0), (1, 0), (2, 0), (6, 0x10), (3, 0), (4, 0), (7, 0x97), (5, 0)]


class Owner:
    """Of the stream."""

    def __init__(self) -> None:
        self.packets: list[int] = []

    def received(self, command: int, body: bytes) -> None:
        self.packets.append(command)

    def oversized(self, command: int, head: bytes) -> None:
        pytest.fail("too large")

    def broken(self, code: int, message: str) -> None:
        pytest.fail(message)

    def ended(self, problem: Exception | None) -> None: ...


class Transport:
    """That takes everything."""

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> None: ...

    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


def stream_with(messages: int) -> tuple[MqttStream, Owner, list[tuple[int, int]]]:
    acks: list[tuple[int, int]] = []
    stream, owner = MqttStream(1000), Owner()
    publisher = MqttPublisher(stream, 5, acks.extend, lambda: 1.0, "test")
    publisher.is_open = True
    anything: Any = None
    stream.wire(owner, publisher, anything, anything)
    stream.connection_made(Transport())  # type: ignore[arg-type]
    stream.data_received(b"\x20\x03\x00\x00\x00")  # CONNACK
    for tag in range(messages):
        publisher.publish(b"t", b"", 1, False, b"", tag)
    return stream, owner, acks


@pytest.mark.parametrize("cut", range(1, len(SENT)))
async def test_acknowledgements_in_two_chunks(cut: int) -> None:
    stream, owner, acks = stream_with(8)
    stream.data_received(SENT[:cut])
    stream.data_received(SENT[cut:])
    assert acks == ACKS
    assert owner.packets == [0x20, 0xD0]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
async def test_acknowledgements_in_many_chunks(size: int) -> None:
    stream, owner, acks = stream_with(8)
    for at in range(0, len(SENT), size):
        stream.data_received(SENT[at : at + size])
    assert acks == ACKS
    assert owner.packets == [0x20, 0xD0]
