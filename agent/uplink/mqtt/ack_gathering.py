"""Gathering of acknowledgements that nobody waits for: they stay in the kernel until the loop is awake anyway."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

LONGEST = 0.15  # seconds that acknowledgements stay in the kernel; a short commit interval reads them before
PUBACK_OCTETS = 4  # without a reason code, which only a refusal or MQTT 5's "no subscribers" has
MOST_AT_ONCE = 4096  # octets; the transport reads what is beyond


class AckGathering:
    """Gathering on the socket of a connection without TLS. While acknowledgements are left in the kernel, the socket is
    readable only once more octets are there than they take (SO_RCVLOWAT, socket(7)): the end of the connection is seen
    at once, a command or a refusal once the acknowledgements before it are there, too. `take` gets what `read` finds.
    """

    def __init__(self, link: socket.socket, take: Callable[[bytes], None]) -> None:
        self._link = link
        self._take = take
        self._call_later = asyncio.get_running_loop().call_later
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False

    def leave(self, messages: int) -> None:
        """So many messages of QoS 1 are in flight, and nobody waits for their acknowledgements."""
        if self._paused:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._call_later(LONGEST, self.read)
        self._readable_from(messages * PUBACK_OCTETS + 1)

    def read(self) -> None:
        """Take what was left in the kernel, if anything was."""
        if self._timer is None:
            return
        octets = b""
        try:  # noqa: SIM105 - as below
            octets = self._link.recv(MOST_AT_ONCE)
        except OSError:  # none there; of any other error the transport tells
            pass
        self.stop()
        if octets:  # else it is the end of the connection, of which the transport tells as well
            self._take(octets)

    def stop(self) -> None:
        """What comes is read as it comes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._readable_from(1)

    def pause(self, on: bool) -> None:
        """Whether nothing is to be read."""
        self._paused = on
        if on:
            self.stop()

    def _readable_from(self, octets: int) -> None:
        try:  # noqa: SIM105 - often enough for its calls to count
            self._link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, octets)
        except OSError:
            pass
