"""Journal of systemd by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram an entry, with fields."""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
MAX_MESSAGE = 48_000  # octets; what is longer than a datagram would need a file of its own
OWNERS = {"gatepost.agent.devices": "DEVICE", "gatepost.agent.uplink": "BROKER"}  # whose lines begin with a name


class JournalSocket:
    """Sends entries without waiting; `send` is False when the journal does not take one now."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def send(self, record: logging.LogRecord, text: str, priority: int) -> bool:
        try:
            self._socket.sendto(entry(record, text, priority), self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


def entry(record: logging.LogRecord, text: str, priority: int) -> bytes:
    """`text` as the message, and who it is about: DEVICE or BROKER; MESSAGE_ID is one for all lines of a sentence."""
    return b"".join(_field(name, value) for name, value in _fields(record, text, priority))


def _fields(record: logging.LogRecord, text: str, priority: int) -> Iterator[tuple[str, str]]:
    yield "MESSAGE", text
    yield "PRIORITY", str(priority)
    yield "SYSLOG_IDENTIFIER", "gatepost"
    yield "LOGGER", record.name
    sentence = f"{record.name}\n{record.msg}".encode("utf-8", "replace")
    yield "MESSAGE_ID", hashlib.blake2b(sentence, digest_size=16, person=b"gatepost-log").hexdigest()
    yield from subject(record).items()


def subject(record: logging.LogRecord) -> dict[str, str]:
    """Who a line is about: DEVICE or BROKER."""
    if not (isinstance(record.args, tuple) and record.args and str(record.msg).startswith("%s")):
        return {}
    return {
        name: str(record.args[0])
        for place, name in OWNERS.items()
        if record.name == place or record.name.startswith(f"{place}.")
    }


def _field(name: str, value: str) -> bytes:
    """A value with a line end is sent with its length: 64 bits, little-endian."""
    octets = value.encode("utf-8", "replace")[:MAX_MESSAGE]
    if b"\n" not in octets:
        return b"%b=%b\n" % (name.encode(), octets)
    return b"%b\n%b%b\n" % (name.encode(), len(octets).to_bytes(8, "little"), octets)
