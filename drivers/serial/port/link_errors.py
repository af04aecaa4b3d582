"""Explanation of what pyserial and the system raise, as a LinkFailed with a reason, a sentence and a hint."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

from gatepost.drivers.link import LinkFailed, Reason


class _Case(NamedTuple):
    reason: Reason
    what: str
    hint: str


_MISSING = _Case(Reason.MISSING, "is not there", "is it plugged in and switched on? see `ls /dev/serial/by-id`")
_PERMISSION = _Case(
    Reason.PERMISSION,
    "may not be opened by this user",
    "add the user that runs the agent to the group `dialout` (on some systems `uucp`) and start it again",
)
_BUSY = _Case(Reason.BUSY, "is in use by another program", "end the other program or device entry that uses it")
_NO_TTY = _Case(Reason.SETTINGS, "is not a serial port", "check `port`")
_NO_ANSWER = _Case(Reason.MISSING, "does not answer", "check host and port of the URL, and that the far end listens")
_SETTINGS = _Case(
    Reason.SETTINGS,
    "does not take these line settings",
    "check `baudrate`, `parity`, `stopbits`, `bytesize`, `flow` and the form of `port`",
)
_TIMEOUT = _Case(Reason.TIMEOUT, "did not answer in time", "unplug and replug the adapter if this goes on")
_IO = _Case(Reason.IO, "failed", "check the cable and the adapter")

_BY_ERRNO: dict[int, _Case] = {
    errno.ENOENT: _MISSING,
    errno.ENXIO: _MISSING,
    errno.ENODEV: _MISSING,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EBUSY: _BUSY,
    errno.EAGAIN: _BUSY,  # another program holds the lock
    errno.ENOTTY: _NO_TTY,
    errno.EISDIR: _NO_TTY,
    errno.EINVAL: _SETTINGS,
    errno.ECONNREFUSED: _NO_ANSWER,
    errno.EHOSTUNREACH: _NO_ANSWER,
    errno.ENETUNREACH: _NO_ANSWER,
    errno.ETIMEDOUT: _TIMEOUT,
}


def explain(port: str, exc: BaseException) -> LinkFailed:
    """What went wrong when opening `port`, from whatever pyserial and the system raised."""
    case = _case(exc)
    detail = "" if case is not _SETTINGS and case is not _IO else f": {_words(exc)}"
    return LinkFailed(case.reason, f"{port} {case.what}{detail}", case.hint)


def timed_out(port: str, what: str) -> LinkFailed:
    """`what` on `port` took longer than it may."""
    return LinkFailed(Reason.TIMEOUT, f"{port}: {what} took too long", _TIMEOUT.hint)


def lost(port: str, exc: BaseException | None) -> LinkFailed:
    """The port hung up or a read failed."""
    return LinkFailed(Reason.IO, f"{port} was lost" + (f": {_words(exc)}" if exc else ""), _IO.hint)


def _case(exc: BaseException) -> _Case:
    for seen in _chain(exc):
        if isinstance(seen, TimeoutError):
            return _TIMEOUT
        if isinstance(seen, socket.gaierror):
            return _NO_ANSWER
        number = _number(seen)
        if number in _BY_ERRNO:
            return _BY_ERRNO[number]
    if isinstance(exc, OSError):  # a SerialException without a number: the URL has the wrong form, or no such far end
        return _SETTINGS if "expected a string in the form" in str(exc) else _IO
    return _SETTINGS


def _words(exc: BaseException) -> str:
    """What the system says of its number, else the text."""
    number = next((found for seen in _chain(exc) if (found := _number(seen)) in errno.errorcode), 0)
    return os.strerror(number) if number else str(exc)


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """pyserial wraps what the system raised, and not always with the number."""
    seen: BaseException | None = exc
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _number(exc: BaseException) -> int:
    """Its errno; 0 = none. termios.error is no OSError."""
    number = getattr(exc, "errno", None) or (exc.args[0] if exc.args else None)
    return number if isinstance(number, int) else 0
