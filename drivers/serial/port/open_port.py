"""Opening and closing a pyserial port. Everything here may block: it runs in threads, never on the event loop."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import stat
import struct
import termios
import time
from typing import Any

import serial

from gatepost.drivers.driver import SerialSettings
from gatepost.drivers.serial.port.port_url import url_fault

POLL = 2.0  # seconds a reader thread sleeps at most when the port has no descriptor to wait for
DRAIN = 0.5  # seconds that the last octets get to leave before the port is closed
_PTY_MAJORS = range(136, 144)  # Linux: Unix98 PTY slaves
_TIOCGICOUNT = 0x545D  # Linux, struct serial_icounter_struct: 20 ints
_ICOUNT = struct.Struct("20i")


def open_port(url: str, line: SerialSettings, rts: bool | None, dtr: bool | None) -> Any:
    """An open, exclusive port with raw settings; raises what pyserial and the system raise.

    `url` is a path or a pyserial URL. What a PTY or a socket already holds is kept; a real port starts empty. A PTY has
    no parity, byte size or stop bits: it is not asked for them, as the C library takes a request of which nothing can
    come true only the first time.
    """
    if fault := url_fault(url):
        raise ValueError(": ".join(fault))
    port: Any = serial.serial_for_url(
        url,
        do_not_open=True,
        baudrate=line.baudrate,
        bytesize=line.bytesize,
        parity=line.parity,
        stopbits=line.stopbits,
        rtscts=line.flow == "rtscts",
        xonxoff=line.flow == "xonxoff",
    )
    port.exclusive = True  # a lock between programs that ask for it; dies with its holder
    port.timeout = 0 if has_descriptor(port) else POLL
    if rts is not None:
        port.rts = rts
    if dtr is not None:
        port.dtr = dtr
    pty = is_pty(url)
    if pty:
        port.bytesize, port.parity, port.stopbits = 8, "N", 1
    virtual = pty or url.startswith("socket://")
    if virtual:
        port.reset_input_buffer = port._reset_input_buffer = _keep
    port.open()
    try:
        if has_descriptor(port) and os.isatty(port.fileno()):
            _block_reads(port.fileno())
            if not virtual:  # a PTY outlives its holder: the mark would lock everybody out after a crash
                fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
    except BaseException:
        port.close()
        raise
    return port


def change_line(port: Any, line: SerialSettings) -> None:
    """Other line settings for an open port that is no PTY; what it holds was heard with the old ones and is dropped."""
    port.apply_settings(
        {
            "baudrate": line.baudrate,
            "bytesize": line.bytesize,
            "parity": line.parity,
            "stopbits": line.stopbits,
            "rtscts": line.flow == "rtscts",
            "xonxoff": line.flow == "xonxoff",
        }
    )
    if has_descriptor(port) and os.isatty(port.fileno()):
        _block_reads(port.fileno())
    port.reset_input_buffer()


def close_port(port: Any) -> None:
    """Close, letting the last octets go out for a moment; errors of a port that is gone do not matter."""
    with contextlib.suppress(OSError, termios.error, ValueError, AttributeError):
        if has_descriptor(port) and os.isatty(port.fileno()):
            deadline = time.monotonic() + DRAIN
            while port.out_waiting:
                if time.monotonic() >= deadline:
                    termios.tcflush(port.fileno(), termios.TCOFLUSH)  # else the kernel may hold the close for 30 s
                    break
                time.sleep(0.01)
            fcntl.ioctl(port.fileno(), termios.TIOCNXCL)
    queue: Any = getattr(port, "_read_buffer", None)
    if getattr(queue, "maxsize", 0):
        with queue.mutex:  # lets the handler's own thread end, see `bound_buffer`
            queue.maxsize = 1 << 60
            queue.not_full.notify_all()
    with contextlib.suppress(Exception):
        port.close()


def has_descriptor(port: Any) -> bool:
    """Whether the event loop can wait for this port."""
    return type(port).fileno is not io.IOBase.fileno


def listed() -> list[Any]:
    """The ports that the system has, as pyserial describes them; no PTYs."""
    from serial.tools.list_ports import comports

    return list(comports())


def is_pty(path: str) -> bool:
    """Whether a path leads to a pseudo terminal."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _PTY_MAJORS


def bound_buffer(port: Any) -> None:
    """rfc2217:// reads its socket into a queue without a limit; with one, a slow reader slows the far end."""
    queue = getattr(port, "_read_buffer", None)
    if queue is not None and hasattr(queue, "maxsize"):
        queue.maxsize = 65536


def line_errors(descriptor: int) -> dict[str, int]:
    """What the kernel counted on this line since the port exists; empty where it does not count."""
    try:
        raw = fcntl.ioctl(descriptor, _TIOCGICOUNT, bytes(_ICOUNT.size))
    except OSError:
        return {}
    counts = _ICOUNT.unpack(raw)
    return {
        "framing": counts[6],
        "overrun": counts[7],
        "parity": counts[8],
        "break": counts[9],
        "buffer-overrun": counts[10],
    }


def _keep() -> None:
    """Instead of discarding what waits."""


def _block_reads(descriptor: int) -> None:
    """VMIN 1: an empty read then means hang-up, and "nothing there" is EAGAIN; with VMIN 0 they look the same."""
    attributes = termios.tcgetattr(descriptor)
    attributes[6][termios.VMIN] = 1
    attributes[6][termios.VTIME] = 0
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
