"""The agent: the only place that knows every part. What starts and stops, in which order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from gatepost.agent import lock
from gatepost.agent.api.http.server import ApiServer
from gatepost.agent.audit.log import AuditLog
from gatepost.agent.commands.authentication import CommandAuthenticator
from gatepost.agent.commands.dispatcher import CommandDispatcher
from gatepost.agent.commands.model import AddressedResponse, CommandRequest
from gatepost.agent.core.clock import Clock, SystemClock, rfc3339
from gatepost.agent.core.clock_monitor import ClockMonitor
from gatepost.agent.core.errors import DeviceError, GatepostError, NotConnected, StoreError, UplinkError
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.gateway_commands import GatewayCommands
from gatepost.agent.process.logs import AgentLogs
from gatepost.agent.process.notify import Notifier
from gatepost.agent.process.supervisor import Supervisor
from gatepost.agent.process.watchdog import Watchdog, interval_from
from gatepost.agent.settings import LoadedSettings, Origin, SettingsWatcher, changes, load, resolve_secret
from gatepost.agent.settings.editor import SettingsEditor
from gatepost.agent.settings.last_good import LastGood
from gatepost.agent.settings.model import DeviceSettings, Secret, Settings
from gatepost.agent.store import Store
from gatepost.agent.uplink.broker_discovery import BrokerDiscovery
from gatepost.agent.uplink.broker_link import UplinkContext
from gatepost.agent.uplink.manager import BrokerManager
from gatepost.agent.uplink.message_log import MessageLog
from gatepost.agent.uplink.mqtt.connection import InboundMessage
from gatepost.agent.uplink.topic_subscriptions import TopicSubscriptions
from gatepost.drivers.driver import Registry
from gatepost.drivers.installed import version

log = logging.getLogger("gatepost")

DATABASE = "gatepost.db"
AUDIT = "audit.log"
STOP_WITHIN = 4.7  # seconds in which the agent is gone after SIGTERM,
STORE_LEFT = 1.8  # of which what is stored last may always take so many
STUCK = 10.0  # seconds beyond the commit interval in which readings wait, and none is stored
REPORTS_TO = "reports-to"  # key of the store's small state
FINAL = ("broker-refused-message", "broker-topic-wrong", "broker-message-too-large")  # asking again changes nothing


class App:
    """One running agent. `start`, then `run` until `stop` is asked for; `close` ends everything within 5 s."""

    def __init__(
        self, loaded: LoadedSettings, settings: Settings, config: Path, env: Mapping[str, str], logs: AgentLogs
    ) -> None:
        self.settings = settings
        self.loaded = loaded
        self.logs = logs
        self.state_dir = Path(settings.gateway.state_dir)
        self.own_drops = self.state_dir / "conf.d"
        self.editor = SettingsEditor(self)
        self.clock: Clock = SystemClock()
        self.events = EventBus()
        self.rng = Random()  # noqa: S311 - jitter, no secret
        self.registry = Registry.installed()
        self.subscriptions = TopicSubscriptions()
        self.message_log = MessageLog(self.clock, self.events)
        self.discovery = BrokerDiscovery(self.clock.monotonic)
        self.supervisor = Supervisor(log, self.rng)
        self.notifier = Notifier.from_environment(env)
        self.started = self.clock.now().wall
        self.store: Store
        self.devices: DeviceManager
        self.brokers: BrokerManager
        self.dispatcher: CommandDispatcher
        self.audit: AuditLog
        self._config = config
        self._env = env
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._last_reload: dict[str, Any] | None = None
        self._api: ApiServer | None = None
        self._hangups: set[asyncio.Task[Any]] = set()
        self._progress: tuple[int, float] | None = None  # commits while readings wait, and since when it is so many
        self._restricted: dict[str, list[str]] | None = None
        self._watcher = SettingsWatcher(loaded.watched, loaded.signature)

    # --- start and stop

    async def start(self) -> None:
        """READY once the settings are valid and the store is open; nothing here waits for a device or a broker."""
        async with self._reloading:  # a SIGHUP now is heeded when everything is there
            await self._start()

    async def _start(self) -> None:
        settings = self.settings
        gateway = settings.gateway
        self._lock = lock.take(self.state_dir)
        self.store = await Store.open(
            self.state_dir / DATABASE, gateway.id, settings.store, self.clock, self.events, self.rng
        )
        # Before anything is stored: brokers are owed what opening reported.
        self.store.backlog.set_brokers(list(settings.brokers))
        await self.subscriptions.load(self.store)
        for name, task in self.store.background_tasks().items():
            self.supervisor.start(name, task)
        self.audit = await AuditLog.open(
            self.state_dir / AUDIT, self.clock, self.store.key_value.get, self.store.key_value.put
        )
        self.devices = DeviceManager(
            self.registry,
            self.store,
            self.clock,
            self.events,
            self.rng,
            logging.getLogger("gatepost.agent.devices"),
            resolve=self._resolve,
        )
        self.devices.on_status = self._device_status
        parts = UplinkContext(
            store=self.store,
            clock=self.clock,
            rng=self.rng,
            events=self.events,
            gateway=gateway.id,
            organization=gateway.organization,
            resolve=self._resolve,
            devices=self.devices.statuses,
            on_command=self._on_command,
            on_connected=self._on_connected,
            followed=self.subscriptions.of,
            on_message=self._on_message,
        )
        self.brokers = BrokerManager(parts, self.supervisor)
        guard = CommandAuthenticator(self._token_of, lambda: self._resolve(self.settings.commands.signing.key))
        self.dispatcher = CommandDispatcher(
            self.store.ledger,
            self.audit,
            self.devices,
            GatewayCommands(self),
            settings,
            self.clock,
            guard,
            self._answer,
            self.events,
        )
        await self.dispatcher.start()
        self._api = ApiServer(self, Path(settings.api.socket), resolve=self._resolve)
        await self._apply_at_start(settings)
        try:
            await self._api.serve()
        except GatepostError as error:
            log.error("the local API is not served: %s; %s", error.message, error.hint)
            self._api = None
        self.notifier.ready("starting devices and brokers")
        self.supervisor.start("timekeeper", ClockMonitor(self.clock, self.store, self.audit).run)
        self.supervisor.start("settings.watch", self._watch_settings)
        interval = interval_from(self._env, os.getpid())
        if interval is not None:
            self.supervisor.start("watchdog", Watchdog(self.notifier, interval, [self._stuck], log).run)
        self.audit.record("started", version=version("gatepost"))
        if self._last_good:
            problems = len(self.loaded.errors)
            self.store.event("settings-refused", {"reason": "start", "changed": [], "problems": problems})
        self._say()

    def listen(self) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reloads; from before the start on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._hangup)

    async def run(self) -> None:
        """Until a signal or `stop` ends it."""
        await self._stopping.wait()

    def _hangup(self) -> None:
        task = asyncio.get_running_loop().create_task(self.reload("SIGHUP"))
        self._hangups.add(task)
        task.add_done_callback(self._hangups.discard)

    def stop(self) -> None:
        self._stopping.set()

    async def close(self) -> None:
        """Everything that was taken is stored, brokers are told, positions are written: bounded by 5 s."""
        self.notifier.stopping("storing what was taken")
        log.info("stopping")
        until = asyncio.get_running_loop().time() + STOP_WITHIN
        others = until - STORE_LEFT
        parts = [self._bounded("devices", self.devices.close(), 2.0, others)]
        if self._api is not None:
            parts.append(self._bounded("the API", self._api.stop(0.3), 0.8, others))
        await asyncio.gather(*parts)
        await self._bounded("commands", self.dispatcher.close(0.3), 0.8, others)
        await self._bounded("brokers", self.brokers.close(), 1.5, others)
        self.audit.record("stopped")
        await self._bounded("the audit log", self.audit.close(), 0.5, others)
        self.store.finish()
        await self._bounded("the store", self.supervisor.wait("store.writer"), 1.5, until)
        await self.supervisor.stop(max(0.2, min(1.0, until - asyncio.get_running_loop().time())))
        await self._bounded("the database", self.store.close(), 1.0, until)
        self._lock.close()
        log.info("stopped")

    @staticmethod
    async def _bounded(what: str, work: Any, seconds: float, until: float) -> None:
        seconds = max(0.1, min(seconds, until - asyncio.get_running_loop().time()))
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError:
            log.error("%s did not end within %.1f s", what, seconds)
        except Exception:
            log.exception("%s did not end as it should", what)

    # --- settings

    @property
    def origins(self) -> Mapping[tuple[str, ...], Origin]:
        return self.loaded.origins

    def load_with(self, own_drops: Path) -> LoadedSettings:
        """The settings as they would be with the agent's own drops of this directory; blocks."""
        return load(self._config, self._env, self.registry, own_drops)

    async def reload(self, reason: str) -> dict[str, Any]:
        """Read the settings again; apply what changed, or go back to what held. Never stops what runs."""
        async with self._reloading:
            self.notifier.reloading()
            try:
                return await self._reload(reason)
            finally:
                self._say(ready=True)

    async def _reload(self, reason: str) -> dict[str, Any]:
        loaded = await asyncio.to_thread(load, self._config, self._env, self.registry, self.own_drops)
        self._watcher.watch(loaded.watched, loaded.signature)
        problems = [str(problem) for problem in loaded.problems]
        for problem in problems:
            log.warning("settings: %s", problem)
        if loaded.settings is None:
            return self._reloaded(reason, False, [], problems)
        old, new = self.settings, loaded.settings
        changed = changes(old, new)
        problems += [f"{key}: changed, counts from the next start" for key in changed.at_start]
        new = _keep_fixed(old, new)
        try:
            await self._apply(new)
        except Exception as error:
            known = isinstance(error, GatepostError)
            log.error("the new settings do not hold, going back: %s", error, exc_info=None if known else error)
            problems.append(str(error) if known else f"{type(error).__name__}: {error}")
            await self._go_back(old)
            return self._reloaded(reason, False, [], problems)
        self.loaded = loaded
        return self._reloaded(reason, True, changed.keys(), problems)

    def _reloaded(self, reason: str, applied: bool, changed: list[str], problems: list[str]) -> dict[str, Any]:
        result: dict[str, Any] = {"applied": applied, "changed": changed, "problems": problems}
        self._last_reload = {**result, "at": rfc3339(self.clock.now().wall), "reason": reason}
        if applied and not changed:
            return result
        kind = "settings-applied" if applied else "settings-refused"
        log.info("settings %s (%s)", "applied: " + ", ".join(changed) if applied else "refused", reason)
        self.store.event(kind, {"reason": reason, "changed": changed, "problems": len(problems)})
        self.audit.record(kind, source=reason, changed=changed)
        return result

    async def _apply(self, new: Settings) -> None:
        """Raises DeviceError before anything changed when a device cannot be built."""
        await self.devices.apply(new.devices)
        self.settings = self.dispatcher.settings = new
        self.store.configure(new.store)
        self.logs.apply(new.logging.level, new.logging.format)
        await self.brokers.apply(new.brokers, await self._reports_to(new))
        if self._api is not None and self._api.serving:
            await self._api.apply(new.api)
        try:
            await asyncio.to_thread(LastGood(self.state_dir).save, new, self.loaded.origins)
        except OSError as error:
            log.warning("the settings could not be kept for a start with broken files: %s", error)

    async def _go_back(self, old: Settings) -> None:
        try:
            await self._apply(old)
        except Exception as error:  # the agent runs on with what there is
            log.error("the earlier settings could not be applied again: %s", error, exc_info=error)

    async def _apply_at_start(self, settings: Settings) -> None:
        """A device that cannot be built is left out rather than keeping the agent from starting."""
        try:
            await self._apply(settings)
            return
        except DeviceError as error:
            log.error("%s; %s", error.message, error.hint)
        devices: dict[str, DeviceSettings] = {}
        for name, device in settings.devices.items():
            try:
                await self.devices.apply({**devices, name: device})
                devices[name] = device
            except DeviceError:
                log.error("%s is left out until the settings are right", name)
        await self._apply(msgspec.structs.replace(settings, devices=devices))

    async def _reports_to(self, new: Settings) -> dict[str, list[str] | None]:
        """Device -> its brokers (None: every one). What a removed device was restricted to still holds for what is
        stored of it, else its readings would go where they were never meant to."""
        if self._restricted is None:
            self._restricted = await self.store.key_value.get(REPORTS_TO) or {}
        kept = {name: brokers for name, brokers in self._restricted.items() if name not in new.devices}
        kept |= {name: device.brokers for name, device in new.devices.items() if device.brokers is not None}
        if kept != self._restricted:
            self._restricted = kept
            try:
                await self.store.key_value.put(REPORTS_TO, kept)
            except StoreError as error:
                log.warning("which brokers a device reports to could not be kept: %s", error)
        return {**kept, **{name: device.brokers for name, device in new.devices.items()}}

    async def _watch_settings(self) -> None:
        async for _ in self._watcher:
            await self.reload("file change")

    # --- what the rooms ask of each other

    def _resolve(self, secret: Secret | None) -> str | None:
        return resolve_secret(secret, self._env)

    def _token_of(self, device: str) -> str | None:
        found = self.settings.devices.get(device)
        return self._resolve(found.token) if found else None

    def _device_status(self, device: str, payload: dict[str, Any]) -> None:
        self.brokers.device_status(device, payload)
        self._say()

    async def _on_command(self, broker: str, device: str | None, message: InboundMessage, broadcast: bool) -> None:
        properties = message.properties
        expiry = properties.get("message_expiry_interval")
        await self.dispatcher.handle(
            CommandRequest(
                source=f"{'broadcast' if broadcast else 'mqtt'}:{broker}",
                target=device,
                payload=bytes(message.payload),
                retained=message.retain,
                correlation=properties.get("correlation_data"),
                response_topic=properties.get("response_topic"),
                expires_in=float(expiry) if expiry is not None else None,
                redelivered=message.dup,
            )
        )

    def _on_message(self, broker: str, message: InboundMessage) -> None:
        self.message_log.take(broker, message.topic, bytes(message.payload), message.qos, message.retain, "in")

    async def _on_connected(self, broker: str) -> None:
        self._say()
        await self.dispatcher.resume(broker)

    async def _answer(self, answer: AddressedResponse) -> bool:
        """Whether the broker is done with it: acknowledged, or refused for good."""
        uplink = self.brokers.get(answer.source.partition(":")[2])
        if uplink is None:
            return False
        try:
            await uplink.answer(answer.target, answer.payload, answer.response_topic, answer.correlation)
        except NotConnected:
            return False
        except UplinkError as error:
            log.warning("%s: an answer was not taken: %s", uplink.name, error)
            return error.kind in FINAL
        return True

    # --- how it goes

    def status(self) -> dict[str, Any]:
        now = self.clock.now()
        return {
            "gateway_id": self.settings.gateway.id,
            "version": version("gatepost"),
            "started": rfc3339(self.started),
            "uptime": round((now.wall - self.started) / 1e6, 1),
            "settings": self._settings_status(),
            "api": {"listen": self._api.tcp, "trouble": self._api.trouble} if self._api is not None else None,
            "tasks": [view._asdict() for view in self.supervisor.views() if not view.healthy],
        }

    @property
    def _last_good(self) -> bool:
        """Whether the files could not be used since the start, and the settings that were applied before hold."""
        return self.loaded.settings is None

    def _settings_status(self) -> dict[str, Any]:
        """`problems`: what keeps the files from being used, as they were read last."""
        last = self._last_reload
        problems = [str(problem) for problem in self.loaded.errors] if self._last_good else []
        if last is not None and not last["applied"]:
            problems = last["problems"]
        return {
            "files": [str(path) for path in self.loaded.files],
            "last_good": self._last_good,
            "problems": problems,
            "reload": last,
        }

    def _say(self, ready: bool = False) -> None:
        """One sentence for `systemctl status`."""
        if not self.notifier.active:
            return
        devices, uplinks = self.devices.views(), self.brokers.views()
        online = sum(view["status"] == "online" for view in devices)
        connected = sum(uplink.state == "connected" for uplink in uplinks)
        refused = self._last_reload is not None and not self._last_reload["applied"]
        sentence = f"{online} of {len(devices)} devices online, {connected} of {len(uplinks)} brokers connected"
        if self._last_good:
            sentence += "; the settings have errors, the last good ones are used, see `gatepost check`"
        elif refused:
            sentence += "; the newest settings were refused, see `gatepost check`"
        (self.notifier.ready if ready else self.notifier.status)(sentence)

    def _stuck(self) -> str | None:
        """Readings wait, nothing is committed, and no error explains it."""
        store, now = self.store, self.clock.monotonic()
        if not store.writer.waiting or store.state != "ok":
            self._progress = None
        elif self._progress is None or store.writer.commits != self._progress[0]:
            self._progress = (store.writer.commits, now)
        elif now - self._progress[1] > self.settings.store.commit_interval + STUCK:
            return "the store commits nothing while readings wait"
        return None


def _keep_fixed(old: Settings, new: Settings) -> Settings:
    """What a running agent cannot change stays as it is until the next start."""
    replace = msgspec.structs.replace
    gateway = replace(new.gateway, id=old.gateway.id, state_dir=old.gateway.state_dir)
    return replace(new, gateway=gateway, api=replace(new.api, socket=old.api.socket))
