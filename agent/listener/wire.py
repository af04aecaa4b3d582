"""The octets of MQTT: packets cut out of a stream in any pieces, and the fields inside of them (sections 1.5, 2.1)."""

from __future__ import annotations

MALFORMED = 0x81
PROTOCOL_ERROR = 0x82
TOO_LARGE = 0x95


class PacketError(Exception):
    """What a peer may not send: the reason code of MQTT 5, and words without what was sent."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class StreamOver(Exception):
    """The octets of a connection have come to an end that its transport does not know of: a WebSocket was closed."""


class PacketSplitter:
    """Cuts a stream into packets: `feed` octets in any pieces, `next` until it gives None. `limit`: octets of the
    largest packet, header included."""

    __slots__ = ("_at", "_data", "_wanted", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._data = b""
        self._at = 0
        self._wanted = 2  # octets from `_at` on without which there is no packet

    @property
    def held(self) -> int:
        """Octets that wait for more, or to be taken."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def next(self) -> tuple[int, bytes] | None:
        """(first octet, body) of the next packet that is all there. Raises PacketError; after that it is of no use."""
        data, at = self._data, self._at
        left = len(data) - at
        if left < self._wanted:
            return None
        length, body = data[at + 1], at + 2
        if length > 0x7F:
            length &= 0x7F
            for shift in (7, 14, 21):
                if body >= len(data):
                    return None
                octet = data[body]
                body += 1
                length |= (octet & 0x7F) << shift
                if octet < 0x80:
                    break
            else:
                raise PacketError(MALFORMED, "a length of more than four octets")
        end = body + length
        if end - at > self.limit:
            raise PacketError(TOO_LARGE, f"a packet of {end - at} octets")
        if end > len(data):
            self._wanted = end - at
            return None
        self._at, self._wanted = end, 2
        return data[at], data[body:end]


class BodyReader:
    """The fields of one packet's body, in order; PacketError (malformed) where one is cut off."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise PacketError(MALFORMED, "a packet that is too short")
        taken, self._at = self._data[self._at : end], end
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        """Nothing may follow."""
        if not self.at_end:
            raise PacketError(MALFORMED, "extra octets after the end of a packet")

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def packet_id(self) -> int:
        """Of 16 bits, never 0."""
        ident = self.u16()
        if not ident:
            raise PacketError(PROTOCOL_ERROR, "packet id 0")
        return ident

    def varint(self) -> int:
        value = 0
        for shift in (0, 7, 14, 21):
            octet = self.u8()
            value |= (octet & 0x7F) << shift
            if octet < 0x80:
                return value
        raise PacketError(MALFORMED, "a number of more than four octets")

    def binary(self) -> bytes:
        return self.take(self.u16())

    def text(self) -> str:
        """UTF-8 without surrogates and U+0000."""
        try:
            found = self.binary().decode()
        except UnicodeDecodeError:
            raise PacketError(MALFORMED, "a text that is not UTF-8") from None
        if "\0" in found:
            raise PacketError(MALFORMED, "a text with U+0000")
        return found

    def pair(self) -> tuple[str, str]:
        return self.text(), self.text()
