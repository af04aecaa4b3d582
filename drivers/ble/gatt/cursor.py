"""Reading the fields of a value one after the other: little-endian, as everything of the Bluetooth SIG is."""

from __future__ import annotations

from gatepost.drivers.ble.gatt.medfloat import Number, decode_float, decode_sfloat
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.checksums import FrameError


class ValueCursor:
    """Cursor that takes fields from the front of a value; FrameError truncated when one is not there whole."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise FrameError("truncated")
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        return self.take(self.left)

    def uint(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "little")

    def sint(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "little", signed=True)

    def u8(self) -> int:
        return self.uint(1)

    def u16(self) -> int:
        return self.uint(2)

    def sfloat(self) -> Number:
        return decode_sfloat(self.uint(2))

    def float32(self) -> Number:
        return decode_float(self.uint(4))

    def date_time(self) -> DateTime:
        return DateTime(self.uint(2), *self.take(5))


def octets(number: int, count: int) -> bytes:
    """Little-endian; ValueError when it does not fit."""
    try:
        return number.to_bytes(count, "little")
    except OverflowError:
        raise ValueError(f"{number} does not fit into {count} octets") from None
