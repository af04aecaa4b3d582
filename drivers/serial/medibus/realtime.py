"""Realtime octets of MEDIBUS (80 and more), which come also in the middle of frames: a sync octet Dx says which
channels follow, then two octets each, 10dddddd, the low six bits first."""

from __future__ import annotations

from collections.abc import Iterable

from gatepost.drivers.serial.medibus.frames import RealtimeChannel

MAX_CHANNELS = 4
BROKEN = -1
ENABLE = bytes((0xD0, 0xC1, 0xC3, 0xC0, 0xC0))  # the first two channels that were chosen
SLOW = bytes(range(0x80))
FAST = bytes(range(0x80, 0x100))


def split(data: bytes) -> tuple[bytes, bytes]:
    """The octets of frames, and the realtime octets among them."""
    return data.translate(None, FAST), data.translate(None, SLOW)


class RealtimeDecoder:
    """`feed` -> (channel, raw value), channels by their position in the order chosen; BROKEN where one was cut off."""

    def __init__(self) -> None:
        self._due: list[int] = []  # channels whose values follow
        self._low: int | None = None  # six bits of a value whose second octet follows

    def feed(self, octets: Iterable[int]) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for octet in octets:
            if octet >= 0xC0 and self._due:
                found.append((BROKEN, 0))
                self._due, self._low = [], None
            if octet >= 0xD0:
                if octet <= 0xDF:
                    self._due = [channel for channel in range(MAX_CHANNELS) if octet >> channel & 1]
            elif octet < 0xC0 and self._due:  # from there on commands, and the phases of a breath
                if self._low is None:
                    self._low = octet & 0x3F
                else:
                    found.append((self._due.pop(0), self._low | (octet & 0x3F) << 6))
                    self._low = None
        return found


def value_of(channel: RealtimeChannel, raw: int) -> float:
    return channel.minimum + raw * (channel.maximum - channel.minimum) / channel.max_bin
