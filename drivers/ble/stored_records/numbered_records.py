"""Numbered records of one device: which of them are new, the bookmark of each, and how to ask for the rest.

A record is known by its number and by a stamp that does not change (glucose: its base time; CGM: the start of its
session). The newest record that was taken must still be there under its stamp; when it is not, the memory was cleared
or the numbers began anew, and everything is asked for.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from gatepost.drivers.ble.gatt import racp
from gatepost.drivers.ble.gatt.racp import RacpOp, RacpOperator
from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.stored_records.bookmarks import RecordDownload, TakenNumbers
from gatepost.drivers.ble.stored_records.racp_procedure import RacpOutcome, RacpProcedures

NUMBER_SPAN = 1 << 16  # numbers have sixteen bits and begin again
REFUSED = RacpOutcome.REFUSED
MOST_GAPS = 4  # that are asked for one by one
MOST_STAMPS = 32  # stamps that are kept, those of the highest numbers: more than anybody deletes on a device by hand


class SentRecord(NamedTuple):
    """Record as the device sent it."""

    number: int  # as it was sent
    stamp: str


class NumberedRecords:
    """Numbered records of a device. `take` says whether a record is to be reported; `mark` is then the value of its
    mark.

    `wraps`: numbers have sixteen bits and begin again at 0; else they only rise.
    """

    def __init__(self, mark: Any = None, wraps: bool = True) -> None:
        known = mark if isinstance(mark, dict) else {}
        self.taken = TakenNumbers.load(known)
        self._stamps: dict[int, str] = {}
        stamps = known.get("stamps")
        if isinstance(stamps, dict):
            numbered = {int(number): stamp for number, stamp in stamps.items() if number.lstrip("-").isdecimal()}
            self._stamps = {number: stamp for number, stamp in numbered.items() if isinstance(stamp, str)}
        self.probing = False  # records are only looked at
        self.horizon: int | None = None  # the newest number when a download began; those beyond it come live
        self.caught_up = False  # nothing older is still to be asked for
        self.step: int | None = None  # the smallest distance of two numbers that followed each other
        self._previous: int | None = None
        self._wraps = wraps
        self._download: RecordDownload | None = None
        self._reference = self.taken.newest

    @property
    def empty(self) -> bool:
        return self.taken.newest < 0

    def mark(self) -> dict[str, Any]:
        return {**self.taken.dump(), "stamps": {str(number): self._stamps[number] for number in sorted(self._stamps)}}

    def number(self, sent: int) -> int:
        """The number without the wrap: the nearest one to those that were taken before."""
        reference = self._reference
        if reference < 0 or not self._wraps:
            return sent
        ahead = (sent - reference) % NUMBER_SPAN
        return reference + (ahead if ahead < NUMBER_SPAN // 2 else ahead - NUMBER_SPAN)

    def knows(self, record: SentRecord) -> bool:
        """True if this very record was taken, and is one of the newest."""
        return self._stamps.get(self.number(record.number)) == _digest(record.stamp)

    def restart(self) -> None:
        """The device began anew: nothing of what it has now was taken."""
        self.taken = TakenNumbers()
        self._stamps.clear()
        self._reference = -1

    def begin(self, expected: int | None, first: int | None = None, last: int | None = None) -> None:
        self._reference = self.taken.newest
        self._download = RecordDownload(self.taken, expected, first, last)

    def end(self, whole: bool) -> None:
        if whole and self._download is not None:
            self._download.whole()
        self._download = None
        self._reference = self.taken.newest

    def take(self, record: SentRecord) -> bool:
        """True if it is new; it is taken from now on."""
        if self._download is None:
            self._reference = self.taken.newest
        number = self.number(record.number)
        if self._previous is not None and number > self._previous:
            self.step = min(self.step or NUMBER_SPAN, number - self._previous)
        self._previous = number
        if self.stores(record):
            assert self._download is not None
            return self._download.new(number) and self._stamped(number, record.stamp)
        if number in self.taken:
            return False
        follows = self.step is not None and number - self.taken.newest <= self.step
        self.taken.fill(self.taken.newest + 1 if self.caught_up and follows else number, number)
        return self._stamped(number, record.stamp)

    def pass_over(self) -> None:
        """Give up records missing before the newest."""
        self.taken.settle()

    def stores(self, record: SentRecord) -> bool:
        """True if it is one of those that were asked for, and not one that the device took just now."""
        if self._download is None:
            return False
        return self.horizon is None or self.number(record.number) <= self.horizon

    def _stamped(self, number: int, stamp: str) -> bool:
        """False when it came live a moment ago."""
        digest = _digest(stamp)
        if self._stamps.get(number) == digest:
            return False
        self._stamps[number] = digest
        if len(self._stamps) > MOST_STAMPS:
            del self._stamps[min(self._stamps)]
        return True


def _digest(stamp: str) -> str:
    return hashlib.blake2b(stamp.encode(), digest_size=4).hexdigest()


async def fetch(ledger: NumberedRecords, ask: RacpProcedures, everything: bool = False) -> None:
    """Ask for what is not taken yet; `everything`: ask for all, and take of it what is new.

    Raises what Procedures raises.
    """
    ledger.horizon = None
    newest = await _look(ledger, ask, racp.REPORT_LAST)
    if newest is RacpOutcome.NONE:
        return  # its memory is empty
    if isinstance(newest, SentRecord):
        if not ledger.empty and await _began_anew(ledger, ask, newest):
            ledger.restart()
        ledger.horizon = ledger.number(newest.number)
        if not everything and ledger.horizon <= ledger.taken.to:
            return
    if not (ledger.empty or everything):
        wrapped = isinstance(newest, SentRecord) and newest.number <= ledger.taken.to % NUMBER_SPAN
        if await _rest(ledger, ask) is not RacpOutcome.REFUSED and not wrapped:
            return
    await _download(ledger, ask, RacpOperator.ALL)


async def _rest(ledger: NumberedRecords, ask: RacpProcedures) -> RacpOutcome:
    """Download the gaps, and what follows the newest record. REFUSED when the device knows no such question."""
    gaps = ledger.taken.gaps()
    if len(gaps) <= MOST_GAPS:
        for first, last in gaps:
            wraps = first % NUMBER_SPAN > last % NUMBER_SPAN
            if wraps or await _download(ledger, ask, RacpOperator.RANGE, first, last) is REFUSED:
                break
    return await _download(ledger, ask, RacpOperator.GE, ledger.taken.to + 1)


async def _began_anew(ledger: NumberedRecords, ask: RacpProcedures, newest: SentRecord) -> bool:
    if ledger.knows(newest):
        return False
    number, ours = ledger.number(newest.number), ledger.taken.newest
    if number <= ours:
        return True
    # There is more than before. Is our newest one still what it was?
    at = ours % NUMBER_SPAN
    same = await _look(ledger, ask, racp.encode(RacpOp.REPORT, RacpOperator.RANGE, (at, at)))
    return isinstance(same, SentRecord) and same.number == at and not ledger.knows(same)


async def _look(ledger: NumberedRecords, ask: RacpProcedures, request: bytes) -> SentRecord | RacpOutcome:
    """The one record that this asks for, without taking it."""
    ledger.probing = True
    try:
        outcome = await ask.report(request, quick=True)
    except (GattError, TimeoutError):
        return RacpOutcome.REFUSED  # some devices do not answer what they do not know
    finally:
        ledger.probing = False
    if outcome is RacpOutcome.DONE and ask.seen:
        fields = ask.seen[-1].fields
        return SentRecord(fields["number"], fields["stamp"])
    return outcome


async def _download(
    ledger: NumberedRecords,
    ask: RacpProcedures,
    operator: RacpOperator,
    first: int | None = None,
    last: int | None = None,
) -> RacpOutcome:
    bounds = tuple(bound % NUMBER_SPAN for bound in (first, last) if bound is not None)
    expected = await ask.count(racp.encode(RacpOp.COUNT, operator, bounds))
    ledger.begin(expected, first, last)
    outcome = None
    try:
        if expected == 0:
            outcome = RacpOutcome.NONE
        else:
            outcome = await ask.report(racp.encode(RacpOp.REPORT, operator, bounds), expected)
        return outcome
    finally:
        ledger.end(outcome is RacpOutcome.DONE or (outcome is RacpOutcome.NONE and last is not None))
