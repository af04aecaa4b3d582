"""Procedures of the Record Access Control Point that ask for stored records (GATT Specification Supplement; Glucose
Profile 1.0, 5.5).

Answers come through the decoder: a Reply `racp` for the control point; a Reading or a Reply `record` for a record.
"""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum
from random import Random

from gatepost.drivers.asking import forget_answers
from gatepost.drivers.backoff import Backoff
from gatepost.drivers.ble.gatt import racp
from gatepost.drivers.ble.gatt.racp import ControlPoint, RacpOp
from gatepost.drivers.ble.peripheral import GattCharacteristic, GattError
from gatepost.drivers.ble.profile import Items
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.driver import DeviceIO
from gatepost.drivers.reading import Reading, Reply

ANSWER, RECORD = "racp", "record"
IN_PROGRESS, CCC_IMPROPER = 0x80, 0x81  # ATT errors of the service
NOT_COMPLETED = 8
ASK = 4.0  # seconds for a procedure whose answer is one value
QUIET = 20.0  # seconds between two records
ABORT = 2.0  # seconds
FAREWELL = 0.3  # seconds for an abort while the connection is being ended
FIRST_RETRY, LONGEST_RETRY = 0.5, 60.0  # seconds after `not completed`
TRIES = 5
MOST_RECORDS = 1 << 17  # twice as many as there are numbers


class RacpOutcome(Enum):
    """Outcome of a procedure."""

    DONE = "done"
    NONE = "none"  # the device has no such records
    REFUSED = "refused"  # it does not know the question


class RecordsFailed(TimeoutError):
    """Procedure that the device did not complete; the text says how."""


def answer(data: bytes) -> Items:
    """A value of the control point, for a profile's decoder; FrameError."""
    point = racp.decode(data)
    return [Reply(ANSWER, {name: getattr(point, name) for name in point.__struct_fields__})]


def record(**known: object) -> Reply:
    """A record that is not reported: it was stored before, or was only looked at."""
    return Reply(RECORD, dict(known))


class RacpProcedures:
    """Procedures on one control point, one at a time. Raises GattError, RecordsFailed, or what the link raises."""

    def __init__(self, session: ProfileSession, io: DeviceIO, control: GattCharacteristic) -> None:
        self._session = session
        self._io = io
        self._control = control
        self.seen: list[Reply] = []  # records of the last procedure that were only looked at; the newest ones

    async def count(self, request: bytes) -> int | None:
        """Number of records; None when the device does not tell."""
        try:
            response = await self._perform(request, ASK, None)
        except (GattError, RecordsFailed):
            return None  # not every device knows this question
        if response.op == RacpOp.COUNT_IS:
            return response.count
        return 0 if response.response_code == racp.NO_RECORDS else None

    async def report(self, request: bytes, total: int | None = None, quick: bool = False) -> RacpOutcome:
        """Records come while this waits. `quick`: there is one at most."""
        response = await self._perform(request, ASK if quick else QUIET, total)
        if response.response_code == racp.SUCCESS:
            return RacpOutcome.DONE
        if response.response_code == racp.NO_RECORDS:
            return RacpOutcome.NONE
        return RacpOutcome.REFUSED

    async def _perform(self, request: bytes, quiet: float, total: int | None) -> ControlPoint:
        backoff = Backoff(Random(), FIRST_RETRY, LONGEST_RETRY)  # noqa: S311  # spreads retries
        for left in reversed(range(TRIES)):
            try:
                response = await self._once(request, quiet, total)
                if response.response_code != NOT_COMPLETED:
                    return response
            except GattError as refused:
                if not left or refused.code not in (IN_PROGRESS, CCC_IMPROPER):
                    raise
                if refused.code == CCC_IMPROPER:
                    await self._session.subscribe(self._control)
                else:
                    await self.abort()
            if left:
                await asyncio.sleep(backoff.next())
        raise RecordsFailed("the device started to send its records several times and did not complete")

    async def _once(self, request: bytes, quiet: float, total: int | None) -> ControlPoint:
        await forget_answers(self._io)
        self.seen.clear()
        done = 0
        try:
            await self._session.write(self._control, request)
            while True:
                item = await self._io.wait(lambda item: _relevant(item, request[0]), quiet)
                if isinstance(item, ControlPoint):
                    return item
                done += 1
                if done > MOST_RECORDS:
                    await self.abort()
                    raise RecordsFailed("the device sends records without end")
                if isinstance(item, Reply):
                    self.seen = [*self.seen[-1:], item]
                if total is not None:
                    self._io.progress("records", done, total)
        except TimeoutError as silent:
            await self.abort()
            raise RecordsFailed("the device stopped answering while it sent its records") from silent
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await self._session.write(self._control, racp.ABORT, FAREWELL)
            raise

    async def abort(self) -> None:
        """End what the device is doing; it may have come to its end by itself."""
        with contextlib.suppress(GattError, TimeoutError):
            await self._session.write(self._control, racp.ABORT, ABORT)
            await self._io.wait(lambda item: _answer_to(item, RacpOp.ABORT), ABORT)


def _relevant(item: Reading | Reply, op: int) -> ControlPoint | Reading | Reply | None:
    if isinstance(item, Reading):
        return item if item.bookmark is not None else None  # a live value beside it is none of the records
    return item if item.kind == RECORD else _answer_to(item, op)


def _answer_to(item: Reading | Reply, op: int) -> ControlPoint | None:
    if not isinstance(item, Reply) or item.kind != ANSWER:
        return None
    point = ControlPoint(**item.fields)
    if point.op == RacpOp.RESPONSE:
        return point if point.request_op == op else None
    return point if op == RacpOp.COUNT and point.op == RacpOp.COUNT_IS else None
