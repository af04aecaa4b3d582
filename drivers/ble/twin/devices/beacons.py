"""Simulated broadcasters, which only ever advertise: BTHome v2, Ruuvi, ATC and pvvx, Govee, Mi scales, iBeacon,
Eddystone. Each payload follows its format's public description."""

from __future__ import annotations

import struct

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.twin.devices.encode import date_time
from gatepost.drivers.ble.twin.devices.health import address
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral
from gatepost.drivers.ble.uuids import uuid


class BeaconTwin(TwinPeripheral):
    """A thermometer that broadcasts. Its values move each second; a counter tells new from repeated."""

    interval = 1.0
    advert_interval = 0.5
    connectable = False
    kind = 0xE0
    model = "Beacon"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(f"{self.model} {seed:04X}", address(self.kind, seed), (), seed)
        self.temperature, self.humidity, self.pressure = 21.5, 48.0, 101325.0
        self.millivolts, self.battery, self.counter = 2950, 87, 0

    @property
    def octets(self) -> bytes:
        return bytes.fromhex(self.address.replace(":", ""))

    def tick(self) -> None:
        self.counter += 1
        self.temperature += self.random.uniform(-0.1, 0.1)
        self.humidity = min(99.0, max(5.0, self.humidity + self.random.uniform(-0.5, 0.5)))
        self.pressure += self.random.uniform(-5, 5)

    def service(self, number: int, data: bytes) -> ReceivedAdvert:
        return ReceivedAdvert(self.address, self.name, self.rssi, {uuid(number): data}, {}, (uuid(number),))

    def maker(self, company: int, data: bytes) -> ReceivedAdvert:
        return ReceivedAdvert(self.address, self.name, self.rssi, {}, {company: data})


class BTHomeTwin(BeaconTwin):
    """BTHome v2: packet id, battery, temperature, humidity, voltage; encrypted where there is a `key`."""

    kind = 0xE1
    model = "BTHome"

    def __init__(self, seed: int = 0, key: bytes | None = None) -> None:
        super().__init__(seed)
        self.key = key

    def advertisement(self) -> ReceivedAdvert:
        fields = bytes((0x00, self.counter & 0xFF, 0x01, self.battery, 0x02)) + struct.pack(
            "<h", round(self.temperature * 100)
        )
        fields += b"\x03" + struct.pack("<H", round(self.humidity * 100)) + b"\x0c" + struct.pack("<H", self.millivolts)
        if self.key is None:
            return self.service(0xFCD2, b"\x40" + fields)
        from cryptography.hazmat.primitives.ciphers.aead import AESCCM

        count = struct.pack("<I", self.counter)
        sealed = AESCCM(self.key, tag_length=4).encrypt(self.octets + b"\xd2\xfc\x41" + count, fields, None)
        return self.service(0xFCD2, b"\x41" + sealed[:-4] + count + sealed[-4:])


class RuuviTwin(BeaconTwin):
    """RuuviTag, data format 5."""

    kind = 0xE2
    model = "Ruuvi"

    def advertisement(self) -> ReceivedAdvert:
        power = (self.millivolts - 1600) << 5 | (4 + 40) // 2
        body = struct.pack(
            ">BhHHhhhHBH",
            5,
            round(self.temperature / 0.005),
            round(self.humidity / 0.0025),
            round(self.pressure) - 50000,
            *(4, -4, 1036),
            power,
            self.counter // 20 % 255,
            self.counter % 0xFFFF,
        )
        return self.maker(0x0499, body + self.octets)


class AtcTwin(BeaconTwin):
    """ATC1441 firmware of a Mijia thermometer."""

    kind = 0xE3
    model = "ATC"

    def advertisement(self) -> ReceivedAdvert:
        body = struct.pack(
            ">hBBHB",
            round(self.temperature * 10),
            round(self.humidity),
            self.battery,
            self.millivolts,
            self.counter & 0xFF,
        )
        return self.service(0x181A, self.octets + body)


class PvvxTwin(BeaconTwin):
    """pvvx firmware of a Mijia thermometer, its own format."""

    kind = 0xE4
    model = "PVVX"

    def advertisement(self) -> ReceivedAdvert:
        body = struct.pack(
            "<hHHBBB",
            round(self.temperature * 100),
            round(self.humidity * 100),
            self.millivolts,
            self.battery,
            self.counter & 0xFF,
            0x0F,
        )
        return self.service(0x181A, self.octets[::-1] + body)


class GoveeTwin(BeaconTwin):
    """Govee H5075."""

    kind = 0xE5
    model = "GVH5075"

    def advertisement(self) -> ReceivedAdvert:
        size = round(abs(self.temperature) * 10) * 1000 + round(self.humidity * 10)
        packed = size | (0x800000 if self.temperature < 0 else 0)
        return self.maker(0xEC88, b"\0" + packed.to_bytes(3, "big") + bytes((self.battery, 0)))


class MiScaleTwin(BeaconTwin):
    """Mi Smart Scale: somebody steps on it now and then; frames are unstable first, then stable, then "removed"."""

    kind = 0xE6
    model = "MI_SCALE"

    def __init__(self, seed: int = 0, every: int = 20) -> None:
        self.kilograms = 70.0
        self.ohms = 500
        self._every = every
        self._stage = 3
        super().__init__(seed)
        self.stamp = date_time(self.clock())

    def tick(self) -> None:
        super().tick()
        if self.counter % self._every == 1:
            self._stage = 0
            self.kilograms = round(self.random.uniform(55, 95), 1)
            self.ohms = self.random.randint(420, 560)
            self.stamp = date_time(self.clock())
        elif self._stage < 3 and self.counter % 3 == 0:
            self._stage += 1

    @property
    def _stable(self) -> bool:
        return self._stage >= 1

    @property
    def _removed(self) -> bool:
        return self._stage >= 3

    def advertisement(self) -> ReceivedAdvert:
        flags = (0x20 if self._stable else 0) | (0x80 if self._removed else 0)
        return self.service(0x181D, bytes([flags]) + struct.pack("<H", round(self.kilograms * 200)) + self.stamp)


class MiBodyScaleTwin(MiScaleTwin):
    """Mi Body Composition Scale: impedance comes with the stable weight."""

    kind = 0xE7
    model = "MIBFS"

    def advertisement(self) -> ReceivedAdvert:
        known = self._stage >= 2
        flags = (0x02 if known else 0) | (0x20 if self._stable else 0) | (0x80 if self._removed else 0)
        body = bytes((0x02, flags)) + self.stamp
        return self.service(0x181B, body + struct.pack("<HH", self.ohms if known else 0, round(self.kilograms * 200)))


class IBeaconTwin(BeaconTwin):
    """iBeacon; its minor number is the seed."""

    kind = 0xE8
    model = "iBeacon"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.minor = seed & 0xFFFF

    def advertisement(self) -> ReceivedAdvert:
        proximity = bytes.fromhex("f7826da64fa24e988024bc5b71e0893e")
        return self.maker(0x004C, b"\x02\x15" + proximity + struct.pack(">HHb", 1, self.minor, -59))


class EddystoneTwin(BeaconTwin):
    """Eddystone, unencrypted telemetry."""

    kind = 0xE9
    model = "Eddystone"

    def advertisement(self) -> ReceivedAdvert:
        hot = round(self.temperature * 256)
        body = struct.pack(">BBHhII", 0x20, 0, self.millivolts, hot, self.counter * 2, self.counter * 10)
        return self.service(0xFEAA, body)
