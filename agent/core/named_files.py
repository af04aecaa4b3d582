"""Files that a person named: regular ones only, read off the event loop, with a time limit."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gatepost.drivers.serial.port.blocking_call import bounded, in_thread

T = TypeVar("T")

LARGEST = 16_000_000  # octets of a file of the agent's own
TIME = 5.0  # seconds for a file, beyond which its share counts as hung

_hanging: dict[str, asyncio.Future[object]] = {}


def check_regular(path: str | Path) -> None:
    """Raises OSError for what is no regular file: a FIFO waits for ever, and opening a device node may do things."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def open_regular(path: str | Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """A descriptor; never waits for the other end of a FIFO that takes the file's place meanwhile. Raises OSError."""
    try:
        check_regular(path)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return handle


def read_regular(path: str | Path, most: int = LARGEST) -> bytes:
    """At most `most` octets of a regular file. Raises OSError."""
    with os.fdopen(open_regular(path), "rb") as stream:
        return stream.read(most)


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
        raise OSError(errno.ETIMEDOUT, "reading it took too long") from None
