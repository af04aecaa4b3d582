"""The listener, loaded with the first device or address that needs it: without one it costs no memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gatepost.agent.core.errors import DeviceError, ListenWrong
from gatepost.agent.devices.interfaces import Connect
from gatepost.agent.settings.model import ListenerSettings, Settings

if TYPE_CHECKING:
    from gatepost.agent.listener.listener import DeviceListener

log = logging.getLogger(__name__)

DRIVER = "mqtt"
OFF: dict[str, Any] = {
    "isInitialized": False,
    "connectedClients": 0,
    "authenticatedClients": 0,
    "host": None,
    "port": None,
    "tls": False,
    "ws": None,
    "received": 0,
    "stored": 0,
    "unacknowledged": 0,
    "sessions": 0,
    "refused": {"auth": 0, "topic": 0, "payload": 0, "malformed": 0, "rate": 0},
    "trouble": "",
    "clients": [],
}


class ListenerOnDemand:
    """`make` builds the listener. `running` is it, once something needed it."""

    def __init__(self, make: Callable[[], DeviceListener]) -> None:
        self.running: DeviceListener | None = None
        self._make = make
        self._held: ListenerSettings | None = None  # that were accepted last, served or not

    async def prepare(self, settings: Settings) -> None:
        """Before the devices: have what those that speak MQTT need. Raises StoreError."""
        listener = settings.listener
        wanted = listener.listen or listener.ws or any(each.driver == DRIVER for each in settings.devices.values())
        if self.running is None and wanted:
            made = self._make()
            await made.start()
            self.running = made

    def link(self, name: str) -> Connect:
        if self.running is None:
            raise DeviceError(f"{name}: only driver {DRIVER} is carried by MQTT")
        return self.running.link(name)

    async def apply(self, settings: Settings) -> None:
        """Raises ListenWrong; at the start, and for what failed there and was not changed since, the agent goes on
        without: `trouble` says why."""
        if self.running is None:
            return
        self.running.directory.keep({name for name, device in settings.devices.items() if device.driver == DRIVER})
        try:
            await self.running.apply(settings.listener, settings.brokers)
        except ListenWrong as error:
            self.running.server.trouble = error.message
            if self._held is not None and settings.listener != self._held:
                raise
            log.error("%s; %s", error.message, error.hint)
        self._held = settings.listener

    async def stop(self) -> None:
        if self.running is not None:
            await self.running.stop()

    @property
    def trouble(self) -> str:
        """Why devices cannot connect as the settings say."""
        return "" if self.running is None else self.running.server.trouble

    @property
    def certificate_ends(self) -> float | None:
        """Of the certificate in use, in seconds since 1970."""
        return None if self.running is None else self.running.server.certificate_ends

    def as_dict(self) -> dict[str, Any]:
        return dict(OFF) if self.running is None else self.running.as_dict()

    def refused(self) -> list[dict[str, Any]]:
        """The newest messages that were not taken."""
        return [] if self.running is None else self.running.intake.refusals.as_list()

    def hang_up(self, device: str) -> int:
        """End the device's connections; how many there were."""
        return 0 if self.running is None else self.running.server.hang_up(device)

    def token_revoked(self, ident: str) -> None:
        if self.running is not None:
            self.running.server.token_revoked(ident)

    def broadcast(self, payload: bytes) -> None:
        if self.running is not None:
            self.running.broadcast(payload)
