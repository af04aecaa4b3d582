"""Device manager: runs the configured devices; settings come in with `apply`, commands with `execute`, views go out."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any

import msgspec

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.errors import DeviceError, NotFound, SettingsWrong
from gatepost.agent.core.events import EventBus
from gatepost.agent.core.named_files import off_loop
from gatepost.agent.core.views import DeviceView
from gatepost.agent.devices.command_executor import CommandExecutor, commands_of
from gatepost.agent.devices.deferred_chunks import DeferredChunks
from gatepost.agent.devices.device_session import DeviceSession, connection_settings
from gatepost.agent.devices.health import (
    CHANGED,
    REMOVED,
    STOPPING,
    DeviceCondition,
    DeviceState,
    StatusReason,
    fault_of,
    reason_of,
)
from gatepost.agent.devices.interfaces import Connect, DeviceLimits, LinkKinds, ReadingStore
from gatepost.agent.devices.link_factory import CommitSchedule, HardwareLinks, is_serial_port
from gatepost.agent.devices.link_memory import StoredLinkMemory
from gatepost.agent.devices.recorder import DeviceRecorder
from gatepost.agent.devices.status_view import view_of
from gatepost.agent.settings.effective import secret_options, without_secrets
from gatepost.agent.settings.model import DeviceSettings, Secret, SecretRef
from gatepost.agent.settings.problem import in_words
from gatepost.agent.settings.secret import is_reference, resolve_secret
from gatepost.drivers.driver import Command, Driver, Registry, UnknownDriver
from gatepost.drivers.recording import RecordingHeader

Resolve = Callable[[Secret], str | None]


def options_of(written: Mapping[str, Any], kind: type[msgspec.Struct], resolve: Resolve) -> msgspec.Struct:
    """Raises msgspec.ValidationError, or SettingsWrong for a secret that cannot be had."""
    secret = secret_options(kind)
    values = {
        name: resolve(SecretRef(**value)) if name in secret and is_reference(value) else value
        for name, value in written.items()
    }
    return msgspec.convert(values, kind)


LIMITS = DeviceLimits()
CLOSE = 2.0  # seconds for all devices together

PORTS = {
    "serial": "a path such as /dev/serial/by-id/..., or a pyserial URL",
    "w1": "the sensor's number, 28-... as under /sys/bus/w1/devices",
}


def _with_port(device: DeviceSettings, devices: Mapping[str, DeviceSettings]) -> DeviceSettings:
    """With the port of the device whose connection carries this one (`options.via`)."""
    carrier = devices.get(str(device.options.get("via") or ""))
    if carrier is None or device.port or not (carrier.port or "").startswith("listen://"):
        return device
    return msgspec.structs.replace(device, port=carrier.port)


OnStatus = Callable[[str, dict[str, Any]], None]


class DeviceManager:
    """Manager of the configured devices, one session each. `on_status(device id, payload)` is told of every change."""

    def __init__(
        self,
        registry: Registry,
        store: ReadingStore,
        clock: Clock,
        events: EventBus,
        rng: Random,
        log: logging.Logger,
        *,
        links: LinkKinds | None = None,
        limits: DeviceLimits = LIMITS,
        resolve: Resolve = lambda secret: resolve_secret(secret, os.environ),
        mqtt_link: Callable[[str], Connect] | None = None,
        commits: CommitSchedule | None = None,
    ) -> None:
        """`resolve` reads a secret among a driver's options; SettingsWrong. `mqtt_link(device id)`: the link to a
        device that speaks MQTT. With `commits` what ports say is decoded just before it is written down, where nobody
        waits for it."""
        self.on_status: OnStatus | None = None
        self._registry = registry
        self._store = store
        self._clock = clock
        self._events = events
        self._rng = rng
        self._log = log
        self._links = links or HardwareLinks(rng, log)
        self._limits = limits
        self._resolve = resolve
        self._mqtt_link = mqtt_link
        self._deferred = None if commits is None else DeferredChunks(commits)
        self._executor = CommandExecutor(store, clock)
        self._sessions: dict[str, DeviceSession] = {}
        self._lock = asyncio.Lock()  # one `apply` at a time,
        self._changing = asyncio.Lock()  # which holds up the end only here: a secret may be on a share that hangs
        self._closed = False
        self._applying: asyncio.Future[None] | None = None

    # -- settings

    async def apply(self, devices: dict[str, DeviceSettings]) -> None:
        """Run exactly these. What did not change is left alone; what only LIVE_SETTINGS change is not
        opened anew. DeviceError naming every device that cannot be built, and then nothing has changed."""
        self._applying = asyncio.ensure_future(self._apply(dict(devices)))
        await asyncio.shield(self._applying)  # half of a change would be worse than one that comes late

    async def _apply(self, devices: dict[str, DeviceSettings]) -> None:
        async with self._lock:
            self._check_open()
            devices = {name: _with_port(device, devices) for name, device in devices.items()}
            built = await self._build_all(devices)
            async with self._changing:
                self._check_open()
                await self._change(devices, built)

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceError("the devices were closed")

    async def _change(self, devices: dict[str, DeviceSettings], built: dict[str, DeviceSession]) -> None:
        gone = {name: session for name, session in self._sessions.items() if name in built or name not in devices}
        kept = {name: session for name, session in self._sessions.items() if name not in gone}
        await self._stop(gone, {name: CHANGED if name in built else REMOVED for name in gone})
        for name, session in kept.items():
            if session.device != devices[name]:
                session.adjust(devices[name])
        self._sessions = {name: built.get(name) or kept[name] for name in devices}
        self._links.adjust(devices)
        await asyncio.gather(*(self._start(session) for session in built.values()))

    async def _build_all(self, devices: dict[str, DeviceSettings]) -> dict[str, DeviceSession]:
        """A session for each device that is new or must be opened anew; none of them does anything yet. Side by side:
        their secrets may lie on one share that hangs."""
        wanted = {
            name: device
            for name, device in devices.items()
            if (running := self._sessions.get(name)) is None
            or connection_settings(running.device) != connection_settings(device)
        }
        work = [self._build(name, device) for name, device in wanted.items()]
        built, wrong = {}, []
        for name, result in zip(wanted, await asyncio.gather(*work, return_exceptions=True), strict=True):
            if isinstance(result, DeviceSession):
                built[name] = result
            elif isinstance(result, DeviceError):
                wrong.append(result)
            else:
                raise result
        if wrong:
            raise DeviceError("; ".join(error.message for error in wrong), wrong[0].hint)
        return built

    async def _build(self, name: str, device: DeviceSettings) -> DeviceSession:
        try:
            kind = self._registry.get(device.driver)
        except UnknownDriver:
            raise DeviceError(f"{name}: there is no driver {device.driver}", "`gatepost drivers` lists them") from None
        except Exception as error:  # an installed package may fail in any way
            raise DeviceError(f"{name}: the driver {device.driver} cannot be loaded: {error}") from error
        connect = self._links.get(kind.transport)
        if kind.transport == "mqtt" and self._mqtt_link is not None:
            connect = self._mqtt_link(name)
        if connect is None:
            raise DeviceError(f"{name}: this gateway has no {kind.transport} link")
        if kind.transport in PORTS and not device.port:
            raise DeviceError(f"{name}: `port` is missing", PORTS[kind.transport])
        if kind.transport == "ble" and not (device.address or device.name):
            raise DeviceError(f"{name}: `address` or `name` is missing", "`gatepost scan ble` shows what is there")
        try:
            work = partial(options_of, device.options, kind.options_type, self._resolve)
            named = any(map(is_reference, device.options.values()))  # files, which may lie on a share that hangs
            driver = kind(await off_loop(f"the secrets of {name}", work) if named else work())
            return self._new_session(name, device, driver, connect)
        except SettingsWrong as error:
            raise DeviceError(f"{name}: options: {error.message}", error.hint) from None
        except OSError as error:
            raise DeviceError(f"{name}: options: {error.strerror}") from None
        except msgspec.ValidationError as error:
            raise DeviceError(
                f"{name}: options: {in_words(str(error))}", f"`gatepost drivers {device.driver}` explains them"
            ) from None
        except Exception as error:
            raise DeviceError(f"{name}: the driver {device.driver} cannot be set up: {error}") from error

    def _new_session(self, name: str, device: DeviceSettings, driver: Driver, connect: Connect) -> DeviceSession:
        return DeviceSession(
            name,
            device,
            driver,
            connect,
            self._store,
            self._clock,
            self._rng,
            self._log,
            self._limits,
            self._on_change,
            StoredLinkMemory(name, self._store, lambda: self._sessions),
            self._deferred if is_serial_port(device, driver) else None,
        )

    # -- views

    def get(self, device_id: str) -> DeviceView | None:
        session = self._sessions.get(device_id)
        return None if session is None else view_of(session, self._clock)

    def state_of(self, device_id: str) -> DeviceCondition | None:
        """Its state without the cost of a whole view."""
        session = self._sessions.get(device_id)
        if session is None:
            return None
        reachable = bool(getattr(session.link, "reachable", False))
        return DeviceCondition(session.health.state, session.health.reason, reachable)

    def driver_of(self, device_id: str) -> Driver | None:
        session = self._sessions.get(device_id)
        return None if session is None else session.driver

    def identity(self, device_id: str) -> Mapping[str, Any]:
        """What the device told of itself, and battery and the like."""
        session = self._sessions.get(device_id)
        return {} if session is None else session.health.known

    def views(self) -> list[DeviceView]:
        return [view_of(session, self._clock) for session in self._sessions.values()]

    def online_count(self) -> tuple[int, int]:
        """How many are online, and how many there are."""
        return sum(session.health.online for session in self._sessions.values()), len(self._sessions)

    def recorder(self, device_id: str) -> tuple[RecordingHeader, DeviceRecorder]:
        """For a recording of it; NotFound."""
        session = self._session(device_id)
        device = session.device
        header = RecordingHeader(
            driver=device.driver,
            device=device_id,
            started=rfc3339(self._clock.now().wall),
            options=without_secrets(device.options, session.driver.options_type),
            bookmarks=dict(session.driver.bookmarks),
        )
        return header, session.recorder

    def statuses(self) -> dict[str, dict[str, Any]]:
        """The status message of each device as it is now, for an uplink that has just connected."""
        return {name: session.health.payload() for name, session in self._sessions.items()}

    def _on_change(self, session: DeviceSession, before: DeviceState) -> None:
        payload = session.health.payload()
        if session.health.state is before:
            pass  # it told something of itself
        elif session.health.online:
            self._events.emit("device.connected", payload)
        elif before is DeviceState.ONLINE:
            self._events.emit("device.disconnected", payload)
        if self.on_status is not None:
            try:
                self.on_status(session.name, payload)
            except Exception as error:  # a listener's fault stops no device
                self._log.error("%s: its status could not be passed on: %s", session.name, error)

    # -- commands

    def commands(self, device_id: str) -> dict[str, Command]:
        """What the device understands, by name; NotFound."""
        return commands_of(self._session(device_id).driver)

    def any_command(self, device_id: str, name: str) -> Command | None:
        """A command that it may understand, though it does not name it."""
        return self._session(device_id).driver.any_command(name)

    async def execute(
        self, device_id: str, command: str, parameters: msgspec.Struct, source: str = ""
    ) -> dict[str, Any]:
        """The result; `parameters` as the command declares them; `source` is who asked for it, as people are told.

        NotFound, Rejected, DeviceOffline, DeviceBusy, CommandFailed (gatepost.drivers.driver), StoreError."""
        return await self._executor.execute(self._session(device_id), command, parameters, source)

    def _session(self, device_id: str) -> DeviceSession:
        session = self._sessions.get(device_id)
        if session is None:
            raise NotFound(f"there is no device {device_id}", "`gatepost devices` lists them")
        return session

    # -- the end

    async def close(self) -> None:
        """Stop every device and hand over what is held; within CLOSE seconds."""
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE):
                async with self._changing:
                    await self._stop(self._sessions, dict.fromkeys(self._sessions, STOPPING))
                    await self._links.close()
        except TimeoutError:
            self._log.error("some devices did not stop within %.1f s", CLOSE)

    async def _start(self, session: DeviceSession) -> None:
        try:
            await session.start()
        except Exception as error:  # the others run all the same; the view shows it
            self._log.error("%s could not be started: %s", session.name, error)
            session.health.fail(reason_of(error))

    async def _stop(self, sessions: Mapping[str, DeviceSession], reasons: Mapping[str, StatusReason]) -> None:
        """Side by side; a failure of one leaves the others to end."""
        work = [session.stop(reasons[name]) for name, session in sessions.items()]
        for name, result in zip(sessions, await asyncio.gather(*work, return_exceptions=True), strict=True):
            if isinstance(result, Exception):
                self._log.error("%s did not stop as it should: %s", name, fault_of(result))
