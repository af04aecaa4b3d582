"""Simulated Omron devices: a memory that is read by frames over one channel or four; the seed, or `model`, picks one.
Whatever would write to the memory is counted and refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

TAIL = "-0002a5d5c51b"
NOTIFY = ("49123040-aee8-11e1-a74d", "4d0bf320-aee8-11e1-a0d9", "5128ce60-aee8-11e1-b84b", "560f1420-aee8-11e1-8184")
WRITE = ("db5b55e0-aee7-11e1-965e", "e0b8a060-aee7-11e1-92f4", "0ae12b00-aee8-11e1-a192", "10e1ba60-aee8-11e1-89e5")


class TwinLayout(NamedTuple):
    """Layout of a simulated model. `clock`: octets behind the settings; `lock`: "key", "token" or nothing."""

    channels: int
    settings: int
    clock: int
    rings: tuple[int, ...]
    slots: int
    size: int
    lock: str = ""
    packed: bool = False


MODELS = {
    "HEM-7143T1": TwinLayout(1, 0x260, 0x2C, (0x2E8,), 30, 14),
    "HEM-7380T1": TwinLayout(1, 0x010, 0x2C, (0x1C4, 0x804), 100, 16, "token"),
    "HEM-7322T": TwinLayout(4, 0x260, 0x14, (0x2AC, 0x824), 100, 14, "key", packed=True),
    "HEM-7155T": TwinLayout(4, 0x010, 0x2C, (0x098, 0x458), 60, 16, "key"),
}
MEMORY = 0x2000


class OmronTwin(HealthTwin):
    """Simulated cuff. `key`: the one that it was given, None = none yet. `pairing`: it shows -P-."""

    kind = 0x4F
    model = "HEM"
    sleeps = True

    def __init__(self, seed: int = 0, model: str = "", stored: int = 3, key: bytes | None = None) -> None:
        self.model = model or tuple(MODELS)[seed % 2]
        self.layout = layout = MODELS[self.model]
        self.memory = bytearray(b"\xff" * MEMORY)
        self.memory[layout.settings : layout.settings + 8] = b"\x80\x00" * 4
        self.key, self.pairing_mode = key, False
        self.unlocked = self.opened = False
        self.written = 0  # requests that would have changed the memory
        self.read_octets = 0
        self.taken = [0] * len(layout.rings)
        self.deaf = 0  # requests that it does not answer
        self._programming = False
        self._notify = [TwinCharacteristic(each + TAIL, "notify") for each in NOTIFY[: layout.channels]]
        writes = [
            TwinCharacteristic(each + TAIL, "write", on_write=self._asked if not place else self._more)
            for place, each in enumerate(WRITE[: layout.channels])
        ]
        self._lock = TwinCharacteristic("b305b680-aee7-11e1-a730" + TAIL, "write notify", on_write=self._told)
        service = 0xFE4A if layout.channels == 1 else "ecbe3980-c9a2-11e1-b1bd" + TAIL
        super().__init__([TwinService(service, [*self._notify, *writes, self._lock])], seed)
        self.name = f"BLESmart_0000{seed:04x}{self.address.replace(':', '')}"
        for age in range(stored, 0, -1):
            for user in range(len(layout.rings)):
                self.measure(user, timedelta(hours=age, minutes=user))

    def measure(self, user: int = 0, age: timedelta = timedelta(0)) -> bytes:
        """Somebody takes a measurement; the cuff shows itself for a minute."""
        chance = self.random
        diastolic = chance.randint(62, 92)
        systolic, pulse = diastolic + chance.randint(32, 58), chance.randint(55, 95)
        when = self.now() - age
        record = self._encode(systolic, diastolic, pulse, when, chance.random() < 0.1)
        layout = self.layout
        slot = self.taken[user] % layout.slots
        at = layout.rings[user] + slot * layout.size
        self.memory[at : at + layout.size] = record
        self.taken[user] += 1
        cursor = layout.settings + 2 * user
        pair = bytes((0, (slot + 1) % layout.slots))
        self.memory[cursor : cursor + 2] = pair if layout.packed else pair[::-1]
        self.wake(60)
        return bytes(record)

    def _encode(self, systolic: int, diastolic: int, pulse: int, when: datetime, irregular: bool) -> bytes:
        if self.layout.packed:
            word = irregular << 30 | when.month << 26 | when.day << 21 | when.hour << 16
            word |= when.minute << 6 | when.second
            head = bytes((diastolic, systolic - 25, when.year - 2000, pulse)) + word.to_bytes(4, "big")
        else:
            day = when.hour | when.day << 5 | when.month << 10 | irregular << 14
            second = when.second | when.minute << 6 | 1 << 12
            head = bytes((systolic - 25, diastolic, pulse, when.year - 2000))
            head += day.to_bytes(2, "little") + second.to_bytes(2, "little")
        return head + bytes(self.layout.size - len(head))

    def _show_clock(self) -> None:
        now, at = self.now(), self.layout.settings + self.layout.clock
        fields = (now.year - 2000, now.month, now.day, now.hour, now.minute, now.second)
        if self.layout.clock == 0x2C:
            block = bytes.fromhex("c6a4010000000000") + bytes(fields)
        else:
            year, month, day, hour, minute, second = fields
            block = bytes((0x76, 0x05, month, year, hour, day, second, minute, 0))
        self.memory[at : at + len(block) + 1] = block + bytes((sum(block) & 0xFF,))

    # -- what it is told

    def on_connect(self) -> None:
        self.unlocked, self.opened, self._programming = self.layout.lock == "", False, False

    def _told(self, data: bytes) -> None:
        code, rest = data[0], data[1:]
        answer = b""
        if code == 0x11 and self.layout.lock == "token":
            self.unlocked, answer = True, b"\x91\x00" + rest[:4]
        elif code == 0x01 and self.layout.lock == "key":
            self.unlocked = self.key is not None and rest == self.key
            answer = b"\x81\x00" if self.unlocked else b"\x81\x01"
        elif code == 0x02 and self.pairing_mode:
            self._programming, answer = True, b"\x82\x00"
        elif code == 0x00 and self._programming:
            self.key, self._programming, answer = rest, False, b"\x80\x00"
        if answer:
            self.send(self._lock, answer)

    def _more(self, data: bytes) -> None:
        self.written += 1

    def _asked(self, data: bytes) -> None:
        parity = 0
        for octet in data:
            parity ^= octet
        if self.deaf:
            self.deaf -= 1
            return
        if len(data) < 8 or parity or data[0] != len(data):
            return
        kind = data[1:3]
        if kind == b"\x01\xc0":
            self.written += 1
        refused = not self.unlocked or (kind == b"\x01\x00" and not self.opened)
        if refused or kind not in (b"\0\0", b"\x01\0", b"\x0f\0"):
            self._answer(b"\x8f\x00\0\0\0", 1)
        elif kind == b"\0\0":
            self.opened = True
            self._answer(b"\x80\0\0\0\x10", 0)
        elif kind == b"\x0f\0":
            self.opened = False
            self._answer(b"\x8f\0\0\0\0", 0)
        else:
            self._show_clock()
            address, size = int.from_bytes(data[3:5], "big"), data[5]
            self.read_octets += size
            self._answer(b"\x81\0" + data[3:5] + bytes((size,)) + self.memory[address : address + size], 0)

    def _answer(self, body: bytes, status: int) -> None:
        frame = bytes((len(body) + 3,)) + body + bytes((status,))
        parity = 0
        for octet in frame:
            parity ^= octet
        frame += bytes((parity,))
        if self.layout.channels == 1:
            self.send(self._notify[0], frame)
            return
        pieces = [frame[at : at + 16] for at in range(0, len(frame), 16)]
        for channel in reversed(range(len(pieces))):  # in any order
            self.send(self._notify[channel], pieces[channel])
