"""Record Access Control Point (2A52): asking a device for the records that it has stored.

Op code, operator, operand (GATT Specification Supplement). Omron meters add a question of their own for the newest
sequence number (0x10, 0x11). The op code that deletes records is here for decoders and twins; drivers list it in
`forbidden` and never send it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor, octets
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.checksums import FrameError


class RacpOp(IntEnum):
    """Op code of the control point."""

    REPORT = 1
    DELETE = 2
    ABORT = 3
    COUNT = 4
    COUNT_IS = 5
    RESPONSE = 6
    REPORT_AND_COUNT = 7
    REPORTED = 8
    NEWEST = 0x10  # Omron
    NEWEST_IS = 0x11  # Omron


class RacpOperator(IntEnum):
    """Operator of a request."""

    NULL = 0
    ALL = 1
    LE = 2
    GE = 3
    RANGE = 4
    FIRST = 5
    LAST = 6


class RacpFilter(IntEnum):
    """Filter type of an operand."""

    SEQUENCE = 1  # in the CGM service: minutes since the start of the session
    TIME = 2  # the time that the user sees


SUCCESS, NO_RECORDS = 1, 6
RESPONSES = {
    1: "success",
    2: "op-code-not-supported",
    3: "invalid-operator",
    4: "operator-not-supported",
    5: "invalid-operand",
    6: "no-records-found",
    7: "abort-unsuccessful",
    8: "procedure-not-completed",
    9: "operand-not-supported",
    10: "server-busy",
}
OPERANDS = {RacpOperator.LE: 1, RacpOperator.GE: 1, RacpOperator.RANGE: 2}
ABOUT_RECORDS = (RacpOp.REPORT, RacpOp.DELETE, RacpOp.COUNT, RacpOp.REPORT_AND_COUNT)
Bound = int | DateTime


class ControlPoint(msgspec.Struct, frozen=True, gc=False):
    """Value of a control point, request or answer: an answer has `count`, `sequence`, or `request_op` and
    `response_code`."""

    op: int
    operator: int
    request_op: int | None = None
    response_code: int | None = None
    count: int | None = None
    sequence: int | None = None
    filter_type: int | None = None
    bounds: tuple[Bound, ...] = ()

    @property
    def text(self) -> str:
        """The response in a word."""
        return RESPONSES.get(self.response_code or 0, "unknown")


def decode(data: bytes) -> ControlPoint:
    """FrameError truncated, bad_operator, bad_size, or unsupported for an op code or filter type that is not known."""
    cursor = ValueCursor(data)
    op, operator = cursor.u8(), cursor.u8()
    if op not in RacpOp._value2member_map_:
        raise FrameError("unsupported")
    if (op in ABOUT_RECORDS) != (operator in range(1, 7)) or operator > RacpOperator.LAST:
        raise FrameError("bad_operator")
    if op == RacpOp.RESPONSE:
        return ControlPoint(op, operator, cursor.u8(), cursor.u8())
    if op in (RacpOp.COUNT_IS, RacpOp.REPORTED):
        if cursor.left not in (0, 1, 2, 4):
            raise FrameError("bad_size")
        return ControlPoint(op, operator, count=cursor.uint(cursor.left or 1))
    if op == RacpOp.NEWEST_IS:
        return ControlPoint(op, operator, sequence=cursor.u16())
    bounds = OPERANDS.get(RacpOperator(operator), 0)
    if not bounds:
        return ControlPoint(op, operator)
    by = cursor.u8()
    if by not in RacpFilter._value2member_map_:
        raise FrameError("unsupported")
    operands = tuple(cursor.u16() if by == RacpFilter.SEQUENCE else cursor.date_time() for _ in range(bounds))
    return ControlPoint(op, operator, filter_type=by, bounds=operands)


def encode(
    op: RacpOp,
    operator: RacpOperator = RacpOperator.NULL,
    bounds: Sequence[Bound] = (),
    by: RacpFilter = RacpFilter.SEQUENCE,
) -> bytes:
    """A request; ValueError when operator and bounds do not fit it."""
    if (op in ABOUT_RECORDS) == (operator is RacpOperator.NULL):
        raise ValueError(f"{op.name} does not go with the operator {operator.name}")
    if len(bounds) != OPERANDS.get(operator, 0):
        raise ValueError(f"{operator.name} takes {OPERANDS.get(operator, 0)} bounds")
    out = bytes((op, operator))
    if bounds:
        out += bytes((by,))
    for bound in bounds:
        if isinstance(bound, DateTime) != (by is RacpFilter.TIME):
            raise ValueError("a time is a filter of its own")
        out += bound.encode() if isinstance(bound, DateTime) else octets(bound, 2)
    return out


REPORT_ALL = encode(RacpOp.REPORT, RacpOperator.ALL)
REPORT_LAST = encode(RacpOp.REPORT, RacpOperator.LAST)
COUNT_ALL = encode(RacpOp.COUNT, RacpOperator.ALL)
ABORT = encode(RacpOp.ABORT)
