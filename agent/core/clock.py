"""Time: which boot this is, monotonic and wall time, and whether the wall clock can be believed."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

TIMESYNC_MARK = Path("/run/systemd/timesync/synchronized")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STA_UNSYNC = 0x0040  # adjtimex(2): the kernel's clock is not disciplined
US = 1_000_000
STEP = 1 * US  # a smaller difference is slewing, which is how a disciplined clock moves


class Stamp(NamedTuple):
    """Stamp: wall time (microseconds since 1970, UTC), boot time (microseconds), and whether the clock was in step."""

    wall: int
    mono: int
    synchronised: bool


class Clock(Protocol):
    """Clock as a dependency; tests pass their own."""

    boot_id: str

    def now(self) -> Stamp: ...

    def monotonic(self) -> float:
        """Seconds, for intervals."""
        ...

    def check(self) -> bool:
        """Look again whether the clock is synchronised; cheap enough for every few seconds."""
        ...


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:  # hidden by a sandbox, or not Linux: this process is its own boot
        return str(uuid.uuid4())


def _kernel_in_step() -> bool:
    """adjtimex(2), which chrony, ntpd and timesyncd keep up to date."""
    import ctypes

    # struct timex begins: int modes; long offset, freq, maxerror, esterror; int status. modes = 0 only looks.
    size = ctypes.sizeof(ctypes.c_long)
    timex = (ctypes.c_char * 512)()
    try:
        if ctypes.CDLL(None).adjtimex(timex) == -1:
            return False
    except (OSError, AttributeError):
        return False
    return not int.from_bytes(timex.raw[5 * size : 5 * size + 4], sys.byteorder) & STA_UNSYNC


class SystemClock:
    """System clock of the kernel. CLOCK_BOOTTIME counts through a suspend, so it orders all readings of one boot."""

    def __init__(
        self,
        mark: Path = TIMESYNC_MARK,
        kernel: Callable[[], bool] = _kernel_in_step,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """`mark` is the file that timesyncd leaves once it has set the clock; `kernel` asks the kernel."""
        self.boot_id = _boot_id()
        self.synchronised = False
        self.on_step: Callable[[], None] = lambda: None
        self._boottime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._mark = mark
        self._kernel = kernel
        self._wall = wall
        self._stale_mark: int | None = None  # of before a step: it says nothing of the clock as it is now
        self._shift = wall() // 1000 - self._mono()
        self.check()

    def now(self) -> Stamp:
        """Also notices a step: nothing is stamped as synchronised after it until the clock is known to be right."""
        wall, mono = self._wall() // 1000, time.clock_gettime_ns(self._boottime) // 1000  # as `_mono`, but hot
        moved = wall - mono - self._shift
        self._shift += moved
        if moved >= STEP or moved <= -STEP:
            self._stale_mark = self._marked_at()
            self.check()
            self.on_step()
        return Stamp(wall, mono, self.synchronised)

    def _mono(self) -> int:
        return time.clock_gettime_ns(self._boottime) // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    def check(self) -> bool:
        marked = self._marked_at()
        self.synchronised = (marked is not None and marked != self._stale_mark) or self._kernel()
        return self.synchronised

    def _marked_at(self) -> int | None:
        """When timesyncd touched its mark, by the clock of then."""
        try:
            return self._mark.stat().st_mtime_ns
        except OSError:
            return None


def rfc3339(wall: int) -> str:
    """Microseconds since 1970 -> `2026-11-20T10:30:00.123456Z`."""
    seconds, micros = divmod(wall, US)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=128)
def _second(seconds: int) -> str:
    """Times are asked for in order, many of one second."""
    parts = time.gmtime(seconds)
    return (
        f"{parts.tm_year:04d}-{parts.tm_mon:02d}-{parts.tm_mday:02d}"
        f"T{parts.tm_hour:02d}:{parts.tm_min:02d}:{parts.tm_sec:02d}"
    )
