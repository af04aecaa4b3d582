"""Glucose service (1808), and the driver `ble-glucose`."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.gatt import glucose, glucose_context
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import HELD, GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.commands import READ_STORED, SYNC_TIME
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.stored_records.numbered_records import NumberedRecords, SentRecord, fetch
from gatepost.drivers.ble.stored_records.racp_procedure import RacpProcedures, answer, record
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import DeviceIO
from gatepost.drivers.reading import FROM_MEMORY

MEASUREMENT, CONTEXT, CONTROL = uuid(0x2A18), uuid(0x2A34), uuid(0x2A52)


class _Pending(NamedTuple):
    """A measurement whose context has not come yet."""

    measurement: glucose.GlucoseMeasurement
    mark: tuple[str, Any]
    stored: bool


class GlucoseProfile(GattProfile):
    """Glucose profile. A measurement whose context follows waits for it until the next value, or until it has waited
    long enough; its mark goes with it."""

    service = uuid(0x1808)
    title = "glucose meter"
    holds = True
    stores = True
    driver = "ble-glucose"
    streams = (MEASUREMENT, CONTEXT, CONTROL)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._mark = memory.mark("glucose")
        self.ledger = NumberedRecords(memory.bookmarks.get(self._mark))
        self._pending: _Pending | None = None
        self._passed: int | None = None  # the number of a measurement that is not reported: neither is its context

    def decode(self, value: GattValue) -> Items:
        if value.uuid == CONTEXT:
            return self._context(glucose_context.decode(value.data))
        if value.uuid == CONTROL:
            items = answer(value.data)
            return [*self.flush(), *items]
        measurement = glucose.decode(value.data)
        return [*self.flush(), *self._measured(measurement)]

    def _measured(self, measurement: glucose.GlucoseMeasurement) -> Items:
        stamp = SentRecord(measurement.sequence, ",".join(map(str, measurement.base_time)))
        if self.ledger.probing:
            self._passed = measurement.sequence
            return [record(number=stamp.number, stamp=stamp.stamp)]
        stored = self.ledger.stores(stamp)
        if not self.ledger.take(stamp):
            self._passed = measurement.sequence
            return [record(number=stamp.number, stamp=stamp.stamp)]
        self._fetched += 1
        self._pending = _Pending(measurement, (self._mark, self.ledger.mark()), stored)
        return [HELD] if measurement.context_follows else self.flush()

    def _context(self, context: glucose_context.GlucoseContext) -> Items:
        pending = self._pending
        if pending is not None and pending.measurement.sequence == context.sequence:
            return self._give(context)
        if context.sequence != self._passed:
            self.memory.faults.add("context-without-measurement", "a context came without its measurement")
        return []

    def flush(self) -> Items:
        return self._give(None)

    def _give(self, context: glucose_context.GlucoseContext | None) -> Items:
        pending, self._pending = self._pending, None
        if pending is None:
            return []
        reading = glucose_context.reading(pending.measurement, context, pending.mark)
        if pending.stored:
            reading.flags = (*reading.flags, FROM_MEMORY)
        return [reading]

    async def begin(self, session: ProfileSession) -> None:
        if self.memory.options.records and session.find(CONTROL, self.service) is not None:
            await self.read_stored(session, session.io, False)
            self._done = True
        self.ledger.caught_up = True

    async def read_stored(self, session: ProfileSession, io: DeviceIO, everything: bool) -> dict[str, Any]:
        control = self.control_point(session, CONTROL)
        async with session.asking:
            self._fetched = 0
            await fetch(self.ledger, RacpProcedures(session, io, control), everything)
        return {"records": self._fetched}


class BleGlucose(BleDriver):
    """Blood glucose meters: what is new in their memory, and then they are left alone."""

    name = "ble-glucose"
    title = "Blood glucose meters (Bluetooth glucose profile)"
    metrics = ("glucose",)
    services = (GlucoseProfile.service,)
    streams = False
    keeps_records = True
    options_type = RecordOptions
    example_options: ClassVar[dict[str, Any]] = {"pair": "always", "passkey": "123456"}
    commands: ClassVar = (READ_STORED, SYNC_TIME)
    source = "Bluetooth SIG: Glucose Service 1.0, Glucose Profile 1.0, GATT Specification Supplement"
