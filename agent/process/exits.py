"""Exit codes of the command `gatepost`, after sysexits(3)."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    SETTINGS = 78  # EX_CONFIG: starting again will not help, so the unit does not try
