"""Record of desired state: which version was decided and which is in force; on the disk before anything happens."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import msgspec

from gatepost.agent.core.atomic_file import write_atomic
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.settings.trial.record import TrialRecord

log = logging.getLogger(__name__)

FILE, COPY = "fleet.json", "fleet.json.copy"  # in the state directory; the second one is written after the first
SCHEMA = 1
MAX_UNTOLD = 50  # reports that wait for the broker; the oldest go first

WORDS = {  # of reasons for which a version was undone
    "restarted": "the agent ended while it was tried",
    "asked": "somebody undid it",
    "not-confirmed": "it was not well for long enough",
    "not-applied": "it could not be put into force",
}
DesiredStatus = Literal["trying", "applied", "refused", "reverted", "superseded", "unsigned", "stale"]


class DesiredReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one version. `previous` is the one that was in force before, or is still; 0 = none."""

    schema: int = SCHEMA
    gateway_id: str
    version: int | None
    status: DesiredStatus
    previous: int
    hash: str
    problems: list[dict[str, str]] = []
    overridden: list[str] = []
    reason: str | None = None
    agent: str
    rollout: str | None = None
    timestamp: str


class FleetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`decided`: the newest version that was judged, never again; `applied`: the one in force; 0 = none. `trial` is the
    report of what is tried, `report` tells of the decided one, `untold` are those that no broker has acknowledged.
    `lost`: the files cannot be read, so nobody knows what was decided."""

    schema: int = SCHEMA
    decided: int = 0
    hash: str = ""
    applied: int = 0
    trial: DesiredReport | None = None
    report: DesiredReport | None = None
    untold: list[DesiredReport] = []
    lost: bool = False

    def with_report(self, report: DesiredReport) -> FleetRecord:
        """The version of the report is decided so; a broker is to be told."""
        assert report.version is not None
        replace = msgspec.structs.replace
        record = replace(self, applied=report.version) if report.status == "applied" else self
        if report.status == "trying":
            record = replace(record, trial=report)
        else:
            ended = record.trial is not None and record.trial.version == report.version
            told = [*record.untold, report][-MAX_UNTOLD:]
            record = replace(record, trial=None if ended else record.trial, untold=told)
        if report.version >= record.decided:
            return replace(record, decided=report.version, hash=report.hash, report=report)
        newer = record.report  # one that was refused while this one was tried
        return record if newer is None else replace(record, report=replace(newer, previous=record.applied))


def problem(key: str, where: str, message: str, hint: str = "") -> dict[str, str]:
    return {"key": key, "where": where, "message": message, "hint": hint}


def problem_of(reason: str) -> dict[str, str]:
    """The reason as a problem, where nothing else says why."""
    return problem(reason, "", WORDS.get(reason, reason))


def source_of(version: int) -> str:
    """Who changes settings, where a document does."""
    return f"fleet:{version}"


def read_record(state_dir: Path) -> FleetRecord:
    """The newest of both files that this version can read; an empty one where there is none, a lost one where none can
    be read."""
    found, there = list[FleetRecord](), False
    for name in (FILE, COPY):
        path = state_dir / name
        try:
            found.append(msgspec.json.decode(read_regular(path), type=FleetRecord))
        except FileNotFoundError:
            continue
        except (OSError, msgspec.DecodeError) as error:
            there = True
            log.error("%s cannot be read: %s", path, type(error).__name__)
    return max(found, key=lambda record: record.decided, default=FleetRecord(lost=there))


def write_record(state_dir: Path, record: FleetRecord) -> None:
    """Fsynced; raises OSError."""
    for name in (FILE, COPY):
        write_atomic(state_dir / name, msgspec.json.encode(record), 0o600)


def settled(record: FleetRecord, ended: TrialRecord | None, now: str) -> FleetRecord:
    """The record at a start: what was being tried when the agent ended is applied or reverted by now. `ended` is the
    last trial as the disk has it."""
    report = record.trial
    if report is None or report.version is None:
        return record
    reason: str | None = "restarted"  # also where the trial had not begun
    if ended is not None and ended.by == source_of(report.version):
        reason = None if ended.state == "confirmed" else ended.reason or "restarted"
    changes: dict[str, Any] = {"status": "applied"}
    if reason is not None:
        changes = {"status": "reverted", "reason": reason, "problems": [problem_of(reason)]}
    return record.with_report(msgspec.structs.replace(report, **changes, timestamp=now))
