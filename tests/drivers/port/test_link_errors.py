import errno
import socket
import termios

import pytest
import serial

from gatepost.drivers.link import Reason
from gatepost.drivers.serial.port.link_errors import explain, lost


def number(code):
    return serial.SerialException(code, f"could not open port: {code}")


def wrapped(inner):
    """As pyserial does it: the number is only in what it was handling."""
    try:
        try:
            raise inner
        except Exception as exc:
            raise serial.SerialException(f"Could not configure port: {exc}")  # noqa: B904
    except serial.SerialException as outer:
        return outer


@pytest.mark.parametrize(
    ("raised", "reason", "says"),
    [
        (number(errno.ENOENT), Reason.MISSING, "by-id"),
        (number(errno.ENODEV), Reason.MISSING, "plugged in"),
        (number(errno.EACCES), Reason.PERMISSION, "dialout"),
        (number(errno.EPERM), Reason.PERMISSION, "dialout"),
        (number(errno.EBUSY), Reason.BUSY, "other program"),
        (number(errno.EAGAIN), Reason.BUSY, "other program"),
        (number(errno.EIO), Reason.IO, "cable"),
        (wrapped(termios.error(errno.EIO, "Input/output error")), Reason.IO, "cable"),
        (wrapped(termios.error(errno.ENOTTY, "Inappropriate ioctl")), Reason.SETTINGS, "port"),
        (wrapped(ConnectionRefusedError(errno.ECONNREFUSED, "refused")), Reason.MISSING, "far end"),
        (wrapped(socket.gaierror(-2, "Name or service not known")), Reason.MISSING, "far end"),
        (wrapped(TimeoutError("timed out")), Reason.TIMEOUT, "replug"),
        (TimeoutError(), Reason.TIMEOUT, "replug"),
        (ValueError("Invalid baud rate: 12345"), Reason.SETTINGS, "baudrate"),
        (NotImplementedError("not on this platform"), Reason.SETTINGS, "baudrate"),
    ],
)
def test_each_failure_has_its_reason_and_a_hint(raised, reason, says):
    failed = explain("/dev/ttyUSB0", raised)
    assert failed.reason is reason
    assert says in failed.hint
    assert failed.message.startswith("/dev/ttyUSB0 ")


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (termios.error(errno.EINVAL, "Invalid argument"), ": Invalid argument"),
        (wrapped(termios.error(errno.EINVAL, "Invalid argument")), ": Invalid argument"),
        (number(errno.EIO), ": Input/output error"),
        (ValueError("Invalid baud rate: 12345"), ": Invalid baud rate: 12345"),
    ],
)
def test_the_detail_is_plain_words(raised, words):
    assert explain("/dev/ttyUSB0", raised).message.endswith(words)
    assert "(" not in explain("/dev/ttyUSB0", raised).message


def test_a_loss_is_told_in_plain_words():
    assert lost("/dev/p", OSError(errno.EIO, "Input/output error")).message == "/dev/p was lost: Input/output error"
