"""The fleet service, loaded with the first settings that name its broker: without one it costs no memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gatepost.agent.process.supervisor import Supervisor
from gatepost.agent.settings.model import Settings
from gatepost.agent.uplink.mqtt.inbox import InboundMessage

if TYPE_CHECKING:
    from gatepost.agent.fleet.service import FleetService


class FleetOnDemand:
    """`make` builds the service. `running` is it, once the settings asked for it."""

    def __init__(self, make: Callable[[], FleetService], supervisor: Supervisor) -> None:
        self.running: FleetService | None = None
        self._make = make
        self._supervisor = supervisor

    async def prepare(self, settings: Settings) -> None:
        """Before the brokers: have what the one of the fleet needs."""
        if self.running is None and settings.fleet.broker is not None:
            self.running = self._make()
            self._supervisor.start("fleet.desired", self.running.desired.run)
            self._supervisor.start("fleet.accounts", self.running.accounts.run)
        if self.running is not None:
            await self.running.prepare(settings)

    def topic_keys(self, broker: str) -> tuple[str, ...]:
        return self.running.topic_keys() if self.running is not None and self.running.broker == broker else ()

    def take(self, broker: str, key: str, message: InboundMessage) -> None:
        if self.running is not None and self.running.broker == broker:
            self.running.take(key, message)

    def granted(self, broker: str) -> None:
        if self.running is not None and self.running.broker == broker:
            self.running.granted()

    def connected(self, broker: str) -> None:
        if self.running is not None and self.running.broker == broker:
            self.running.connected()

    def close(self) -> None:
        if self.running is not None:
            self.running.close()

    def as_dict(self) -> dict[str, Any] | None:
        """None = no broker carries a fleet."""
        return None if self.running is None or self.running.broker is None else self.running.as_dict()
