"""Commands and broadcasts for devices: to the connection that subscribed to them, or into a session that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gatepost.agent.core.errors import DeviceOffline
from gatepost.agent.listener.client_sessions import MOST_COMMANDS, ClientSession, ClientSessions, OutgoingMessage
from gatepost.agent.listener.subscriptions import granted

BROADCAST_LIFE = 60.0  # seconds


class DeviceOutbox:
    """See CommandCarrier in device_link.py. `carrier` is the device whose connection carries another one's."""

    def __init__(self, sessions: ClientSessions, is_connected: Callable[[str], bool]) -> None:
        self._sessions = sessions
        self._has_connection = is_connected

    def is_connected(self, device: str, carrier: str) -> bool:
        session = self._way(device, carrier)
        return session is not None and session.connection is not None

    def is_reachable(self, device: str, carrier: str) -> bool:
        return self._way(device, carrier) is not None

    def send(self, device: str, carrier: str, payload: bytes, expires_in: float) -> asyncio.Future[bool]:
        session = self._way(device, carrier)
        if session is None:
            if self._has_connection(carrier):
                message = f"{device} is connected, but has not subscribed to devices/{device}/commands"
                raise DeviceOffline(message, "subscribe there with QoS 1")
            raise DeviceOffline(f"{device} is not connected, and has no session in which a command could wait")
        if sum(each.commands for each in self._sessions.of(carrier)) >= MOST_COMMANDS:
            raise DeviceOffline(f"{MOST_COMMANDS} commands wait for {carrier} already", "send it again when it is back")
        return self._put(session, f"devices/{device}/commands", payload, expires_in)

    def broadcast(self, topic: str, payload: bytes, sessions: list[ClientSession]) -> None:
        """To every device that is connected and subscribed to it; nobody waits for it."""
        for session in sessions:
            if session.connection is not None and granted(session.subscriptions, topic) is not None:
                done = self._put(session, topic, payload, BROADCAST_LIFE)
                done.add_done_callback(lambda future: future.cancelled() or future.exception())

    def _put(self, session: ClientSession, topic: str, payload: bytes, expires_in: float) -> asyncio.Future[bool]:
        loop = asyncio.get_running_loop()
        message = OutgoingMessage(topic, payload, loop.time() + expires_in, loop.create_future())
        session.waiting.append(message)
        if session.connection is not None:
            session.connection.send_waiting()
        return message.done

    def _way(self, device: str, carrier: str) -> ClientSession | None:
        """A session that wants the device's commands; one with a connection goes first."""
        topic = f"devices/{device}/commands"
        found = [each for each in self._sessions.of(carrier) if granted(each.subscriptions, topic) is not None]
        return max(found, key=lambda each: each.connection is not None, default=None)
