"""Desired state of this gateway: takes signed documents, tries the newest, keeps or undoes it, and reports.

One task does it all, one step after the other; what must survive a kill is in `record.py` before it happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import Conflict, GatepostError, StoreError, Unavailable, UplinkError
from gatepost.agent.fleet.admission import AdmittedDocument, DocumentAdmission
from gatepost.agent.fleet.document import DesiredDocument, claimed_version
from gatepost.agent.fleet.health import HealthComparison
from gatepost.agent.fleet.record import DesiredReport, DesiredStatus, problem, problem_of, settled, source_of
from gatepost.agent.fleet.reports import DesiredReports
from gatepost.agent.fleet.validation import Problems, overridden, problems_of
from gatepost.agent.settings.current import CurrentSettings
from gatepost.agent.settings.editor import SettingsEditor
from gatepost.agent.settings.loading import FLEET_DROP
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.own_drops import read_drop
from gatepost.agent.settings.trial.changes import changed_keys
from gatepost.agent.settings.trial.record import ENDED, TrialRecord, read_record
from gatepost.agent.settings.trial.trial import SettingsTrial

log = logging.getLogger("gatepost.agent.fleet")

MAX_CHANGED = 20  # keys that are told of what is tried
LOOK_EVERY = 0.5  # seconds between two looks at what is tried
WELL_FOR = 5.0  # seconds for which all must be well without a break; less in a short trial
RETRY = 30.0  # seconds until what the disk, or the check of a signature, refused is tried again


class DesiredSettings:
    """Desired state. `take`, `confirm` and `connected` may be called at any time and never wait; `run` is its task.
    `compare` begins a comparison with how things are now; `on_manual` is called when `manual` changes."""

    def __init__(
        self,
        state_dir: Path,
        *,
        current: CurrentSettings,
        editor: SettingsEditor,
        trial: SettingsTrial,
        reports: DesiredReports,
        admission: DocumentAdmission,
        compare: Callable[[], HealthComparison],
        clock: Clock,
        on_manual: Callable[[], None],
    ) -> None:
        self.manual = False  # what is tried waits for somebody's word
        self._state_dir = state_dir
        self._current = current
        self._editor = editor
        self._trial = trial
        self._reports = reports
        self._admission = admission
        self._compare = compare
        self._clock = clock
        self._on_manual = on_manual
        self._drop = editor.path.with_name(FLEET_DROP)
        self._wake = asyncio.Event()
        self._health: HealthComparison | None = None  # of what is tried
        self._ended_trial: TrialRecord | None = None  # how that ended, until it is written down
        self._told_trying = False
        self._superseded = False
        self._well_since: float | None = None
        self._last_problems: Problems = []
        self._confirmed: int | None = None
        trial.on_ended.append(self._trial_ended)

    # --- what others may call

    def take(self, message: bytes) -> None:
        """A message of the topic for desired state."""
        self._admission.take(message)
        self._wake.set()

    def confirm(self, message: bytes) -> None:
        """A message that confirms a version, and may say more: {"version": 42}."""
        tried, version = self._reports.record.trial, claimed_version(message)
        if tried is not None and version == tried.version:  # one for another takes nothing back
            self._confirmed = version
            self._wake.set()

    def connected(self) -> None:
        """The fleet's broker is connected: reports that wait are sent."""
        self._reports.again = True
        self._wake.set()

    def as_dict(self) -> dict[str, Any]:
        record, report = self._reports.record, self._reports.record.report
        return {
            "version": record.applied or None,
            "decided": record.decided or None,
            "status": report.status if report else None,
            "reason": report.reason if report else None,
            "problems": report.problems if report else [],
            "at": report.timestamp if report else None,
            "unreported": len(record.untold),
            "manual": self.manual,
        }

    async def _trial_ended(self) -> None:
        ended, tried = self._trial.last, self._reports.record.trial
        if ended is not None and tried is not None and ended.by == source_of(tried.version or 0):
            self._ended_trial = ended
        self._wake.set()

    # --- the task

    async def _settle(self) -> None:
        """What a kill or a failure has left is settled, before anything else is judged. Raises StoreError."""
        tried, pending = self._reports.record.trial, self._trial.pending
        if tried is None or self._health is not None:
            return
        if pending is not None and pending.by == source_of(tried.version or 0):
            await self._trial.revert(pending.by)
        ended = await asyncio.to_thread(read_record, self._state_dir, ENDED)
        await self._reports.decide(settled(self._reports.record, ended, self._reports.now).untold[-1])

    async def run(self) -> None:
        while True:
            self._wake.clear()
            timeout = await self._step()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wake.wait()

    async def _step(self) -> float | None:
        """Everything that can be done now; seconds until the next step, None = until something happens."""
        # What is tried comes before what is judged, which takes a process for each message, whoever sent it.
        works = (self._confirm_if_well, self._admission.judge_one, self._begin_waiting, self._confirm_if_well)
        failed = not (await self._succeeds(self._settle) and await self._succeeds(self._note_end))
        if not failed:
            failed = not all([await self._succeeds(work) for work in works])
        await self._reports.send()
        if not failed and not self._admission.idle:
            return 0.0
        return LOOK_EVERY if self._health is not None else RETRY if failed else None

    async def _succeeds(self, work: Callable[[], Awaitable[None]]) -> bool:
        """False where it has to be tried again; one that fails holds up none behind it."""
        try:
            await work()
        except (StoreError, Unavailable) as error:
            log.error("desired state: %s; trying again", error.message)
            return False
        return True

    async def _begin_waiting(self) -> None:
        if self._trial.pending is not None and self._health is None:
            return  # a person tries something: this one's turn comes
        admitted = await self._admission.judge_again()
        if admitted is not None:
            await self._begin(admitted)

    # --- try it

    async def _begin(self, admitted: AdmittedDocument) -> None:
        """Raises StoreError; then nothing has begun."""
        document = admitted.document
        source = source_of(document.version)
        if self._trial.pending is not None:
            if self._health is None:
                return  # of a person, begun just now
            self._superseded = True
            with contextlib.suppress(Conflict):  # it ended just now
                await self._trial.revert(source)
            await self._note_end()
        async with self._editor.turn:
            if self._trial.pending is not None:
                return
            report = self._reports.report(document, admitted.hash, "trying")
            before = await self._read_drop()
            await self._reports.keep(self._reports.record.with_report(report))
            self._admission.waiting = None
            health = self._compare()
            try:
                await self._change(before, document, source)
            except Exception as error:
                if not isinstance(error, GatepostError):
                    log.exception("desired state %d could not be applied", document.version)
                    error = GatepostError(f"{type(error).__name__}: {error}")
                await self._not_applied(report, error)
                return
            self._trial.started()
            health.applied(document.within)
            self._health, self._well_since, self._told_trying = health, None, False
            self._ended_trial = None
            self.manual, self._confirmed, self._last_problems = document.confirm.manual, None, []
            lost = overridden(document.settings, self._current.origins, self._drop)
            self._reports.record = self._reports.record.with_report(msgspec.structs.replace(report, overridden=lost))
        if document.agent_version not in ("", report.agent):
            log.warning(
                "desired state %d names agent %r, this is %s: an agent is not upgraded by its fleet",
                document.version, document.agent_version, report.agent,
            )  # fmt: skip
        if self.manual:
            self._on_manual()

    async def _change(self, before: dict[str, Any], document: DesiredDocument, source: str) -> None:
        async def begin(settings: Settings) -> None:
            changed = changed_keys(self._current.settings, settings)[:MAX_CHANGED]
            await self._trial.begin(self._drop, changed, source, document.within)

        await self._editor.change(before, lambda _: document.settings, (), source, begin=begin, path=self._drop)

    async def _not_applied(self, report: DesiredReport, error: GatepostError) -> None:
        """All is as it was before."""
        began = self._trial.pending is not None
        await self._trial.failed()
        status: DesiredStatus = "reverted" if began else "refused"
        reason = "not-applied" if began else None
        await self._reports.decide(
            msgspec.structs.replace(report, status=status, reason=reason, problems=problems_of(error))
        )

    async def _read_drop(self) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(read_drop, self._drop)
        except (OSError, ValueError) as error:
            raise StoreError(f"{self._drop} cannot be read", "delete or repair it") from error

    # --- keep it, or see that it was undone

    async def _confirm_if_well(self) -> None:
        health, report, pending = self._health, self._reports.record.trial, self._trial.pending
        if health is None or report is None or pending is None or self._ended_trial is not None:
            return
        if not self._told_trying:
            try:
                await self._reports.publish(report, True)
            except UplinkError as error:
                self._well_since = None
                broker = self._current.settings.fleet.broker
                self._last_problems = [problem("not-reported", f"brokers.{broker}", error.message)]
                return
            self._told_trying = True
        now = self._clock.monotonic()
        self._last_problems = health.problems(self._current.settings)
        if self._last_problems:
            self._well_since = None
        elif self._well_since is None:
            self._well_since = now
        needed = min(WELL_FOR, pending.within / 4)
        if self._well_since is None or now - self._well_since < needed:
            return
        if self.manual and self._confirmed != report.version:
            return
        with contextlib.suppress(Conflict):  # its time was over just now
            await self._trial.confirm(pending.by)
        await self._note_end()

    async def _note_end(self) -> None:
        """The trial has ended, by whoever ended it: what became of the document is written down."""
        report, ended = self._reports.record.trial, self._ended_trial
        if report is None or ended is None:
            return
        await self._reports.decide(self._ended(report, ended))
        was_manual, self.manual = self.manual, False
        self._health, self._superseded, self._ended_trial = None, False, None
        if was_manual:
            self._on_manual()

    def _ended(self, report: DesiredReport, ended: TrialRecord) -> DesiredReport:
        replace = msgspec.structs.replace
        if ended.state == "confirmed":
            return replace(report, status="applied", timestamp=self._reports.now)
        status: DesiredStatus = "superseded" if self._superseded else "reverted"
        problems = self._last_problems if ended.reason == "not-confirmed" else []
        if not problems and status == "reverted":
            why = problem_of(ended.reason or "asked")
            if ended.reason == "not-confirmed" and self.manual:
                why["message"] = "nobody confirmed it in time"
            problems = [why]
        return replace(report, status=status, reason=ended.reason, problems=problems, timestamp=self._reports.now)
