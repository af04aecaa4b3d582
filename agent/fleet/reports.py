"""Reports of desired state: kept before they are sent, sent again until the fleet's broker has acknowledged them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.errors import StoreError, UplinkError
from gatepost.agent.core.token_bucket import TokenBucket
from gatepost.agent.fleet.document import DesiredDocument
from gatepost.agent.fleet.record import DesiredReport, DesiredStatus, FleetRecord, read_record, write_record
from gatepost.agent.fleet.validation import Problems
from gatepost.agent.settings.problem import told_problems

log = logging.getLogger("gatepost.agent.fleet")

EVENT = "desired-state"
TELL_RATE, TELL_BURST = 0.1, 20.0  # reports a second of documents that decide nothing


class FleetAudit(Protocol):
    def record(self, what: str, **fields: Any) -> None: ...


class FleetStore(Protocol):
    def event(self, kind: str, fields: dict[str, Any]) -> int: ...


class DesiredReports:
    """Reports and the record that they are kept in. `publish` sends one to the fleet's broker (UplinkError), retained
    or not."""

    def __init__(
        self,
        state_dir: Path,
        gateway: str,
        agent: str,
        store: FleetStore,
        audit: FleetAudit,
        clock: Clock,
        publish: Callable[[DesiredReport, bool], Awaitable[None]],
    ) -> None:
        self.record: FleetRecord = read_record(state_dir)
        self.again = False  # the newest one is to be sent, whether it was or not
        self.publish = publish
        self._state_dir = state_dir
        self._gateway = gateway
        self._agent = agent
        self._store = store
        self._audit = audit
        self._clock = clock
        self._pace = TokenBucket(TELL_RATE, TELL_BURST, clock.monotonic())

    async def decide(self, report: DesiredReport) -> None:
        """Durable when it returns. Raises StoreError."""
        await self.keep(self.record.with_report(report))
        level = logging.INFO if report.status in ("applied", "superseded") else logging.WARNING
        why = told_problems(report.problems) or report.reason or ""
        log.log(level, "desired state %s: %s%s", report.version, report.status, f" ({why})" if why else "")
        fields = {"version": report.version, "status": report.status, "reason": report.reason}
        self._store.event(EVENT, {**fields, "problems": len(report.problems)})
        self._audit.record(EVENT, **fields)

    async def keep(self, record: FleetRecord) -> None:
        """Durable when it returns. Raises StoreError."""
        try:
            await asyncio.to_thread(write_record, self._state_dir, record)
        except OSError as error:
            raise StoreError(f"desired state could not be written down: {error.strerror or error}") from error
        self.record = record

    async def send(self) -> None:
        """Send what the broker has not acknowledged; the newest again on each connection."""
        again, self.again = self.again, False
        record = self.record
        try:
            while record.untold:
                await self.publish(record.untold[0], True)
                again = False
                record = msgspec.structs.replace(self.record, untold=self.record.untold[1:])
                await self.keep(record)
            if again and record.report is not None:
                await self.publish(record.report, True)
        except UplinkError as error:
            log.debug("desired state: a report waits: %s", error.message)
        except StoreError as error:
            log.warning("desired state: %s", error.message)

    async def tell_once(self, report: DesiredReport) -> None:
        """Of a document that decides nothing: not kept, and not more often than now and then."""
        if self._pace.take(self._clock.monotonic()):
            return
        problem = report.problems[0]
        log.warning("desired state %s: %s (%s)", report.version, report.status, problem["message"])
        self._audit.record(EVENT, version=report.version, status=report.status, reason=problem["key"])
        try:
            await self.publish(report, False)
        except UplinkError as error:
            log.debug("desired state: a report was not sent: %s", error.message)

    def report(
        self, document: DesiredDocument | None, digest: str, status: DesiredStatus, problems: Problems | None = None
    ) -> DesiredReport:
        """A report of now, not told yet."""
        return DesiredReport(
            gateway_id=self._gateway,
            version=document.version if document else None,
            status=status,
            previous=self.record.applied,
            hash=digest,
            problems=problems or [],
            agent=self._agent,
            rollout=document.rollout if document else None,
            timestamp=self.now,
        )

    @property
    def now(self) -> str:
        return rfc3339(self._clock.now().wall)
