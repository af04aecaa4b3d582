"""The clock says what it knows: which boot, what time, and whether that can be believed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.core.clock import US, SystemClock, rfc3339


def test_the_mark_of_timesyncd_or_the_kernel_makes_the_clock_believable(tmp_path: Path) -> None:
    mark, kernel = tmp_path / "synchronized", [False]
    clock = SystemClock(mark, lambda: kernel[0])
    assert not clock.now().synchronised
    mark.touch()
    assert not clock.now().synchronised  # looked at only when asked: it is stamped on every reading
    assert clock.check()
    assert clock.now().synchronised
    mark.unlink()
    assert not clock.check()
    kernel[0] = True
    assert clock.check()


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_nothing_is_synchronised_after_a_step_until_the_clock_is_known_to_be_right(
    tmp_path: Path, seconds: int
) -> None:
    mark, kernel, ahead = tmp_path / "synchronized", [True], [0]
    mark.touch()
    clock = SystemClock(mark, lambda: kernel[0], lambda: time.time_ns() + ahead[0] * 10**9)
    steps: list[bool] = []
    clock.on_step = lambda: steps.append(clock.synchronised)
    assert clock.now().synchronised
    kernel[0], ahead[0] = False, seconds  # as clock_settime leaves the kernel; the mark stays where it is
    os.utime(mark, (time.time() - 1,) * 2)
    assert not clock.now().synchronised
    assert not clock.now().synchronised
    assert not clock.check()
    assert steps == [False]
    os.utime(mark, (time.time() + seconds + 1,) * 2)  # timesyncd has looked again
    assert clock.check()
    kernel[0], ahead[0] = True, 0  # a step by one who keeps the clock
    assert clock.now().synchronised
    assert len(steps) == 2


def test_the_kernel_is_asked_as_adjtimex_would_tell() -> None:
    """Against the kernel's own word: an unset STA_UNSYNC, as another program reads it."""
    code = "import ctypes;b=(ctypes.c_long*64)();r=ctypes.CDLL(None).adjtimex(b);print(r, b[5] & 0x40)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    state, unsynchronised = map(int, done.stdout.split())
    clock = SystemClock(Path("/nonexistent/mark"))
    assert clock.synchronised is (state != -1 and not unsynchronised)


def test_one_boot_has_one_name_and_its_time_only_goes_forward() -> None:
    one, other = SystemClock(), SystemClock()
    assert one.boot_id == other.boot_id
    before, after = one.now(), other.now()
    assert after.mono >= before.mono
    assert abs(before.wall - datetime.now(UTC).timestamp() * US) < 60 * US


@given(st.integers(0, 4_000_000_000 * US))
def test_times_are_rfc_3339_to_the_microsecond(wall: int) -> None:
    text = rfc3339(wall)
    parsed = datetime.fromisoformat(text)
    assert text.endswith("Z")
    assert int(parsed.timestamp()) * US + parsed.microsecond == wall


@pytest.mark.parametrize(("wall", "text"), [(0, "1970-01-01T00:00:00.000000Z"), (1, "1970-01-01T00:00:00.000001Z")])
def test_the_first_moments(wall: int, text: str) -> None:
    assert rfc3339(wall) == text
