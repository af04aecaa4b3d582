"""Record of desired state: what a start makes of what a kill has left, whatever moment it was."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gatepost.agent.fleet.record import (
    COPY,
    FILE,
    DesiredReport,
    DesiredStatus,
    FleetRecord,
    read_record,
    settled,
    write_record,
)
from gatepost.agent.settings.trial.record import TrialRecord


def report(version: int, status: DesiredStatus, previous: int = 0) -> DesiredReport:
    return DesiredReport(
        gateway_id="gw", version=version, status=status, previous=previous, hash=f"h{version}", agent="1", timestamp="t"
    )


def trial(by: str, state: str, reason: str | None = None) -> TrialRecord:
    body = {"id": "1", "drop": "d", "before": None, "boot": "b", "by": by, "changed": [], "began": 0, "within": 1.0}
    return msgspec.convert({**body, "state": state, "reason": reason}, TrialRecord)


TRYING = FleetRecord().with_report(report(1, "applied")).with_report(report(2, "trying", 1))


@pytest.mark.parametrize(
    ("ended", "status", "reason", "applied"),
    [
        (None, "reverted", "restarted", 1),  # killed before the trial began
        (trial("fleet:1", "confirmed"), "reverted", "restarted", 1),
        (trial("api", "confirmed"), "reverted", "restarted", 1),
        (trial("fleet:2", "confirmed"), "applied", None, 2),  # killed before that was written here
        (trial("fleet:2", "reverted", "restarted"), "reverted", "restarted", 1),
        (trial("fleet:2", "reverted", "not-confirmed"), "reverted", "not-confirmed", 1),
    ],
)
def test_what_was_tried_has_an_end(ended: TrialRecord | None, status: str, reason: str | None, applied: int) -> None:
    record = settled(TRYING, ended, "now")
    assert record.report is not None
    assert (record.report.status, record.report.reason, record.report.previous) == (status, reason, 1)
    assert (record.trial, record.decided, record.applied) == (None, 2, applied)
    assert [each.status for each in record.untold] == ["applied", status]
    assert settled(record, ended, "later") == record


def test_what_is_refused_meanwhile_leaves_the_trial_alone() -> None:
    record = TRYING.with_report(report(3, "refused", 1))
    assert (record.decided, record.hash, record.applied) == (3, "h3", 1)
    record = record.with_report(report(2, "applied", 1))
    assert (record.decided, record.applied, record.trial) == (3, 2, None)
    assert record.report is not None
    assert (record.report.version, record.report.previous) == (3, 2)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_record(tmp_path) == FleetRecord()
    write_record(tmp_path, TRYING)
    assert read_record(tmp_path) == TRYING
    assert not read_record(tmp_path).lost


@pytest.mark.parametrize("broken", [None, b"", b"\0", b'{"decided": "x"}', b'{"decided":1}'])
def test_one_file_that_is_broken_older_or_gone_makes_no_version_new_again(tmp_path: Path, broken: bytes | None) -> None:
    for name in (FILE, COPY):
        write_record(tmp_path, TRYING)
        (tmp_path / name).unlink()
        if broken is not None:
            (tmp_path / name).write_bytes(broken)
        assert read_record(tmp_path) == TRYING


def test_a_record_of_which_nothing_can_be_read_is_lost(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\0")
    assert read_record(tmp_path) == FleetRecord(lost=True)


def test_reports_that_wait_are_bounded() -> None:
    record = FleetRecord()
    for version in range(1, 200):
        record = record.with_report(report(version, "refused"))
    assert [each.version for each in record.untold] == list(range(150, 200))
