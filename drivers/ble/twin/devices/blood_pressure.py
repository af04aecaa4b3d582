"""A simulated cuff: Blood Pressure Service 1.1.1. It sleeps, shows itself after a measurement, hands over what it has
stored, and hangs up; its clock is set by the Date Time in its service, as with A&D."""

from __future__ import annotations

from datetime import timedelta

from gatepost.drivers.ble.twin.devices.encode import date_time, sfloat, u16
from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

KPA, STAMP, PULSE, USER, STATUS = 0x01, 0x02, 0x04, 0x08, 0x10
MOVED, LOOSE, IRREGULAR = 0x01, 0x02, 0x04
MEMORY = 60
INFLATING = 20  # ticks


class BloodPressureTwin(HealthTwin):
    """Simulated cuff. `every_seconds`: how often somebody takes a measurement by themselves, 0 = only by `measure`.
    `forgets`: a handed-over record is not sent again; otherwise the whole memory is sent at each connection."""

    kind = 0x10
    model = "Blood Pressure"
    sleeps = True

    def __init__(
        self, seed: int = 0, stored: int = 3, every_seconds: float = 60.0, forgets: bool = True, show_for: float = 10.0
    ) -> None:
        self.memory: list[bytes] = []
        self.forgets = forgets
        self.show_for = show_for
        self.taken = 0
        self._every = every_seconds
        self._queue: list[bytes] = []
        self._quiet = 0
        self._inflating = 0
        self._measurement = TwinCharacteristic(0x2A35, "indicate", on_subscribe=self._listened)
        self._cuff = TwinCharacteristic(0x2A36, "notify")
        feature = TwinCharacteristic(0x2A49, "read", u16(0x0017))
        service = TwinService(0x1810, [self._measurement, self._cuff, feature, self.clock_characteristic()])
        super().__init__([service], seed)
        for age in range(stored, 0, -1):
            self._store(timedelta(hours=age))
        if stored:
            self.wake(show_for)

    def measure(self, **special: str) -> bytes:
        """Somebody takes a measurement; the cuff shows itself. `special` replaces pressures, for example
        `systolic="nan"`. The stored value is given back."""
        value = self._store(timedelta(0), **special)
        if self.connected:
            self._queue.append(value)
        else:
            self.wake(self.show_for)
        return value

    def _store(self, age: timedelta, **special: str) -> bytes:
        chance = self.random
        self.taken += 1
        diastolic = chance.randint(62, 92)
        systolic = diastolic + chance.randint(32, 58)
        pressures = {"systolic": systolic, "diastolic": diastolic, "mean": round((systolic + 2 * diastolic) / 3)}
        status = IRREGULAR if chance.random() < 0.1 else MOVED if chance.random() < 0.1 else 0
        unit, shown = 0, {name: str(pressure) for name, pressure in pressures.items()}
        if self.taken % 10 == 0:  # this cuff can be switched to kPa
            unit, shown = KPA, {name: f"{pressure / 7.50062:.1f}" for name, pressure in pressures.items()}
        shown.update(special)
        value = bytes([unit | STAMP | PULSE | USER | STATUS]) + b"".join(map(sfloat, shown.values()))
        value += date_time(self.now() - age) + sfloat(str(chance.randint(55, 95))) + b"\x01" + u16(status)
        self.memory = [*self.memory, value][-MEMORY:]
        return value

    def _listened(self, on: bool) -> None:
        self._queue = list(self.memory) if on else []
        self._quiet = 0

    def on_disconnect(self) -> None:
        self._queue.clear()
        self._inflating = 0

    def live(self) -> None:
        if self._every and self.every(self._every):
            self._inflating = INFLATING
        if self._inflating:
            self._inflate()
        if not self._measurement.subscribed or not self.every(0.2):
            return
        if self._queue:
            self._hand_over(self._queue.pop(0))
        elif not self._inflating:
            self._quiet += 1
            if self._quiet >= 10:
                self.hang_up()

    def _inflate(self) -> None:
        self._inflating -= 1
        pressure = 180 * (INFLATING - self._inflating) // INFLATING
        self.send(self._cuff, b"\x00" + sfloat(pressure) + sfloat("nan") * 2)
        if not self._inflating:
            self.measure()

    def _hand_over(self, value: bytes) -> None:
        self._quiet = 0
        if self.send(self._measurement, value) and self.forgets and value in self.memory:
            self.memory.remove(value)
