"""The composition root: builds the parts of one agent, gives each what it needs, starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from gatepost.agent.agent_parts import AgentParts
from gatepost.agent.api.auth.rate_limits import AddressLockout
from gatepost.agent.api.auth.tokens import TokenStore
from gatepost.agent.api.http.server import ApiServer
from gatepost.agent.audit.log import AuditLog
from gatepost.agent.broker_commands import BrokerCommands
from gatepost.agent.commands.authentication import CommandAuthenticator
from gatepost.agent.commands.dispatcher import CommandDispatcher
from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.clock_monitor import ClockMonitor
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.core.events import EventBus
from gatepost.agent.device_profiles import DeviceProfiles
from gatepost.agent.devices.link_factory import HardwareLinks
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.fleet.on_demand import FleetOnDemand
from gatepost.agent.gateway_commands import GatewayCommands
from gatepost.agent.listener.on_demand import ListenerOnDemand
from gatepost.agent.process import state_dir_lock
from gatepost.agent.process.ending import end_within
from gatepost.agent.process.logs import AgentLogs
from gatepost.agent.process.notify import Notifier
from gatepost.agent.process.supervisor import Supervisor
from gatepost.agent.process.watchdog import Watchdog, interval_from
from gatepost.agent.settings import LoadedSettings, resolve_secret
from gatepost.agent.settings.current import CurrentSettings
from gatepost.agent.settings.editor import SettingsEditor
from gatepost.agent.settings.loading import DROPS, SettingsLoader
from gatepost.agent.settings.model import Secret, Settings
from gatepost.agent.settings.trial.changes import SettingsChanges
from gatepost.agent.settings.trial.trial import SettingsTrial
from gatepost.agent.settings_applier import SettingsApplier
from gatepost.agent.status_report import StatusReport
from gatepost.agent.store import Store
from gatepost.agent.store.schema import DATABASE
from gatepost.agent.uplink.broker_discovery import BrokerDiscovery
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.manager import BrokerManager
from gatepost.agent.uplink.message_log import MessageLog
from gatepost.agent.uplink.mqtt.connection import InboundMessage
from gatepost.agent.uplink.topic_subscriptions import TopicSubscriptions
from gatepost.drivers.driver import Registry
from gatepost.drivers.installed import version

if TYPE_CHECKING:
    from gatepost.agent.fleet.service import FleetService
    from gatepost.agent.listener.listener import DeviceListener

log = logging.getLogger("gatepost")

AUDIT = "audit.log"
STOP_WITHIN = 4.7  # seconds in which the agent is gone after SIGTERM,
STORE_LEFT = 1.8  # of which what is stored last may always take so many
LONGEST_SLOWING = 60.0  # seconds for which a wrong password of a device slows the next attempt


class App:
    """One running agent. `start`, then `run` until `stop` is asked for; `close` ends everything within 5 s."""

    store: Store
    audit: AuditLog
    tokens: TokenStore
    devices: DeviceManager
    brokers: BrokerManager
    dispatcher: CommandDispatcher
    applier: SettingsApplier
    report: StatusReport
    trial: SettingsTrial
    editor: SettingsEditor
    api: ApiServer

    def __init__(
        self, loaded: LoadedSettings, settings: Settings, config: Path, env: Mapping[str, str], logs: AgentLogs
    ) -> None:
        self.current = CurrentSettings(loaded, settings)
        self.state_dir = Path(settings.gateway.state_dir)
        self.clock = SystemClock()
        self._logs = logs
        self._env = env
        self._events = EventBus()
        self._rng = Random()  # noqa: S311 - jitter, no secret
        self._loader = SettingsLoader(config, env, Registry.installed(), self.state_dir / DROPS)
        self._subscriptions = TopicSubscriptions()
        self._message_log = MessageLog(self.clock, self._events)
        self._supervisor = Supervisor(log, self._rng)
        self._notifier = Notifier.from_environment(env)
        self.listener = ListenerOnDemand(self._make_listener)
        self.fleet = FleetOnDemand(self._make_fleet, self._supervisor)
        self._broker_commands = BrokerCommands(self.current, self.listener)
        self._lock: state_dir_lock.StateDirLock
        self._stopping = asyncio.Event()
        self._started = asyncio.Event()
        self._hangups: set[asyncio.Task[Any]] = set()

    # --- start and stop

    async def start(self) -> None:
        """READY once the settings are valid and the store is open; nothing here waits for a device or a broker."""
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = state_dir_lock.take(self.state_dir)
        await self._open_store()
        self._build_devices_and_brokers()
        self._build_settings_parts()
        self._build_commands()
        await self.dispatcher.start()
        await self.editor.adopt_patients(self.store.key_value)
        await self.applier.start()
        await self._serve_api()
        self._notifier.ready("starting devices and brokers")
        self._start_tasks()
        self.audit.record("started", version=version("gatepost"))
        if self.current.last_good:
            problems = len(self.current.loaded.errors)
            self.store.event("settings-refused", {"reason": "start", "changed": [], "problems": problems})
        self.report.update_systemd_status()
        self._started.set()

    async def _open_store(self) -> None:
        settings = self.current.settings
        self.store = await Store.open(
            self.state_dir / DATABASE, settings.gateway.id, settings.store, self.clock, self._events, self._rng
        )
        self.store.disk.lock = self._lock
        # Before anything is stored: brokers are owed what opening reported.
        self.store.backlog.set_brokers(list(settings.brokers))
        await self._subscriptions.load(self.store)
        for name, task in self.store.background_tasks().items():
            self._supervisor.start(name, task)
        self.audit = await AuditLog.open(
            self.state_dir / AUDIT, self.clock, self.store.key_value.get, self.store.key_value.put
        )
        self.tokens = TokenStore(self.store, self.clock)
        await self.tokens.load()
        self.tokens.on_revoked.append(self.listener.token_revoked)

    def _make_listener(self) -> DeviceListener:
        from gatepost.agent.listener.listener import DeviceListener  # loaded with the first device that needs it

        settings = self.current.settings
        return DeviceListener(
            self.store,
            self.clock,
            self._events,
            self._rng,
            settings.gateway.id,
            settings.gateway.organization,
            self.tokens,
            AddressLockout(self.clock.monotonic, LONGEST_SLOWING),
            self._resolve,
            lambda: self.current.settings.api.cors_origins,
        )

    def _build_devices_and_brokers(self) -> None:
        log = logging.getLogger("gatepost.agent.devices")
        self.devices = DeviceManager(
            self._loader.registry,
            self.store,
            self.clock,
            self._events,
            self._rng,
            log,
            links=HardwareLinks(self._rng, log, self.current.settings.bluetooth, self.store.writer),
            resolve=self._resolve,
            mqtt_link=self.listener.link,
            commits=self.store.writer,
        )
        self.devices.on_status = self._on_device_status
        self.store.on_condition.append(self._on_store_condition)
        gateway = self.current.settings.gateway
        profiles = DeviceProfiles(lambda: self.current.settings, self.devices, self._resolve)
        context = UplinkContext(
            store=self.store,
            clock=self.clock,
            rng=self._rng,
            events=self._events,
            gateway=gateway.id,
            organization=gateway.organization,
            version=version("gatepost"),
            resolve=self._resolve,
            devices=self.devices.statuses,
            profiles=profiles,
            read_tokens=profiles.read_tokens,
            on_command=self._broker_commands.take,
            on_connected=self._on_connected,
            followed=self._subscriptions.of,
            on_message=self._on_message,
            further=self.fleet.topic_keys,
            on_further=self.fleet.take,
            on_granted=self.fleet.granted,
        )
        self.brokers = self._broker_commands.brokers = BrokerManager(context, self._supervisor)

    def _make_fleet(self) -> FleetService:
        from gatepost.agent.fleet.service import FleetService  # loaded with the first settings that name its broker

        return FleetService(
            self.state_dir,
            version("gatepost"),
            current=self.current,
            editor=self.editor,
            trial=self.trial,
            registry=self._loader.registry,
            brokers=self.brokers,
            devices=self.devices,
            store=self.store,
            audit=self.audit,
            clock=self.clock,
        )

    def _build_settings_parts(self) -> None:
        self.report = StatusReport(
            self.current,
            store=self.store,
            devices=self.devices,
            brokers=self.brokers,
            supervisor=self._supervisor,
            notifier=self._notifier,
            clock=self.clock,
            fleet=self.fleet,
        )
        self.applier = SettingsApplier(
            self.current,
            self._loader,
            devices=self.devices,
            brokers=self.brokers,
            store=self.store,
            logs=self._logs,
            audit=self.audit,
            clock=self.clock,
            listener=self.report,
            mqtt_listener=self.listener,
            fleet=self.fleet,
        )
        editor = self.editor = SettingsEditor(self._loader, self.applier)
        go_back, turn = self.applier.go_back, editor.turn
        self.trial = SettingsTrial(self.state_dir, self.clock, self._events, self.audit, go_back, turn)
        self.applier.on_trial = lambda: self.trial.pending is not None
        self.trial.on_ended.append(self.applier.keep)
        self.report.listener, self.report.trial = self.listener, self.trial
        self.trial.on_ended.append(editor.remove_unused_secrets)
        editor.check_free = self.trial.check_free

    def _build_commands(self) -> None:
        gateway = GatewayCommands(
            devices=self.devices,
            brokers=self.brokers,
            store=self.store,
            applier=self.applier,
            editor=self.editor,
            report=self.report,
            logs=self._logs,
        )
        self.dispatcher = self._broker_commands.dispatcher = CommandDispatcher(
            self.store.ledger,
            self.audit,
            self.devices,
            gateway,
            lambda: self.current.settings,
            self.clock,
            CommandAuthenticator(self._token_of, lambda: self._resolve(self.current.settings.commands.signing.key)),
            self._broker_commands.respond,
            self._events,
        )

    async def _serve_api(self) -> None:
        parts = AgentParts(
            current=self.current,
            registry=self._loader.registry,
            editor=self.editor,
            changes=SettingsChanges(self.editor, self.trial),
            applier=self.applier,
            report=self.report,
            subscriptions=self._subscriptions,
            message_log=self._message_log,
            discovery=BrokerDiscovery(self.clock.monotonic),
            store=self.store,
            devices=self.devices,
            brokers=self.brokers,
            dispatcher=self.dispatcher,
            audit=self.audit,
            events=self._events,
            clock=self.clock,
            log_ring=self._logs.ring,
            listener=self.listener,
        )
        path = Path(self.current.settings.api.socket)
        self.api = ApiServer(parts, path, resolve=self._resolve, tokens=self.tokens)
        self.applier.api = self.report.api = self.api
        try:
            await self.api.serve()
        except GatepostError as error:
            log.error("the local API is not served: %s; %s", error.message, error.hint)
            self.applier.api = self.report.api = None

    def _start_tasks(self) -> None:
        start = self._supervisor.start
        monitor = ClockMonitor(self.clock, self._on_clock_step, self.store.clock_in_step)
        self.clock.on_step = monitor.wake
        start("clock.monitor", monitor.run)
        start("settings.watch", self.applier.watch)
        interval = interval_from(self._env, os.getpid())
        if interval is not None:
            start("watchdog", Watchdog(self._notifier, interval, [self.report.check_progress], log).run)

    def take_signal(self, number: int) -> None:
        """SIGHUP reloads, once the agent has started and as long as it does not stop; others stop it."""
        if number != signal.SIGHUP:
            self._stopping.set()
        elif not self._stopping.is_set():
            task = asyncio.get_running_loop().create_task(self._reload_once_started())
            self._hangups.add(task)
            task.add_done_callback(self._hangups.discard)

    async def _reload_once_started(self) -> None:
        await self._started.wait()
        await self.applier.reload("SIGHUP")

    async def run(self) -> None:
        """Until a signal or `stop` ends it."""
        await self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()

    async def close(self) -> None:
        """Everything that was taken is stored, brokers are told, positions are written: bounded by 5 s. After a start
        that failed: of the parts that there are."""
        self._notifier.stopping("storing what was taken")
        log.info("stopping")
        until = asyncio.get_running_loop().time() + STOP_WITHIN
        others = until - STORE_LEFT
        made = vars(self)
        for task in self._hangups:
            task.cancel()
        await end_within("a reload", self._supervisor.cancel("settings.watch", 0.3), 0.5, others)
        await end_within("desired state", self._supervisor.cancel("fleet.desired", 0.3), 0.5, others)
        if "trial" in made:
            self.trial.close()
        self.fleet.close()
        if "listener" in made:
            await end_within("the listener", self.listener.stop(), 0.9, others)
        ends = [end_within("devices", self.devices.close(), 2.0, others)] if "devices" in made else []
        ends += [end_within("the API", self.api.stop(0.3), 0.8, others)] if "api" in made else []
        await asyncio.gather(*ends)
        if "dispatcher" in made:
            await end_within("commands", self.dispatcher.close(0.3), 0.8, others)
        if "brokers" in made:
            await end_within("brokers", self.brokers.close(), 1.5, others)
        if "audit" in made:
            self.audit.record("stopped")
            await end_within("the audit log", self.audit.close(), 0.5, others)
        if "store" in made:
            self.store.finish()
            await end_within("the store", self._supervisor.wait("store.writer"), 1.5, until)
        await self._supervisor.stop(max(0.2, min(1.0, until - asyncio.get_running_loop().time())))
        if "store" in made:
            await end_within("the database", self.store.close(), 1.0, until)
        if "_lock" in made:
            self._lock.close()
        log.info("stopped")

    # --- what one part tells another

    def _resolve(self, secret: Secret | None) -> str | None:
        return resolve_secret(secret, self._env)

    def _token_of(self, name: str) -> str | None:
        device = self.current.settings.devices.get(name)
        return self._resolve(device.token) if device else None

    def _on_store_condition(self) -> None:
        self.brokers.condition_changed()
        self.report.update_systemd_status()

    def _on_device_status(self, device: str, payload: dict[str, Any]) -> None:
        self.brokers.device_status(device, payload)
        self.report.update_systemd_status()

    def _on_clock_step(self, seconds: float, synchronised: bool) -> None:
        self.store.event("clock-step", {"seconds": seconds, "synchronised": synchronised})
        self.audit.record("clock-step", seconds=round(seconds, 3))

    async def _on_connected(self, broker: str) -> None:
        self.report.update_systemd_status()
        self.fleet.connected(broker)
        await self.dispatcher.resume(broker)

    def _on_message(self, broker: str, message: InboundMessage) -> None:
        self._message_log.take(broker, message.topic, bytes(message.payload), message.qos, message.retain, "in")
