"""Applies settings to the running parts: reload, apply what changed, roll back, which broker a device reports to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from gatepost.agent.audit.log import AuditLog
from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.errors import DeviceError, GatepostError, StoreError
from gatepost.agent.core.named_files import off_loop
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.process.logs import AgentLogs
from gatepost.agent.settings import LoadedSettings, Origin, SettingsWatcher, changes
from gatepost.agent.settings.current import CurrentSettings
from gatepost.agent.settings.last_good import LastGood
from gatepost.agent.settings.loading import SettingsLoader
from gatepost.agent.settings.model import ApiSettings, DeviceSettings, Settings
from gatepost.agent.store import Store
from gatepost.agent.uplink.manager import BrokerManager

log = logging.getLogger("gatepost")

READ_WITHIN = 30.0  # seconds for all settings files together

REPORTS_TO = "reports-to"  # key of the store's small state
MOST_NAMED = 20  # changes that a line of the log names


Origins = Mapping[tuple[str, ...], Origin]


class AppliesApiSettings(Protocol):
    @property
    def trouble(self) -> str:
        """Why it is not served as the settings say; "" = it is."""
        ...

    async def apply(self, api: ApiSettings, /) -> None: ...


class AppliesListenerSettings(Protocol):
    @property
    def trouble(self) -> str: ...

    async def prepare(self, settings: Settings, /) -> None:
        """Before the devices: have what devices that speak MQTT need."""
        ...

    async def apply(self, settings: Settings, /) -> None:
        """Raises ListenWrong."""
        ...


class PreparesFleet(Protocol):
    async def prepare(self, settings: Settings, /) -> None:
        """Before the brokers: have what the one of the fleet needs."""
        ...


class ReloadListener(Protocol):
    """Told when a reload begins and when it has ended."""

    def reload_began(self) -> None: ...

    def reload_ended(self) -> None: ...


class SettingsApplier:
    """The one that changes what runs: one reload at a time, and back to what held when the new settings fail."""

    def __init__(
        self,
        current: CurrentSettings,
        loader: SettingsLoader,
        *,
        devices: DeviceManager,
        brokers: BrokerManager,
        store: Store,
        logs: AgentLogs,
        audit: AuditLog,
        clock: Clock,
        listener: ReloadListener,
        mqtt_listener: AppliesListenerSettings,
        fleet: PreparesFleet,
    ) -> None:
        self.current = current
        self.api: AppliesApiSettings | None = None  # while it is served
        self.on_trial: Callable[[], bool] = lambda: False  # whether what is applied may be undone
        self._loader = loader
        self._devices = devices
        self._brokers = brokers
        self._store = store
        self._logs = logs
        self._audit = audit
        self._clock = clock
        self._listener = listener
        self._mqtt_listener = mqtt_listener
        self._fleet = fleet
        self._kept = current.loaded  # what was applied last and was not on trial
        self._last_good = LastGood(loader.own_drops.parent)
        self._turn = asyncio.Lock()
        self._restricted: dict[str, list[str]] | None = None
        self._watcher = SettingsWatcher(current.loaded.watched, current.loaded.signature)

    async def start(self) -> None:
        """A device that cannot be built is left out rather than keeping the agent from starting."""
        async with self._turn:
            settings = self.current.settings
            try:
                await self._apply(settings, self.current.origins)
                return
            except DeviceError as error:
                log.error("%s; %s", error.message, error.hint)
            devices: dict[str, DeviceSettings] = {}
            for name, device in settings.devices.items():
                try:
                    await self._devices.apply({**devices, name: device})
                    devices[name] = device
                except DeviceError:
                    log.error("%s is left out until its settings are corrected", name)
            await self._apply(msgspec.structs.replace(settings, devices=devices), self.current.origins)

    async def watch(self) -> None:
        """Reload whenever a settings file changes; until cancelled."""
        async for _ in self._watcher:
            await self.reload("file change")

    async def reload(self, reason: str) -> dict[str, Any]:
        """Read the settings again and apply what changed: {"applied", "changed", "problems"}."""
        async with self._turn:
            self._listener.reload_began()
            try:
                loaded = await off_loop("settings", self._loader.load, READ_WITHIN)
                return await self._replace(loaded, reason)
            except OSError as error:
                log.error("the settings cannot be read: %s", error.strerror)
                return self._ended(reason, False, [], [f"the settings cannot be read: {error.strerror}"])
            finally:
                self._listener.reload_ended()

    async def apply(self, loaded: LoadedSettings, reason: str) -> dict[str, Any]:
        """As `reload`, with settings that were read just now."""
        async with self._turn:
            self._listener.reload_began()
            try:
                return await self._replace(loaded, reason)
            finally:
                self._listener.reload_ended()

    async def go_back(self, reason: str) -> dict[str, Any]:
        """As `reload`, once a trial has put its drop back: where the files cannot be used just then, what held before
        the trial."""
        result = await self.reload(reason)
        if result["applied"] or self._kept.settings is None:
            return result
        settings = _with_patients(self._kept.settings, self.current.settings)
        return await self.apply(msgspec.structs.replace(self._kept, settings=settings), reason)

    async def keep(self) -> None:
        """No trial is left: what is in force is what a start with broken files uses, too."""
        self._kept = self.current.loaded
        await self._save(self.current.settings, self.current.origins)

    async def _replace(self, loaded: LoadedSettings, reason: str) -> dict[str, Any]:
        """Apply what changed, or go back to what held. Never stops what runs."""
        self._watcher.watch(loaded.watched, loaded.signature)
        problems = [str(problem) for problem in loaded.problems]
        for problem in loaded.problems:
            log.log(logging.ERROR if problem in loaded.errors else logging.WARNING, "settings: %s", problem.as_log())
        if loaded.settings is None:
            return self._ended(reason, False, [], problems)
        old, new = self.current.settings, loaded.settings
        changed = changes(old, new)
        problems += [f"{key}: changed, counts from the next start" for key in changed.at_start]
        known = self._store.backlog.known
        try:
            await self._apply(_keep_fixed(old, new), loaded.origins)
        except Exception as error:
            foreseen = isinstance(error, GatepostError)
            log.error("the new settings cannot be applied, going back: %s", error, exc_info=None if foreseen else error)
            problems.append(_told(error))
            await self._roll_back(old, known)
            return self._ended(reason, False, [], problems, tried=True)
        unserved = [part.trouble for part in (self.api, self._mqtt_listener) if part is not None and part.trouble]
        self.current.loaded = loaded
        if not self.on_trial():
            self._kept = loaded
        return self._ended(reason, True, changed.keys(), problems + unserved, unserved=bool(unserved))

    def _ended(
        self, reason: str, applied: bool, changed: list[str], problems: list[str], **why: bool
    ) -> dict[str, Any]:
        """`tried`: refused while it was put into force, so that the files have no mistake. `unserved`: in force, and
        an address or a certificate of it cannot be used."""
        result: dict[str, Any] = {"applied": applied, "changed": changed, "problems": problems}
        result |= {name: True for name, holds in why.items() if holds}
        self.current.last_reload = {**result, "at": rfc3339(self._clock.now().wall), "reason": reason}
        if applied and not changed:
            return result
        kind = "settings-applied" if applied else "settings-refused"
        log.info("settings %s (%s)", f"applied: {_counted(changed)}" if applied else "refused", reason)
        self._store.event(kind, {"reason": reason, "changed": changed, "problems": len(problems)})
        self._audit.record(kind, source=reason, changed=changed)
        return result

    async def _apply(self, new: Settings, origins: Origins) -> None:
        """Raises DeviceError before anything changed when a device cannot be built."""
        await self._mqtt_listener.prepare(new)
        await self._devices.apply(new.devices)
        self.current.settings = new
        self._store.configure(new.store)
        self._logs.apply(new.logging.level, new.logging.format)
        await self._fleet.prepare(new)
        await self._brokers.apply(new.brokers, await self._reports_to(new), _rooms(new))
        await self._mqtt_listener.apply(new)
        if self.api is not None:
            await self.api.apply(new.api)
        await self._save(new, origins)

    async def _save(self, settings: Settings, origins: Origins) -> None:
        try:
            await asyncio.to_thread(self._save_last_good, settings, origins)
        except OSError as error:
            log.warning("the settings could not be kept for a start with broken files: %s", error)

    def _save_last_good(self, settings: Settings, origins: Origins) -> None:
        if self.on_trial():
            before = self._last_good.read()
            if before is None:
                return
            settings = _with_patients(before, settings)
        self._last_good.save(settings, origins)

    async def _roll_back(self, old: Settings, brokers: frozenset[str]) -> None:
        """`brokers`: that had a position before."""
        try:
            await self._apply(old, self.current.origins)
            await self._store.backlog.forget(self._store.backlog.known - brokers)
        except Exception as error:  # the agent runs on with what there is
            told = None if isinstance(error, GatepostError) else error
            log.error("the earlier settings could not be applied again: %s", error, exc_info=told)

    async def _reports_to(self, new: Settings) -> dict[str, list[str] | None]:
        """Device -> its brokers (None: every one). What a removed device was restricted to still holds for what is
        stored of it, else its readings would go where they were never meant to."""
        if self._restricted is None:
            self._restricted = await self._store.key_value.get(REPORTS_TO) or {}
        kept = {name: brokers for name, brokers in self._restricted.items() if name not in new.devices}
        kept |= {name: device.brokers for name, device in new.devices.items() if device.brokers is not None}
        if kept != self._restricted:
            self._restricted = kept
            try:
                await self._store.key_value.put(REPORTS_TO, kept)
            except StoreError as error:
                log.warning("which brokers a device reports to could not be kept: %s", error)
        return {**kept, **{name: device.brokers for name, device in new.devices.items()}}


def _told(error: Exception) -> str:
    """As a problem of the files is told: what; what to do."""
    if not isinstance(error, GatepostError):
        return f"{type(error).__name__}: {error}"
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _counted(changed: list[str]) -> str:
    """For a line of the log: the first of many."""
    more = len(changed) - MOST_NAMED
    return ", ".join(changed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _keep_fixed(old: Settings, new: Settings) -> Settings:
    """What a running agent cannot change stays as it is until the next start."""
    replace = msgspec.structs.replace
    gateway = replace(new.gateway, id=old.gateway.id, state_dir=old.gateway.state_dir)
    return replace(new, gateway=gateway, api=replace(new.api, socket=old.api.socket))


def _with_patients(settings: Settings, now: Settings) -> Settings:
    """Patients are as they were assigned last, also in earlier settings."""
    devices = {
        name: msgspec.structs.replace(device, patient=now.devices[name].patient) if name in now.devices else device
        for name, device in settings.devices.items()
    }
    return msgspec.structs.replace(settings, devices=devices)


def _rooms(settings: Settings) -> dict[str, str]:
    """Device id -> room, of those that have one."""
    return {name: device.room for name, device in settings.devices.items() if device.room}
