"""WebSocket connection of one client: a bounded queue, a count of what it missed, an end for one that reads nothing."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import orjson

from gatepost.agent.api.auth.principal import Principal
from gatepost.agent.api.auth.rate_limits import RateLimiter
from gatepost.agent.api.websocket.event_filter import ClientMessage, EventSelection
from gatepost.agent.api.websocket.handshake import frame
from gatepost.agent.core.errors import BadInput, GatepostError

if TYPE_CHECKING:
    from gatepost.agent.api.websocket.broadcaster import Broadcaster

BUFFER = 32 * 1024  # octets in the transport, above which it counts as full
SYSTEM = 128 * 1024  # octets in the system's buffer
WAITING = 128 * 1024  # octets that wait for one client,
EVENTS = 1000  # and events
TALK = 10.0  # messages a second of a client, and twice that at once
CONT, TEXT, CLOSE = 0, 1, 8
PING, PONG = b"ping", b'{"event":"pong"}'
LEAVES, WRONG_KIND, TOO_MUCH, NO_ANSWER, TOO_SLOW, NO_RIGHT = 1001, 1003, 1008, 1011, 1013, 4401


class WebSocketTimeouts(NamedTuple):
    """Timeouts of a client's connection, in seconds."""

    ping: float = 20.0  # between two
    stuck: float = 10.0  # in which a full buffer must have become less full
    farewell: float = 3.0  # for the end of the closing handshake


class WebSocketConnection(asyncio.Protocol):
    """Connection of one client, from the handshake on; `ended` is done when it is gone."""

    def __init__(
        self,
        broadcaster: Broadcaster,
        protocol: Any,
        principal: Principal,
        still_valid: Callable[[], bool] | None,
        selection: EventSelection,
        address: str,
        bare: bool = False,
    ) -> None:
        self.principal = principal
        self.address = address
        self.selection = selection
        self.bare = bare  # gets the data of events alone, without the event around it
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._broadcaster = broadcaster
        self._protocol = protocol
        self._still_valid = still_valid
        self._loop = asyncio.get_running_loop()
        self._rate = RateLimiter(self._loop.time)
        self._timer: asyncio.TimerHandle | None = None  # of being stuck, later of closing
        self._connections: set[Any] = set()
        self._queue: deque[tuple[bytes, int]] = deque()  # frames that wait, and how many events they are
        self._octets = self._events = self._lost = self._unread = 0
        self._paused = self._closing = False
        self._heard = True
        self._part: bytearray | None = None

    # --- the connection

    def begin(self, transport: asyncio.Transport, connections: set[Any], early: bytes) -> None:
        """Takes the connection over; `early` came behind the request, `connections` are those of the listener."""
        self.transport, self._connections = transport, connections
        connections.add(self)
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=BUFFER)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError, AttributeError, TypeError):  # a comfort: the system takes megabytes otherwise
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM)
        self._push()
        self._broadcaster.join(self)
        transport.resume_reading()
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        self._protocol.receive_data(data)
        for received in self._protocol.events_received():
            if self._closing:
                break
            self._frame(received)
        self._push()  # after what was answered: it may be the end
        if not self._closing and self._protocol.close_expected():
            self._leave()

    def eof_received(self) -> bool:
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._relax()
        self._connections.discard(self)
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True
        if not self._closing:
            self.transport.pause_reading()  # or its pings make answers without end
            self._watch()

    def resume_writing(self) -> None:
        self._paused = False
        if self._closing:
            return
        self._relax()
        self._heard = True
        self.transport.resume_reading()
        while self._queue and not self._paused:
            self._tell_lost()
            frames, count = self._queue.popleft()
            self._octets -= len(frames)
            self._events -= count
            self._broadcaster.waiting -= len(frames)
            self.transport.write(frames)
        if self._lost and not self._paused:
            self._tell_lost()

    def _push(self) -> None:
        for octets in self._protocol.data_to_send():
            if octets:
                self.transport.write(octets)
            elif self.transport.can_write_eof() and not self.transport.is_closing():
                self.transport.write_eof()  # what it still sends is read, else it might never see why
            else:
                self.transport.close()

    # --- what it is told

    def feed(self, frames: bytes, count: int) -> None:
        """Frames of `count` events, shared with others; never waits."""
        if self._closing:
            return
        if not self._paused:
            self._tell_lost()
            self.transport.write(frames)
            return
        while self._queue and not self._room(len(frames), count):
            old, gone = self._queue.popleft()
            self._octets -= len(old)
            self._events -= gone
            self._broadcaster.waiting -= len(old)
            self.miss(gone)
        if not self._room(len(frames), count):
            self.miss(count)
            return
        self._queue.append((frames, count))
        self._octets += len(frames)
        self._events += count
        self._broadcaster.waiting += len(frames)

    def miss(self, count: int) -> None:
        """So many events did not reach it; it is told before the next one that does."""
        self._lost += count
        self._broadcaster.lost += count

    def say(self, kind: str, data: Any) -> None:
        """A frame for this client alone."""
        self.feed(self._broadcaster.frame(kind, data), 0)

    def _room(self, octets: int, count: int) -> bool:
        return (
            self._octets + octets <= WAITING and self._events + count <= EVENTS and self._broadcaster.room_for(octets)
        )

    def _tell_lost(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            self.transport.write(self._broadcaster.frame("lost", {"count": lost}))

    # --- what it says

    def _frame(self, received: Any) -> None:
        if received.opcode == TEXT:
            self._part = bytearray(received.data)
        elif received.opcode == CONT and self._part is not None:
            self._part += received.data
        elif received.opcode >= CLOSE:  # answered below
            return
        else:
            self.close(WRONG_KIND, "text frames only")
            return
        if received.fin:
            message, self._part = bytes(self._part), None
            self._message(message)

    def _message(self, message: bytes) -> None:
        if self._rate.take("", TALK):
            self.close(TOO_MUCH, "too many messages")
            return
        try:
            self._heed(message)
        except GatepostError as error:
            self.say("error", error.as_dict())

    def _heed(self, message: bytes) -> None:
        if message == PING:
            self.feed(frame(PONG), 0)
            return
        hint = '{"subscribe": {"events": [...], "devices": [...], "metrics": [...]}} or {"ping": ...}'
        try:
            said = msgspec.json.decode(message, type=ClientMessage)
            orjson.dumps(said.ping, default=lambda _: None)  # what no answer could repeat: too deep, beyond 64 bits
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError) as error:
            raise BadInput(f"message: {error}", hint) from None
        if isinstance(said.subscribe, EventSelection):
            said.subscribe.check()
            self._broadcaster.choose(self, said.subscribe)
            self.say("subscribed", said.subscribe.as_dict())
        if said.ping is not msgspec.UNSET:
            self.say("pong", said.ping)

    # --- how it ends

    def beat(self) -> None:
        """From time to time: asks whether it is there, and whether it still may be."""
        if self._closing:
            return
        self.check_validity()
        if self._closing or self._paused:
            pass  # `_stuck` judges
        elif not self._heard:
            self.close(NO_ANSWER, "no answer to a ping")
        else:
            self._heard = False
            self._protocol.send_ping(b"")
            self._push()

    def check_validity(self) -> None:
        """Ends who may not listen any more."""
        if self._still_valid is not None and not self._closing and not self._still_valid():
            self.close(NO_RIGHT, "credentials are no longer valid")

    def shutdown(self) -> None:
        """As the listener asks its connections to."""
        self.close(LEAVES, "the agent stops, or serves elsewhere")

    def close(self, code: int, reason: str) -> None:
        """The closing handshake; who does not take part is cut off."""
        if self._closing:
            return
        lost = self._lost + self._events
        self._leave()
        if lost:
            self.transport.write(self._broadcaster.frame("lost", {"count": lost}))
        if self._protocol.close_sent is None:
            self._protocol.send_close(code, reason)
        self._push()
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _leave(self) -> None:
        """Gets no more events; whatever happens, the connection is gone soon."""
        if self._closing:
            return
        self._closing = True
        self._broadcaster.leave(self)
        self._broadcaster.waiting -= self._octets
        self._queue.clear()
        self._octets = self._events = 0
        self._relax()
        self._timer = self._loop.call_later(self._broadcaster.patience.farewell, self.transport.abort)

    def _watch(self) -> None:
        self._relax()
        self._unread = self.transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._broadcaster.patience.stuck, self._stuck)

    def _stuck(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread:
            self._watch()
        else:
            self._broadcaster.cut_off += 1
            self.close(TOO_SLOW, "too slow: nothing was taken for too long")

    def _relax(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
