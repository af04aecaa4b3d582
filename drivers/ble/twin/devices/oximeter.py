"""A simulated pulse oximeter: PLX Service 1.0, continuous values once a second and stored spot checks."""

from __future__ import annotations

from datetime import timedelta

from gatepost.drivers.ble.twin.devices.encode import date_time, sfloat, u16
from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.devices.records import RecordAccess, TwinRecord
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

# spot check
STAMP, SPOT_STATUS, SPOT_SENSOR, SPOT_PAI = 0x01, 0x02, 0x04, 0x08
# continuous
FAST, SLOW, STATUS, SENSOR, PAI = 0x01, 0x02, 0x04, 0x08, 0x10
ONGOING, VALIDATED, STORED, UNAVAILABLE = 1 << 5, 1 << 7, 1 << 9, 1 << 13
LOW_PERFUSION, UNCONNECTED = 1 << 5, 1 << 11


class PulseOximeterTwin(HealthTwin):
    """Now and then the finger is out for some seconds (`finger_losses`). `spot_check` stores one, and shows it to who
    listens."""

    kind = 0x22
    model = "Pulse Oximeter"

    def __init__(self, seed: int = 0, stored: int = 5, finger_losses: bool = True) -> None:
        self.records: list[TwinRecord] = []
        self.spo2, self.rate, self.perfusion = 97.0, 70.0, 3.0
        self._losses = finger_losses
        self._out = 0
        self._number = 0
        self._spot = TwinCharacteristic(0x2A5E, "indicate")
        self._continuous = TwinCharacteristic(0x2A5F, "notify")
        self.access = RecordAccess(self.records, (self._spot,))
        self.access.send = self.send
        features = TwinCharacteristic(0x2A60, "read", u16(0x007F) + u16(0x22A0) + (0x0820).to_bytes(3, "little"))
        service = TwinService(0x1822, [self._spot, self._continuous, features, self.access.point])
        super().__init__([service], seed)
        for age in range(stored, 0, -1):
            self._store(timedelta(hours=age))

    def spot_check(self) -> TwinRecord:
        record = self._store(timedelta(0))
        if not self.access.busy:
            self.send(self._spot, record.values[0][1])
        return record

    def _store(self, age: timedelta) -> TwinRecord:
        self._number += 1
        when = self.now() - age
        value = bytes([STAMP | SPOT_STATUS | SPOT_SENSOR | SPOT_PAI]) + self._pair() + date_time(when)
        value += u16(VALIDATED | STORED) + (0).to_bytes(3, "little") + sfloat(f"{self.perfusion:.1f}")
        record = TwinRecord(self._number, when, ((self._spot, value),))
        self.records.append(record)
        return record

    def _pair(self) -> bytes:
        return sfloat(f"{self.spo2:.0f}") + sfloat(f"{self.rate:.0f}")

    def on_disconnect(self) -> None:
        self.access.reset()

    def live(self) -> None:
        self.access.tick()
        if not self.every(1.0):
            return
        self.spo2 = self.wander(self.spo2, 0.4, 88, 100)
        self.rate = self.wander(self.rate, 1.5, 48, 140)
        self.perfusion = self.wander(self.perfusion, 0.2, 0.2, 9.9)
        if self._out:
            self._out -= 1
        elif self._losses and self.random.random() < 0.01:
            self._out = 3
        self.send(self._continuous, self._value())

    def _value(self) -> bytes:
        flags, status, sensor = STATUS | SENSOR | PAI, ONGOING | VALIDATED, 0
        if self._out:
            head, status, sensor = sfloat("nan") * 2, ONGOING | UNAVAILABLE, UNCONNECTED
            return bytes([STATUS | SENSOR]) + head + u16(status) + sensor.to_bytes(3, "little")
        pair = self._pair()
        if self.perfusion < 0.5:
            sensor |= LOW_PERFUSION
        head = pair
        if self.every(5.0):
            flags |= FAST | SLOW
            head += pair + pair
        return bytes([flags]) + head + u16(status) + sensor.to_bytes(3, "little") + sfloat(f"{self.perfusion:.1f}")
