"""Usage of a process by /proc: CPU to the nanosecond, wake-ups, memory, bytes written."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """Totals of one process at one moment; threads that ended keep their CPU but not their switches."""

    at: float  # seconds, monotonic
    cpu: float  # seconds, user and system, all threads, ended ones included
    wakes: int  # context switches that the process asked for: it slept and was woken
    preempted: int  # switches forced on it
    rss: int  # bytes
    peak: int  # bytes, VmHWM
    disk: int  # bytes that went to the block layer, less what was cancelled by deleting
    written: int  # bytes handed to write(2)


def usage(pid: int) -> Usage:
    """Raises ProcessLookupError or FileNotFoundError when it is gone."""
    wakes = preempted = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            status = _fields(Path(f"/proc/{pid}/task/{task}/status"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        wakes += int(status["voluntary_ctxt_switches"])
        preempted += int(status["nonvoluntary_ctxt_switches"])
    status = _fields(Path(f"/proc/{pid}/status"))
    io = _fields(Path(f"/proc/{pid}/io"))
    return Usage(
        time.monotonic(),
        time.clock_gettime(_cpu_clock(pid)),
        wakes,
        preempted,
        int(status["VmRSS"].split()[0]) * 1024,
        int(status["VmHWM"].split()[0]) * 1024,
        int(io["write_bytes"]) - int(io["cancelled_write_bytes"]),
        int(io["wchar"]),
    )


def opened(pid: int) -> set[str]:
    """The paths that the process has open; empty when it is gone."""
    paths = set()
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            try:
                paths.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
            except OSError:
                continue
    except OSError:
        return set()
    return paths


def filesystem(path: Path) -> str:
    """Type of the file system that holds `path`."""
    best, kind = "", "unknown"
    real = str(path.resolve())
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        _, point, what, *_ = line.split()
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) > len(best):
            best, kind = point, what
    return kind


def machine(path: Path) -> dict[str, str]:
    """Where figures were taken: say it beside them."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith(("model name", "Model"))),
        platform.machine(),
    )
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {model}",
        "kernel": platform.release(),
        "filesystem": filesystem(path),
        "python": platform.python_version(),
    }


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text("utf-8").splitlines()


def _cpu_clock(pid: int) -> int:
    return (~pid << 3) | 2  # clock_getcpuclockid(3): the scheduler's clock of a whole process


def _fields(path: Path) -> dict[str, str]:
    return {
        name: value.strip() for name, _, value in (line.partition(":") for line in path.read_text("utf-8").splitlines())
    }
