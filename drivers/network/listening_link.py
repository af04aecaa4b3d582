"""Listening link: a device that connects to the gateway, alone or beside others on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gatepost.drivers.driver import Driver
from gatepost.drivers.link import LinkEvents, LinkFailed, Reason
from gatepost.drivers.network.listen_address import ListenAddress
from gatepost.drivers.network.listener import Listener, PeerConnection
from gatepost.drivers.network.peer_message import MessageSplitter

DELIVER_TIMEOUT = 30.0  # seconds that a peer waits for its device to be ready; then it is disconnected, and sends again
GRACE = 10.0  # seconds without a connection after which the device is away; some connect for each message
RETIRE = 60.0  # seconds after closing in which it is expected back; longer than any pause between two sessions


class ListeningLink:
    """Link of one device at a listener. `address`: the listener is its own; None = it shares another device's.

    `open` waits for the device to connect, or for its first message, and says so. While it is closed for a moment
    what comes for it waits; nothing is given to another device.
    """

    can_pause = True

    def __init__(
        self,
        listener: Listener,
        address: ListenAddress | None,
        place: str,
        driver: Driver,
        match: Mapping[str, str],
        events: LinkEvents,
    ) -> None:
        self.match = match
        self._listener = listener
        self._address = address
        self._place = place
        self._driver = driver
        self._events = events
        self._connections: list[PeerConnection] = []  # the newest last
        self._due = asyncio.Event()  # it connected, or something came for it
        self._opened = asyncio.Event()
        self._running = asyncio.Event()  # not paused
        self._running.set()
        self._gone: asyncio.TimerHandle | None = None
        self._retiring: asyncio.TimerHandle | None = None
        self._stopping: asyncio.Task[None] | None = None
        if address is None:  # from now on, so that nothing of it is taken for another's
            listener.sharing.append(self)
            self._retire_later()

    def new_splitter(self) -> MessageSplitter | None:
        return self._driver.message_splitter()

    # -- the device's side

    async def open(self, timeout: float) -> None:
        self._register()
        if self._address is not None:
            await self._listener.start(self._address, timeout)
        if not self._due.is_set():
            shared = self._address is None
            what = "a message for it" if shared else "the device to connect"
            hint = "see `match` and what the sender calls it" if shared else "see `allow`, and the device's settings"
            self._events.waiting("waiting", f"waiting at {self._place} for {what}", hint)
        await self._due.wait()
        self._opened.set()

    def pause(self) -> None:
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    async def send(self, data: bytes, timeout: float) -> None:
        """To the connection that `PeerBytes` names, else to the newest."""
        number = getattr(data, "peer", 0)
        connection = self._listener.connection(number) if number else next(reversed(self._connections), None)
        if connection is None:
            raise LinkFailed(Reason.GONE, "the connection that is to be answered is gone")
        await connection.send(data, timeout)

    async def close(self, timeout: float) -> None:
        self._opened.clear()
        self._running.set()
        self._cancel_gone()
        if not self._connections:
            self._due.clear()
        self._retire_later()

    async def usable_again(self) -> None:
        """Never returns: a port that another program has is tried again, later and later."""
        await asyncio.Event().wait()

    def retire(self) -> None:
        """The device was removed: what it holds at the listener is given back now."""
        self._stay()
        self._retire()

    def counters(self) -> dict[str, int]:
        counts = self._listener.counts if self._address is not None else {}
        return {kind: count for kind, count in counts.items() if count}

    # -- the listener's side

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()

    def arrived(self, connection: PeerConnection, alone: bool = False) -> None:
        """`alone`: the connection is this device's only, so one that it had before is dead."""
        older, self._connections = self._connections, [*self._connections, connection]
        self._cancel_gone()
        self._due.set()
        if alone and older:
            self._connections = [connection]
            for each in older:
                each.abort()
            if self._opened.is_set():
                self._opened.clear()
                self._events.lost(None)

    async def deliver(self, data: bytes, connection: PeerConnection) -> None:
        """TimeoutError when the device does not get ready for it."""
        if connection not in self._connections:
            self.arrived(connection)
        async with asyncio.timeout(DELIVER_TIMEOUT):
            while not (self._opened.is_set() and self._running.is_set()):
                await self._opened.wait()
                await self._running.wait()
        self._events.data(data)

    def departed(self, connection: PeerConnection) -> None:
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        if not self._connections:
            self._due.clear()
            self._cancel_gone()
            if self._opened.is_set():
                self._gone = asyncio.get_running_loop().call_later(GRACE, self._lost)

    def _lost(self) -> None:
        self._gone = None
        if self._opened.is_set():
            self._opened.clear()
            self._events.lost(None)

    def _cancel_gone(self) -> None:
        if self._gone is not None:
            self._gone.cancel()
            self._gone = None

    # -- its place at the listener

    def _register(self) -> None:
        self._stay()
        if self._address is not None:
            self._listener.own(self)
        elif self not in self._listener.sharing:
            self._listener.sharing.append(self)

    def _stay(self) -> None:
        if self._retiring is not None:
            self._retiring.cancel()
            self._retiring = None

    def _retire_later(self) -> None:
        self._stay()
        self._retiring = asyncio.get_running_loop().call_later(RETIRE, self._retire)

    def _retire(self) -> None:
        """The device was removed from the settings, or its port is another's now."""
        self._retiring = None
        if self in self._listener.sharing:
            self._listener.sharing.remove(self)
        if self._listener.owner is self:
            self._listener.owner = None
            self._stopping = asyncio.get_running_loop().create_task(self._listener.release(), name="listener stops")
