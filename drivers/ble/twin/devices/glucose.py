"""A simulated glucose meter: Glucose Service 1.0.1 with contexts, read through its record access control point."""

from __future__ import annotations

from datetime import timedelta

from gatepost.drivers.ble.twin.devices.encode import date_time, sfloat, u16
from gatepost.drivers.ble.twin.devices.health import HealthTwin
from gatepost.drivers.ble.twin.devices.records import RecordAccess, TwinRecord
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinService

OFFSET, CONCENTRATION, MOLAR, STATUS, CONTEXT = 0x01, 0x02, 0x04, 0x08, 0x10
CAPILLARY_WHOLE, CONTROL_SOLUTION = 1, 10
FINGER, IN_CONTROL = 1, 4
ABOVE_RANGE = 1 << 5
MEMORY = 500


class GlucoseTwin(HealthTwin):
    """A memory of `stored` records; `every_seconds`: a drop of blood by itself, 0 = only by `measure`. It shows itself
    for `show_for` seconds after a measurement or a key; 0 = always."""

    kind = 0x08
    model = "Glucose Meter"

    def __init__(
        self, seed: int = 0, stored: int = 10, every_seconds: float = 60.0, show_for: float = 0.0, per_tick: int = 2
    ) -> None:
        self.records: list[TwinRecord] = []
        self.show_for = show_for
        self.sleeps = show_for > 0
        self.number = 0  # of the newest record
        self._every = every_seconds
        self._measurement = TwinCharacteristic(0x2A18, "notify")
        self._context = TwinCharacteristic(0x2A34, "notify")
        self.access = RecordAccess(self.records, (self._measurement, self._context), per_tick=per_tick)
        self.access.send = self.send
        feature = TwinCharacteristic(0x2A51, "read", u16(0x03FF))
        super().__init__([TwinService(0x1808, [self._measurement, self._context, feature, self.access.point])], seed)
        for age in range(stored, 0, -1):
            self._store(timedelta(hours=4 * age))
        if self.sleeps:
            self.wake(show_for)

    def measure(self) -> TwinRecord:
        """A drop of blood: one more record, and the meter shows itself."""
        record = self._store(timedelta(0))
        if self.sleeps:
            self.wake(self.show_for)
        return record

    def _store(self, age: timedelta) -> TwinRecord:
        self.number = self.number % 0xFFFF + 1
        number, when = self.number, self.now() - age
        flags, rest = CONCENTRATION, b""
        if number % 5 == 0:  # its clock was changed since: the base time stays, an offset says the rest
            flags, rest = flags | OFFSET, (60).to_bytes(2, "little", signed=True)
            base = when - timedelta(hours=1)
        else:
            base = when
        rest += self._concentration(number)
        if number % 4 == 0:
            flags |= MOLAR
        if number % 3 == 0:
            flags |= CONTEXT
        if number % 11 == 0:
            flags |= STATUS
            rest += u16(ABOVE_RANGE)
        value = bytes([flags]) + u16(number) + date_time(base) + rest
        values = [(self._measurement, value)]
        if flags & CONTEXT:
            values.append((self._context, self._circumstances(number)))
        record = TwinRecord(number, when, tuple(values))
        self.records.append(record)
        del self.records[:-MEMORY]
        return record

    def _concentration(self, number: int) -> bytes:
        """kg/L, mol/L each fourth time; a control solution each seventh; "above the range" each eleventh."""
        milligrams = self.random.randint(65, 240)  # in a decilitre
        where = CONTROL_SOLUTION | IN_CONTROL << 4 if number % 7 == 0 else CAPILLARY_WHOLE | FINGER << 4
        if number % 11 == 0:
            amount = sfloat("over")
        elif number % 4 == 0:
            amount = sfloat(f"{milligrams / 18.0156:.1f}e-3")
        else:
            amount = sfloat(f"{milligrams}e-5")
        return amount + bytes([where])

    def _circumstances(self, number: int) -> bytes:
        """A context: meal, carbohydrates, tester and health, exercise, medication."""
        meal, tester = 1 + number % 5, 1 | 5 << 4
        flags = 0x02 | 0x04
        fields = bytes((meal, tester))
        if number % 2 == 0:  # carbohydrates come before the meal: 45 g at breakfast
            flags |= 0x01
            fields = b"\x01" + sfloat("45e-3") + fields
        if number % 9 == 0:  # half an hour at 60 %; 4 mL of rapid insulin
            flags |= 0x08 | 0x10 | 0x20
            fields += u16(1800) + bytes([60]) + b"\x01" + sfloat("4e-3")
        return bytes([flags]) + u16(number) + fields

    def on_disconnect(self) -> None:
        self.access.reset()

    def live(self) -> None:
        if self._every and self.every(self._every):
            self.measure()
        self.access.tick()
