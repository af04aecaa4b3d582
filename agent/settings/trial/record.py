"""Record of a change on trial, on the disk before anything is changed: whatever happens next, a start undoes it."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Literal

import msgspec

from gatepost.agent.core.atomic_file import sync_directory, write_atomic
from gatepost.agent.core.named_files import read_regular

log = logging.getLogger(__name__)

PENDING = "trial.json"  # in the state directory,
ENDED = "trial-ended.json"  # where the last one ended
SCHEMA = 1

TrialState = Literal["trying", "confirmed", "reverted"]
TrialReason = Literal["not-confirmed", "asked", "restarted", "not-applied"]


class TrialRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One trial. `before` is the text of the drop that it replaces, None = there was none; times in microseconds since
    1970 and seconds. It holds no secret but what the drop held."""

    id: str
    drop: str
    before: str | None
    boot: str
    by: str
    changed: list[str]
    began: int
    within: float
    state: TrialState = "trying"
    reason: TrialReason | None = None
    ended: int | None = None
    schema: int = SCHEMA


def read_record(state_dir: Path, name: str = PENDING) -> TrialRecord | None:
    """None where there is none, or none that this version can read."""
    try:
        record = msgspec.json.decode(read_regular(state_dir / name), type=TrialRecord)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:  # a ValidationError is one too
        log.error("%s cannot be read: %s", state_dir / name, type(error).__name__)
        return None
    return record if record.schema == SCHEMA else None


def write_record(state_dir: Path, record: TrialRecord) -> None:
    """Fsynced; raises OSError."""
    write_atomic(state_dir / PENDING, msgspec.json.encode(record), 0o600)


def end_record(state_dir: Path, record: TrialRecord) -> None:
    """The trial is over. First it is no longer pending, then how it ended is kept. Raises OSError."""
    write_atomic(state_dir / ENDED, msgspec.json.encode(msgspec.structs.replace(record, before=None)), 0o600)
    (state_dir / PENDING).unlink(missing_ok=True)
    sync_directory(state_dir)


def put_back(drop: Path, record: TrialRecord) -> None:
    """The drop as it was before the trial; what was tried stays beside the state as `rejected-<drop>`.

    Raises OSError."""
    if drop.exists():
        tried = read_regular(drop)
        if tried != (record.before or "").encode():
            write_atomic(drop.parent.parent / f"rejected-{drop.name}", tried, 0o600)
    if record.before is not None:
        drop.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(drop, record.before.encode(), 0o600)
    elif drop.exists():
        drop.unlink()
        sync_directory(drop.parent)


def revert_at_start(state_dir: Path, drops: Path) -> TrialRecord | None:
    """A trial that was not confirmed before the agent ended is undone; blocks, for before the settings are read.

    Raises OSError where that cannot be written.
    """
    record = read_record(state_dir)
    if record is None:
        return None
    put_back(drops / Path(record.drop).name, record)
    ended = msgspec.structs.replace(record, state="reverted", reason="restarted", ended=time.time_ns() // 1000)
    end_record(state_dir, ended)
    log.warning("the change of settings by %s was not confirmed before the agent ended: it is undone", record.by)
    return ended
