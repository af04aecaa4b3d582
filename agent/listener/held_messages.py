"""Messages of connections that cannot be taken yet: the store has no room, or their device is being opened anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from gatepost.agent.listener.acknowledgements import CommitLog
from gatepost.agent.listener.client_sessions import ClientSession
from gatepost.agent.listener.connection import DeviceConnection
from gatepost.agent.listener.intake import HELD, TakenMessage
from gatepost.agent.listener.link_directory import LinkDirectory
from gatepost.agent.listener.packets import PublishPacket
from gatepost.drivers.mqtt.options import LISTENER

LONGEST_WAIT = 10.0  # seconds for a device that is being opened anew
SERVER_BUSY = 0x89


class HeldMessages:
    """One for the server. A connection with a message that waits is not read; where that takes too long it is ended,
    and what was not acknowledged is the device's to send again. `take` and `answer` are the server's."""

    def __init__(
        self,
        directory: LinkDirectory,
        commits: CommitLog,
        take: Callable[[DeviceConnection, PublishPacket], None],
        answer: Callable[[DeviceConnection, ClientSession, PublishPacket, TakenMessage], None],
    ) -> None:
        self._directory = directory
        self._commits = commits
        self._take = take
        self._answer = answer

    def hold(
        self, connection: DeviceConnection, client: ClientSession, packet: PublishPacket, taken: TakenMessage
    ) -> None:
        link = taken.link
        assert link is not None
        if taken.ticket == HELD:
            link.on_settled.append(partial(self._settled, connection, client, packet, taken))
        else:
            cancel = self._directory.when_open(link.name, partial(self._again, connection, packet))
            timer = asyncio.get_running_loop().call_later(LONGEST_WAIT, self._give_up, connection)
            connection.waits = partial(_cancel, timer, cancel)
        connection.hold_back()

    def until_room(self, connection: DeviceConnection, packet: PublishPacket) -> None:
        """Nothing of the message is taken before the store has room."""
        room = asyncio.ensure_future(self._commits.wait_until_writable())
        room.add_done_callback(partial(self._room, connection, packet))
        connection.waits = room.cancel
        connection.hold_back()

    def _room(self, connection: DeviceConnection, packet: PublishPacket, room: asyncio.Future[None]) -> None:
        if not room.cancelled():
            self._again(connection, packet)

    def holds_back(self, device: str) -> bool:
        """Whether the store has no room for what this device's connections carry."""
        return any(link.paused for link in self._directory.carried_by(LISTENER, device))

    def _again(self, connection: DeviceConnection, packet: PublishPacket) -> None:
        connection.end_wait()
        self._take(connection, packet)
        connection.unpause()

    def _settled(
        self,
        connection: DeviceConnection,
        client: ClientSession,
        packet: PublishPacket,
        taken: TakenMessage,
        stored: bool,
    ) -> None:
        """The store has room again, and took what was held of this message just now; or it never will."""
        if not stored:
            connection.hang_up(SERVER_BUSY, "not stored", "the store had no room for its message")
            return
        self._answer(connection, client, packet, replace(taken, ticket=self._commits.ticket))
        connection.settle(self._commits.committed)

    def _give_up(self, connection: DeviceConnection) -> None:
        connection.hang_up(SERVER_BUSY, "not open", "the device could not be opened in time for its message")


def _cancel(timer: asyncio.TimerHandle, cancel: Callable[[], None]) -> None:
    timer.cancel()
    cancel()
