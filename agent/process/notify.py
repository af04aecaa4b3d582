"""Messages to systemd, sd_notify(3): one datagram a message to $NOTIFY_SOCKET; without it nothing happens."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping


class Notifier:
    """Never raises and never blocks: a service manager that does not listen must not harm the agent.

    Each method returns whether the message was handed over.
    """

    def __init__(self, address: str | None, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """`address` as in $NOTIFY_SOCKET: a path, or `@name` in the abstract namespace; anything else is not served."""
        self._address = _native(address)
        self._monotonic_ns = monotonic_ns
        self._ready_owed = False  # READY met a full queue: without it systemd would end a start that succeeded

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Notifier:
        return cls(env.get("NOTIFY_SOCKET"))

    @property
    def active(self) -> bool:
        return self._address is not None

    def ready(self, status: str = "") -> bool:
        """Started, or done with reloading; what is not handed over goes with the next message."""
        self._ready_owed = True
        return self._send(_status(status))

    def status(self, status: str) -> bool:
        """One sentence for `systemctl status`."""
        return self._send(_status(status))

    def reloading(self) -> bool:
        """Followed by `ready` when the new settings are in force or refused."""
        self._ready_owed = False
        return self._send("RELOADING=1", f"MONOTONIC_USEC={self._monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> bool:
        self._ready_owed = False
        return self._send("STOPPING=1", _status(status))

    def watchdog(self) -> bool:
        return self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> bool:
        if self._address is None:
            return False
        ready = "READY=1" if self._ready_owed else ""
        message = "\n".join(part for part in (ready, *assignments) if part).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message, self._address)
        except OSError:
            return False
        self._ready_owed = False
        return True


def _native(address: str | None) -> str | None:
    if not address or address[0] not in "/@":
        return None
    return "\0" + address[1:] if address[0] == "@" else address


def _status(sentence: str) -> str:
    """A newline would begin another assignment."""
    return "STATUS=" + " ".join(sentence.split()) if sentence else ""
