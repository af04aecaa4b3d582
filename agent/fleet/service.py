"""Fleet service: desired state and accounts over the broker that the settings name; put together, and sent."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import NotConnected, UplinkError
from gatepost.agent.core.views import ViewedBroker, ViewedDevices
from gatepost.agent.fleet.accounts import AccountMessage, DeliveryAccounts
from gatepost.agent.fleet.admission import DocumentAdmission
from gatepost.agent.fleet.desired_settings import DesiredSettings
from gatepost.agent.fleet.health import HealthComparison
from gatepost.agent.fleet.record import DesiredReport
from gatepost.agent.fleet.reports import DesiredReports, FleetAudit
from gatepost.agent.fleet.validation import SettingsValidation
from gatepost.agent.settings.current import CurrentSettings
from gatepost.agent.settings.editor import SettingsEditor
from gatepost.agent.settings.loading import FLEET_DROP
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.trial.trial import SettingsTrial
from gatepost.agent.store import Store
from gatepost.agent.uplink.mqtt.inbox import InboundMessage
from gatepost.drivers.driver import Registry

log = logging.getLogger("gatepost.agent.fleet")

SEND_WITHIN = 5.0  # seconds for an acknowledgement
JITTER = 30.0  # seconds at most after connecting until desired state is asked for: a fleet must not ask at once
ASK_AGAIN = 30.0  # seconds until an enquiry that the broker did not acknowledge is repeated


class FleetLink(ViewedBroker, Protocol):
    def topic(self, key: str) -> str: ...

    def devices_changed(self) -> None: ...

    def requeue(self) -> None: ...

    async def send(
        self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, *, timeout: float = SEND_WITHIN
    ) -> None: ...


class FleetBrokers(Protocol):
    def get(self, name: str) -> FleetLink | None: ...

    def views(self) -> Sequence[FleetLink]: ...


class FleetService:
    """Fleet service of one agent. Its tasks are `desired.run` and `accounts.run`."""

    def __init__(
        self,
        state_dir: Path,
        version: str,
        *,
        current: CurrentSettings,
        editor: SettingsEditor,
        trial: SettingsTrial,
        registry: Registry,
        brokers: FleetBrokers,
        devices: ViewedDevices,
        store: Store,
        audit: FleetAudit,
        clock: Clock,
    ) -> None:
        self._current = current
        self._brokers = brokers
        gateway = current.settings.gateway.id
        self.reports = DesiredReports(state_dir, gateway, version, store, audit, clock, self._publish_report)
        validation = SettingsValidation(editor, registry, editor.path.with_name(FLEET_DROP))
        admission = DocumentAdmission(current, self.reports, validation, clock)
        admission.ask_again = self.granted
        self.desired = DesiredSettings(
            state_dir,
            current=current,
            editor=editor,
            trial=trial,
            reports=self.reports,
            admission=admission,
            compare=lambda: HealthComparison(brokers, devices),
            clock=clock,
            on_manual=self._topics_changed,
        )
        self.accounts = DeliveryAccounts(store, gateway, clock, self._publish_account)
        self.jitter = JITTER * share_of(gateway)
        self._asking: asyncio.Task[None] | None = None

    @property
    def broker(self) -> str | None:
        return self._current.settings.fleet.broker

    async def prepare(self, settings: Settings) -> None:
        """Before the brokers are connected with these settings: have what that of the fleet needs."""
        if await self.accounts.keep(settings.fleet.broker):
            link = self._brokers.get(settings.fleet.broker or "")
            if link is not None:
                link.requeue()  # what it has not sent yet is counted

    def topic_keys(self) -> tuple[str, ...]:
        """Of the topics that are subscribed to."""
        return ("desired", "desired_confirm") if self.desired.manual else ("desired",)

    def take(self, key: str, message: InboundMessage) -> None:
        (self.desired.take if key == "desired" else self.desired.confirm)(bytes(message.payload))

    def granted(self) -> None:
        """The broker brings what is published from now on: what was published before is asked for."""
        self.close()
        self._asking = asyncio.get_running_loop().create_task(self._ask())

    def connected(self) -> None:
        self.desired.connected()
        self.accounts.connected()

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def as_dict(self) -> dict[str, Any]:
        return {"broker": self.broker, **self.desired.as_dict()}

    def _topics_changed(self) -> None:
        link = self._link()
        if link is not None:
            link.devices_changed()

    async def _ask(self) -> None:
        await asyncio.sleep(self.jitter)
        while True:
            record = self.reports.record
            try:
                await self._publish("desired_get", {"have": record.decided, "hash": record.hash}, False)
            except NotConnected:
                return  # the next connection asks
            except UplinkError as error:
                log.debug("desired state could not be asked for: %s", error.message)
                await asyncio.sleep(ASK_AGAIN)
            else:
                return

    async def _publish_report(self, report: DesiredReport, retain: bool) -> None:
        await self._publish("reported", report, retain)

    async def _publish_account(self, message: AccountMessage) -> None:
        await self._publish("account", message, False)

    async def _publish(self, key: str, body: Any, retain: bool) -> None:
        """Acknowledged when it returns. UplinkError."""
        link = self._link()
        if link is None:
            raise NotConnected("no broker carries the fleet")
        await link.send(link.topic(key), msgspec.json.encode(body), 1, retain, timeout=SEND_WITHIN)

    def _link(self) -> FleetLink | None:
        return None if self.broker is None else self._brokers.get(self.broker)


def share_of(gateway: str) -> float:
    """From 0 to 1, another one for each gateway, always the same for one."""
    return int.from_bytes(hashlib.blake2b(gateway.encode(), digest_size=4).digest(), "big") / (1 << 32)
