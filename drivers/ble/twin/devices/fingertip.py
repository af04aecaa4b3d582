"""Simulated fingertip oximeters of five makers: the seed, or `dialect`, picks one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService
from gatepost.drivers.checksums import crc8_maxim

SILENT_AFTER = 60.0  # seconds, a Contec that nobody keeps awake
DIALECTS: dict[str, tuple[int | str, int | str, int | str | None]] = {  # name -> service, notify, write
    "pc60fw": ("6e400001-b5a3-f393-e0a9-e50e24dcca9e", "6e400003-b5a3-f393-e0a9-e50e24dcca9e", None),
    "fs20f": (0xFFE0, 0xFFE4, None),
    "jumper": ("cdeacb80-5235-4c07-8846-93a37ee6b86d", "cdeacb81-5235-4c07-8846-93a37ee6b86d", None),
    "contec-ble": (0xFF12, 0xFF02, 0xFF01),
    "bci": ("49535343-fe7d-4ae5-8fa9-9fafd205e455", "49535343-1e4d-4bd9-ba61-23c647249616", None),
}


class FingertipTwin(HealthTwin):
    """Simulated oximeter; a finger is in it but for a few seconds after it was connected."""

    kind = 0x4C
    model = "Fingertip"

    def __init__(self, seed: int = 0, dialect: str = "") -> None:
        self.dialect = dialect or tuple(DIALECTS)[seed % len(DIALECTS)]
        self.spo2, self.rate = 97.0, 68.0
        self.awake_until = 0.0
        self.running = self.dialect != "contec-ble"
        self._since = 0.0
        service, notify, write = DIALECTS[self.dialect]
        self._data = TwinCharacteristic(notify, "notify")
        control = [TwinCharacteristic(write, "write", on_write=self._told)] if write is not None else []
        super().__init__([TwinService(service, [self._data, *control])], seed)

    def _told(self, data: bytes) -> None:
        self.running = data != b"\x9b\x7f\x1a"
        self.awake_until = self._since + SILENT_AFTER

    def on_connect(self) -> None:
        self._since = 0.0
        self.running = self.dialect != "contec-ble"

    def live(self) -> None:
        if not self.connected:
            return
        self._since += self.interval
        if not self.running or (self.dialect == "contec-ble" and self._since > self.awake_until):
            return
        self.spo2 = self.wander(self.spo2, 0.05, 90, 100)
        self.rate = self.wander(self.rate, 0.2, 48, 130)
        makers: dict[str, Callable[[int, int], Iterator[bytes]]] = {
            "pc60fw": self._pc60fw,
            "fs20f": self._fs20f,
            "jumper": self._jumper,
            "contec-ble": self._contec,
            "bci": self._bci,
        }
        there = self._since > 3.0
        if self.dialect == "bci" or self.every(1.0):
            for frame in makers[self.dialect](round(self.spo2) if there else 0, round(self.rate) if there else 0):
                self.send(self._data, frame)

    def _pc60fw(self, spo2: int, rate: int) -> Iterator[bytes]:
        frame = bytes((0xAA, 0x55, 0x0F, 0x08, 0x01, spo2, rate & 0xFF, rate >> 8, 42, 0, 0xC0))
        yield frame + bytes((crc8_maxim(frame),))

    def _fs20f(self, spo2: int, rate: int) -> Iterator[bytes]:
        rate, spo2 = rate or 511, spo2 or 127
        frame = bytes((0x0A, 0x55, rate >> 8, rate & 0xFF, spo2, 0x10, 0x68, self._ticks & 0xFF))
        whole = b"\xfe" + frame + bytes((sum(frame) & 0xFF,))
        yield whole[:7]  # as it comes over the air: cut anywhere
        yield whole[7:]

    def _jumper(self, spo2: int, rate: int) -> Iterator[bytes]:
        yield bytes((0x81, rate or 0xFF, spo2 or 0x7F, 42))

    def _contec(self, spo2: int, rate: int) -> Iterator[bytes]:
        frame = bytes((0xEB, 0x01, 0x04, rate or 0xFF, spo2 or 0x7F, 0x7F, 0x00))
        yield frame + bytes((sum(frame) & 0x7F,))

    def _bci(self, spo2: int, rate: int) -> Iterator[bytes]:
        rate = rate or 0xFF
        bar = 0x05 | (0 if spo2 else 0x10) | (0x40 if rate & 0x80 else 0)
        frame = bytes((0x85, 0x31, bar, rate & 0x7F, spo2 or 0x7F))
        yield frame * round(100 * self.interval)
