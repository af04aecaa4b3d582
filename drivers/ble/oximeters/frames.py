"""Frames of fingertip oximeters: five dialects, each found in a stream of octets; sans-I/O (no published specification
but BerryMed's "BCI protocol"; captures of others).

`pc60fw`: AA 55, token, size (with its CRC), type, data, CRC-8/MAXIM. `fs20f`: FE, length, type, data, counter, sum.
`jumper`: 81 or 80, a frame for each notification. `contec-ble`: EB, type, data, sum & 7F. `bci`: five octets, bit 7 in
the first only, a hundred times a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from gatepost.drivers.checksums import FrameError, crc8_maxim, sum8

Fields = dict[str, Any]

VALUES, WAVE = "values", "wave"
BEAT = 0x80
FS20F_STARTS = (b"\xfe\x0a\x55", b"\xfe\x08\x56")


class OximeterFrames:
    """Frames in a stream of octets. `feed` -> what each says; what is damaged is told to `on_fault`, and the next frame
    is looked for. At most LONGEST octets are held."""

    LONGEST: ClassVar[int] = 300
    name: ClassVar[str]

    def __init__(self, on_fault: Callable[[FrameError], None]) -> None:
        self._on_fault = on_fault
        self._held = b""

    def feed(self, data: bytes) -> list[Fields]:
        self._held += data
        out: list[Fields] = []
        while self._held:
            size = self.size(self._held)
            if size < 0:
                self._held = self._held[1:]
            elif size == 0 or size > len(self._held):
                if len(self._held) > self.LONGEST:
                    self._held = self._held[1:]
                    continue
                return out
            else:
                self._take(size, out)
        return out

    def _take(self, size: int, out: list[Fields]) -> None:
        try:
            out.append(self.decode(self._held[:size]))
        except FrameError as wrong:
            self._on_fault(wrong)
            self._held = self._held[1:]
            return
        self._held = self._held[size:]

    @staticmethod
    def size(held: bytes) -> int:
        """Octets of the frame that begins here; 0 = not known yet, -1 = none does."""
        raise NotImplementedError

    @staticmethod
    def decode(frame: bytes) -> Fields:
        """FrameError."""
        raise NotImplementedError


class Pc60fwFrames(OximeterFrames):
    """Viatom PC-60FW, OxySmart."""

    name = "pc60fw"

    @staticmethod
    def size(held: bytes) -> int:
        if held[0] != 0xAA or held[1:2] not in (b"\x55", b""):
            return -1
        return 4 + held[3] if len(held) > 3 else 0

    @staticmethod
    def decode(frame: bytes) -> Fields:
        if len(frame) < 6:
            raise FrameError("truncated")
        if crc8_maxim(frame[:-1]) != frame[-1]:
            raise FrameError("bad_crc")
        token, kind, data = frame[2], frame[4], frame[5:-1]
        if token == 0x0F and kind == 0x01 and len(data) >= 4:
            rate = int.from_bytes(data[1:3], "little")
            return {"kind": VALUES, "spo2": data[0], "heart_rate": rate, "perfusion_index": data[3] / 10}
        if token == 0x0F and kind == 0x02:
            beats = [index for index, sample in enumerate(data) if sample & BEAT]
            return {"kind": WAVE, "pleth": [sample & ~BEAT for sample in data], "beats": beats}
        return {"kind": "other"}


class Fs20fFrames(OximeterFrames):
    """Wellue FS20F ("VTM 20F"), Yuwell. The sum of some counts the first octet, of some it does not: it refuses
    nothing by itself. A frame in which another begins lost its end."""

    name = "fs20f"

    @staticmethod
    def size(held: bytes) -> int:
        if held[0] != 0xFE:
            return -1
        if len(held) < 3:
            return 0
        return {(0x0A, 0x55): 10, (0x08, 0x56): 8}.get((held[1], held[2]), -1)

    @staticmethod
    def decode(frame: bytes) -> Fields:
        sound = sum8(frame[1:-1]) == frame[-1]
        if not sound and any(start in frame[1:] for start in FS20F_STARTS):
            raise FrameError("truncated")
        end = {"counter": frame[-2], "checksum_ok": sound}
        if frame[2] == 0x56:
            return {"kind": WAVE, "pleth": frame[3], "no_finger": bool(frame[4] & 0x02), **end}
        rate, perfusion = int.from_bytes(frame[3:5]), int.from_bytes(frame[6:8])
        return {
            "kind": VALUES,
            "heart_rate": None if rate in (0, 511) else rate,
            "spo2": None if frame[5] in (0, 127) else frame[5],
            "perfusion_index": perfusion / 1000 if perfusion else None,
            **end,
        }


class JumperFrames(OximeterFrames):
    """Jumper JPD-500F and others that call themselves "My Oximeter": a notification is a frame."""

    name = "jumper"

    def feed(self, data: bytes) -> list[Fields]:
        try:
            return [self.decode(data)]
        except FrameError as wrong:
            self._on_fault(wrong)
            return []

    @staticmethod
    def size(held: bytes) -> int:
        return len(held)

    @staticmethod
    def decode(frame: bytes) -> Fields:
        if frame[:1] == b"\x80":
            return {"kind": WAVE, "pleth": list(frame[1:])}
        if frame[:1] != b"\x81":
            raise FrameError("unsupported")
        if len(frame) < 4:
            raise FrameError("truncated")
        rate, spo2, perfusion = frame[1:4]
        return {
            "kind": VALUES,
            "heart_rate": None if rate == 0xFF else rate,
            "spo2": None if spo2 == 0x7F else spo2,
            "perfusion_index": perfusion / 10 if perfusion else None,
        }


class ContecFrames(OximeterFrames):
    """Contec CMS50D-BT, EMAY SleepO2."""

    name = "contec-ble"

    @staticmethod
    def size(held: bytes) -> int:
        if held[0] != 0xEB:
            return -1
        return {b"\x01": 8, b"\x00": 6, b"": 0}.get(held[1:2], -1)

    @staticmethod
    def decode(frame: bytes) -> Fields:
        if sum8(frame[:-1]) & 0x7F != frame[-1]:
            raise FrameError("bad_checksum")
        if frame[1] == 0x00:
            return {"kind": WAVE, "pleth": frame[3]}
        missing = (0x00, 0x7F, 0xFF)
        return {
            "kind": VALUES,
            "status": frame[2],
            "heart_rate": None if frame[3] in missing else frame[3],
            "spo2": None if frame[4] in missing else frame[4],
        }


class BciFrames(OximeterFrames):
    """BerryMed BM1000."""

    name = "bci"

    @staticmethod
    def size(held: bytes) -> int:
        if not held[0] & 0x80:
            return -1
        return -1 if any(octet & 0x80 for octet in held[1:5]) else 5

    @staticmethod
    def decode(frame: bytes) -> Fields:
        head, pleth, bar, low, spo2 = frame
        rate = low | (0x80 if bar & 0x40 else 0)
        return {
            "signal_strength": head & 0x0F,
            "no_signal": bool(head & 0x10),
            "probe_unplugged": bool(head & 0x20),
            "beep": bool(head & 0x40),
            "pleth": pleth,
            "bar": bar & 0x0F,
            "no_finger": bool(bar & 0x10),
            "searching": bool(bar & 0x20),
            "heart_rate": None if rate == 0xFF else rate,
            "spo2": None if spo2 == 0x7F else spo2,
        }


DIALECTS: tuple[type[OximeterFrames], ...] = (Pc60fwFrames, Fs20fFrames, JumperFrames, ContecFrames, BciFrames)


def contec_request(command: str, channel: int = 0) -> bytes:
    """`start` (channel 0 the curve, 1 the values), `stop`, `keep-alive` or `battery`; KeyError."""
    words = {"start": (0x9B, channel), "stop": (0x9B, 0x7F), "keep-alive": (0x9A,), "battery": (0x86,)}[command]
    return bytes((*words, sum(words) & 0x7F))
