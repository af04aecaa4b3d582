"""UDP link: a device at one address. The socket is connected, so the kernel drops what comes from anybody else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

from gatepost.drivers.link import LinkEvents, LinkFailed, Reason
from gatepost.drivers.network.datagram import Datagram
from gatepost.drivers.network.udp_address import UdpAddress

MAX_DATAGRAM = 65536
AT_ONCE = 64  # datagrams taken before others have their turn
RECEIVE_BUFFER = 262_144  # octets that the kernel keeps while the gateway is busy; the rest is lost, and the device's
# own numbers tell


class UdpLink:
    """Link to a device that answers datagrams; it hears as soon as it is open, whether the device is there or not."""

    can_pause = True

    def __init__(self, address: UdpAddress, events: LinkEvents) -> None:
        self._address = address
        self._events = events
        self._socket: socket.socket | None = None
        self._paused = False
        self._counts = {"datagrams-unreachable": 0}

    async def open(self, timeout: float) -> None:
        address = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
        except TimeoutError:
            raise LinkFailed(Reason.TIMEOUT, f"{address.host} was not found within {timeout:g} s") from None
        except OSError as error:
            raise LinkFailed(Reason.MISSING, f"{address.host} cannot be found: {error}") from error
        family, _, _, _, place = found[0]
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            with contextlib.suppress(OSError):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            made.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", address.local))  # noqa: S104  # connected next
            made.connect(place)
        except OSError as error:
            made.close()
            reason = Reason.BUSY if error.errno == errno.EADDRINUSE else Reason.IO
            raise LinkFailed(reason, f"{address.place}: {error}") from error
        self._socket, self._paused = made, False
        loop.add_reader(made, self._readable)

    def _readable(self) -> None:
        for _ in range(AT_ONCE):
            if self._socket is None or self._paused:
                return
            try:
                data = self._socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:  # nobody listens there, at the moment
                self._counts["datagrams-unreachable"] += 1
                self._shut()
                self._events.lost(LinkFailed(Reason.GONE, f"{self._address.place}: {error}"))
                return
            self._events.data(Datagram(data))

    def pause(self) -> None:
        if self._socket is not None and not self._paused:
            asyncio.get_running_loop().remove_reader(self._socket)
        self._paused = True

    def resume(self) -> None:
        if self._socket is not None and self._paused:
            asyncio.get_running_loop().add_reader(self._socket, self._readable)
        self._paused = False

    async def send(self, data: bytes, timeout: float) -> None:
        if self._socket is None:
            raise LinkFailed(Reason.GONE, f"{self._address.place} is closed")
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except TimeoutError:
            raise LinkFailed(Reason.TIMEOUT, f"{self._address.place} took nothing for {timeout:g} s") from None
        except OSError as error:
            self._counts["datagrams-unreachable"] += 1
            raise LinkFailed(Reason.IO, f"{self._address.place}: {error}") from error

    async def close(self, timeout: float) -> None:
        self._shut()

    def _shut(self) -> None:
        made, self._socket = self._socket, None
        if made is not None:
            asyncio.get_running_loop().remove_reader(made)
            made.close()

    async def usable_again(self) -> None:
        """Never returns: nothing tells when a device answers again."""
        await asyncio.Event().wait()

    def counters(self) -> dict[str, int]:
        return {kind: count for kind, count in self._counts.items() if count}
