"""Files that a person named: regular ones only, and with a time limit, in the agent off the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from gatepost.drivers.serial.port.blocking_call import bounded, in_thread

T = TypeVar("T")

LARGEST = 16_000_000  # octets of a file of the agent's own
TIME = 5.0  # seconds for a file, beyond which its share counts as hung
TOO_SLOW = "reading it took too long"

_hanging: dict[str, asyncio.Future[object]] = {}


def check_regular(path: str | Path) -> None:
    """Raises OSError for what is no regular file: a FIFO waits for ever, and opening a device node may do things."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def open_regular(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor; never waits for the other end of a FIFO that takes the file's place meanwhile. Raises OSError."""
    try:
        check_regular(path)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return handle


def read_regular(path: str | Path, most: int = LARGEST) -> bytes:
    """At most `most` octets of a regular file. Raises OSError."""
    with os.fdopen(open_regular(path), "rb") as stream:
        return stream.read(most)


def open_given(path: str | Path) -> BinaryIO:
    """A regular file that a command line names, opened within TIME. Raises OSError."""
    return os.fdopen(_within(lambda: open_regular(path)), "rb")


def read_given(path: str | Path, most: int = LARGEST) -> bytes:
    """What a command line names: a regular file, read within TIME, or `-`, the standard input. Raises OSError, also for
    more than `most` octets."""
    data = sys.stdin.buffer.read(most + 1) if str(path) == "-" else _within(lambda: read_regular(path, most + 1))
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most} octets", str(path))
    return data


def _within(work: Callable[[], T]) -> T:
    """As `off_loop`, for a process without a loop, which ends soon."""
    done: list[T | Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:
            done.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIME)
    if not done:
        raise OSError(errno.ETIMEDOUT, TOO_SLOW)
    if isinstance(done[0], Exception):
        raise done[0]
    return done[0]


async def off_loop(key: str, work: Callable[[], T], seconds: float = TIME) -> T:
    """What `work` gives, from a thread that nobody joins. Raises what it raises, and OSError when it takes too long.

    Then at once for this key until that call is back: a hung share holds one thread, and not more and more.
    """
    if key in _hanging:
        raise OSError(errno.ETIMEDOUT, "an earlier attempt to read it still hangs")
    future = in_thread(asyncio.get_running_loop(), work)
    try:
        return await bounded(asyncio.shield(future), seconds)
    except TimeoutError:
        if not future.done():
            _hanging[key] = future  # type: ignore[assignment]
            future.add_done_callback(lambda _: _hanging.pop(key, None))
        raise OSError(errno.ETIMEDOUT, TOO_SLOW) from None
