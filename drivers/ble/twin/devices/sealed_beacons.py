"""Simulated broadcasters whose payloads may be encrypted: Xiaomi MiBeacon, Victron instant readout."""

from __future__ import annotations

import struct

from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.twin.devices.beacons import BeaconTwin


class MiBeaconTwin(BeaconTwin):
    """Xiaomi LYWSD03MMC: temperature and humidity in turn; encrypted where there is a `key`."""

    kind = 0xEB
    model = "LYWSD03MMC"

    def __init__(self, seed: int = 0, key: bytes | None = None) -> None:
        super().__init__(seed)
        self.cipher = AdvertCipher(key) if key else None

    def advertisement(self) -> ReceivedAdvert:
        warm = self.counter % 2
        kind, number = (0x1004, round(self.temperature * 10)) if warm else (0x1006, round(self.humidity * 10))
        body = struct.pack("<HBh", kind, 2, number)
        counter, own = self.counter & 0xFF, self.octets[::-1]
        head = struct.pack("<HHB", 0x5850 if self.cipher is None else 0x5858, 0x055B, counter)
        if self.cipher is None:
            return self.service(0xFE95, head + own + body)
        extended = (self.counter >> 8).to_bytes(3, "little")
        sealed = self.cipher.seal(own + head[2:5] + extended, body, b"\x11")
        return self.service(0xFE95, head + own + sealed[:-4] + extended + sealed[-4:])


class VictronTwin(BeaconTwin):
    """Victron battery monitor (SmartShunt), always encrypted; the key is all zeros where none is given."""

    kind = 0xEC
    model = "SmartShunt"

    def __init__(self, seed: int = 0, key: bytes | None = None) -> None:
        super().__init__(seed)
        self.key = key or bytes(16)
        self.cipher = AdvertCipher(self.key)

    def advertisement(self) -> ReceivedAdvert:
        volts, milliamperes = round(1200 + self.temperature), -round(self.humidity * 100)
        whole, at = 0, 0
        fields = ((600, 16), (volts, 16), (0, 16), (0, 16), (3, 2), (milliamperes, 22), (125, 20), (875, 10))
        for number, bits in fields:
            whole |= (number & (1 << bits) - 1) << at
            at += bits
        counter = self.counter & 0xFFFF
        body = self.cipher.counter_mode(counter, whole.to_bytes(15, "little"))
        head = struct.pack("<BBHBH", 0x10, 0x02, 0xA389, 0x02, counter)
        return self.maker(0x02E1, head + self.key[:1] + body)
