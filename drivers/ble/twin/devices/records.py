"""A record access control point over a memory (Record Access Control Point, GATT Specification Supplement; Glucose
Profile 1.0.1, 4.3): all operators, counting, deleting, aborting, every refusal. One procedure at a time, some records
in each tick, so that it can be interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.devices.encode import read_date_time, u16
from gatepost.drivers.ble.twin.peripheral import CCC_IMPROPER, IN_PROGRESS, TwinCharacteristic

REPORT, DELETE, ABORT, COUNT, NUMBER, RESPONSE = range(1, 7)
ALL, UP_TO, FROM, RANGE, FIRST_RECORD, LAST = range(1, 7)
SUCCESS, NO_OP, BAD_OPERATOR, NO_OPERATOR, BAD_OPERAND, NO_RECORDS, NO_ABORT, INCOMPLETE, NO_OPERAND = range(1, 10)
BY_NUMBER, BY_TIME = 1, 2


class TwinRecord(NamedTuple):
    """One stored record: what it is found by, and the values that report it, in order."""

    number: int  # sequence number, or minutes for a CGM
    when: datetime
    values: tuple[tuple[TwinCharacteristic, bytes], ...]


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class RecordAccess:
    """The control point of a device. `records` is its memory, oldest first, shared with the device."""

    def __init__(
        self,
        records: list[TwinRecord],
        streams: tuple[TwinCharacteristic, ...],
        by_time: bool = True,
        per_tick: int = 2,
    ) -> None:
        self.records = records
        self.per_tick = per_tick
        self.deleted = 0  # records that a client had erased
        self.reported = 0
        self.fail_after: int | None = None  # so many records, then "procedure not completed"
        self.send: Callable[[TwinCharacteristic, bytes], bool] = lambda characteristic, data: False
        self.point = TwinCharacteristic(0x2A52, "write indicate", on_write=self._told)
        self._streams = streams
        self._filters = (BY_NUMBER, BY_TIME) if by_time else (BY_NUMBER,)
        self._running: int | None = None
        self._queue: list[TwinRecord] = []
        self._answer: bytes | None = None

    @property
    def busy(self) -> bool:
        return self._running is not None

    def reset(self) -> None:
        """The link is gone, and what went on with it."""
        self._running, self._queue, self._answer = None, [], None

    def tick(self) -> None:
        """Report some records, then indicate how it went."""
        if self._running == REPORT and self._queue:
            for record in self._queue[: self.per_tick]:
                if self.fail_after is not None and self.reported >= self.fail_after:
                    self._queue, self._answer = [], bytes((RESPONSE, 0, REPORT, INCOMPLETE))
                    break
                for characteristic, data in record.values:
                    self.send(characteristic, data)
                self.reported += 1
            self._queue = self._queue[self.per_tick :]
        if self._answer is not None and not self._queue:
            answer, self._answer, self._running = self._answer, None, None
            self.send(self.point, answer)

    def _told(self, data: bytes) -> None:
        op = data[0] if data else 0
        if not self.point.subscribed or (op == REPORT and not all(each.subscribed for each in self._streams)):
            raise GattError("subscribe first", CCC_IMPROPER)
        if op == ABORT:
            self._abort(data)
            return
        if self.busy:
            raise GattError("a procedure goes on", IN_PROGRESS)
        self._running = op
        try:
            self._begin(op, data)
        except _Refused as refused:
            self._answer = bytes((RESPONSE, 0, op, refused.code))

    def _abort(self, data: bytes) -> None:
        code = SUCCESS if self.busy and data[1:] == b"\0" else NO_ABORT if data[1:] == b"\0" else BAD_OPERATOR
        if code == SUCCESS:
            self._queue = []
        self._running, self._answer = ABORT, bytes((RESPONSE, 0, ABORT, code))

    def _begin(self, op: int, data: bytes) -> None:
        if op not in (REPORT, DELETE, COUNT):
            raise _Refused(NO_OP)
        chosen = self._chosen(data)
        if op == COUNT:
            self._answer = bytes((NUMBER, 0)) + u16(min(len(chosen), 0xFFFF))
            return
        if not chosen:
            raise _Refused(NO_RECORDS)
        if op == DELETE:
            self.records[:] = [record for record in self.records if record not in chosen]
            self.deleted += len(chosen)
        else:
            self._queue = chosen
        self._answer = bytes((RESPONSE, 0, op, SUCCESS))

    def _chosen(self, data: bytes) -> list[TwinRecord]:
        operator, operand = (data[1] if len(data) > 1 else 0), data[2:]
        if operator == 0:
            raise _Refused(BAD_OPERATOR)
        if operator > LAST:
            raise _Refused(NO_OPERATOR)
        if operator in (ALL, FIRST_RECORD, LAST):
            if operand:
                raise _Refused(BAD_OPERAND)
            return {ALL: self.records[:], FIRST_RECORD: self.records[:1], LAST: self.records[-1:]}[operator]
        if not operand or operand[0] not in self._filters:
            raise _Refused(NO_OPERAND)
        low, high = self._ends(operator, operand[0], operand[1:])
        key = _by_time if operand[0] == BY_TIME else _by_number
        return [
            record
            for record in self.records
            if (low is None or low <= key(record)) and (high is None or key(record) <= high)
        ]

    def _ends(self, operator: int, kind: int, operand: bytes) -> tuple[float | None, float | None]:
        width = 7 if kind == BY_TIME else 2
        if len(operand) != width * (2 if operator == RANGE else 1):
            raise _Refused(BAD_OPERAND)
        try:
            ends = [_end(kind, operand[at : at + width]) for at in range(0, len(operand), width)]
        except ValueError:
            raise _Refused(BAD_OPERAND) from None
        if ends[0] > ends[-1]:
            raise _Refused(BAD_OPERAND)
        return (None if operator == UP_TO else ends[0]), (None if operator == FROM else ends[-1])


def _end(kind: int, data: bytes) -> float:
    return read_date_time(data).timestamp() if kind == BY_TIME else int.from_bytes(data, "little")


def _by_number(record: TwinRecord) -> float:
    return record.number


def _by_time(record: TwinRecord) -> float:
    return record.when.timestamp()
