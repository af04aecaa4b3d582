"""D-Bus client of bluetoothd: its adapters, restarts of the daemon, single bounded calls.

Scanning and connections go through bleak; this line is for what bleak does not tell or do (doc/org.bluez.Adapter.rst
and org.bluez.Device.rst of BlueZ).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dbus_fast import BusType, Message, MessageType, Variant, unpack_variants
from dbus_fast.aio.message_bus import MessageBus

from gatepost.drivers.ble.stack.device_filter import adapter_of
from gatepost.drivers.ble.stack.link_errors import adapter_off, explain, no_adapter, no_service
from gatepost.drivers.ble.stack.timing import BleTiming
from gatepost.drivers.link import LinkFailed

SERVICE = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
BATTERY = "org.bluez.Battery1"
_DBUS = "org.freedesktop.DBus"
_OBJECTS = "org.freedesktop.DBus.ObjectManager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
MOST_LOOKS = 10  # at a daemon that changes while it is asked

_RULES = (
    f"type='signal',sender='{_DBUS}',interface='{_DBUS}',member='NameOwnerChanged',arg0='{SERVICE}'",
    f"type='signal',sender='{SERVICE}',interface='{_PROPERTIES}',member='PropertiesChanged',arg0='{ADAPTER}'",
    f"type='signal',sender='{SERVICE}',interface='{_OBJECTS}',member='InterfacesAdded'",
    f"type='signal',sender='{SERVICE}',interface='{_OBJECTS}',member='InterfacesRemoved'",
)


class BluezError(Exception):
    """Error answer of bluetoothd; `dbus_error` is its name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{text or name}")
        self.dbus_error = name


class AdapterState(NamedTuple):
    """State of an adapter."""

    powered: bool
    central: bool  # whether it can connect to LE peripherals


class BluezClient:
    """D-Bus client of bluetoothd. `generation` grows each time the daemon, or the way to it, goes, or what was heard
    of it proves wrong: what was known before is void then.

    `watch(callback)`: something about adapters or the daemon changed. `handler`: answers calls to objects of ours.
    """

    def __init__(self, timing: BleTiming, log: logging.Logger) -> None:
        self.generation = 0
        self.adapters: dict[str, AdapterState] = {}
        self.outages: Counter[str] = Counter()  # how often each adapter went off or away: its scans end with that
        self.handler: Callable[[Message], Message | None] | None = None
        self._timing = timing
        self._log = log
        self._bus: MessageBus | None = None
        self._owner: str | None = None
        self._certain = False  # whether `adapters` is all that the daemon has
        self._told = 0  # signals about the daemon or its adapters
        self._opening = asyncio.Lock()
        self._trusted_until = 0.0
        self._watchers: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def owner(self) -> str | None:
        """The bus name of bluetoothd's connection; None = it is not there."""
        return self._owner

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Gives what ends it."""
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    async def ready(self, again: bool = False) -> None:
        """Connected to the bus, bluetoothd is there, and its adapters are known; LinkFailed. `again`: look in any
        case."""
        async with self._opening:
            if self._bus is not None and not self._bus.connected:
                self._bus_lost()
            if self._bus is None:
                await self._open()
            if self._owner is None or not self._certain or again:
                await self._read_state()

    def pick(self, name: str | None) -> str:
        """The name of the adapter to use: the one named, else the first LE adapter that is on. LinkFailed."""
        if self._owner is None:
            raise no_service()
        fit = [key for key in sorted(self.adapters) if self.adapters[key].central and name in (None, key)]
        if not fit:
            raise no_adapter(name)
        powered = [key for key in fit if self.adapters[key].powered]
        if not powered:
            raise adapter_off(fit[0])
        return powered[0]

    async def call(
        self, path: str, interface: str, member: str, signature: str = "", body: Any = (), timeout: float | None = None
    ) -> list[Any]:
        """Call bluetoothd and return its answer; BluezError, LinkFailed, TimeoutError."""
        return await self._ask(SERVICE, path, interface, member, signature, body, timeout)

    async def properties(self, path: str, interface: str) -> dict[str, Any]:
        answer = await self.call(path, _PROPERTIES, "GetAll", "s", [interface])
        return dict(unpack_variants(answer[0]))

    async def put(self, path: str, interface: str, name: str, value: Variant, timeout: float | None = None) -> None:
        await self.call(path, _PROPERTIES, "Set", "ssv", [interface, name, value], timeout)

    async def objects(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Everything that bluetoothd knows, by path and interface."""
        answer = await self.call("/", _OBJECTS, "GetManagedObjects")
        return {path: {name: unpack_variants(inner) for name, inner in of.items()} for path, of in answer[0].items()}

    async def remove(self, device_path: str) -> None:
        """Forget a device, its bond and its cached services; one that is not there is forgotten already."""
        try:
            await self.call(f"/org/bluez/{adapter_of(device_path)}", ADAPTER, "RemoveDevice", "o", [device_path])
        except BluezError as error:
            if not error.dbus_error.endswith(("DoesNotExist", "UnknownObject", "UnknownMethod")):
                raise

    def resync(self) -> None:
        """A signal was lost, and bleak knows things that are not so: it is to read everything anew."""
        now = asyncio.get_running_loop().time()
        if now < self._trusted_until:
            return
        self._trusted_until = now + self._timing.last_retry
        self._log.warning("the Bluetooth service and what it reported do not match; its state is read again")
        self.generation += 1
        self._notify()

    async def close(self) -> None:
        self._watchers.clear()
        bus, self._bus, self._owner = self._bus, None, None
        if bus is not None:
            bus.disconnect()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=1.0)
        for task in tuple(self._tasks):
            task.cancel()

    # -- the bus

    async def _open(self) -> None:
        bus = MessageBus(bus_type=BusType.SYSTEM, auth_timeout=self._timing.call)
        try:
            async with asyncio.timeout(self._timing.call):
                await bus.connect()
            bus.add_message_handler(self._on_message)
            self._bus = bus
            for rule in _RULES:
                await self._ask(_DBUS, "/org/freedesktop/DBus", _DBUS, "AddMatch", "s", [rule], None)
        except BaseException as error:
            self._bus = None
            bus.disconnect()
            if isinstance(error, Exception):
                raise explain("Bluetooth", error) from error
            raise
        self._spawn(self._watch_bus(bus))

    async def _watch_bus(self, bus: MessageBus) -> None:
        """Notices that the bus itself ends."""
        with contextlib.suppress(Exception):  # whatever ended it
            await bus.wait_for_disconnect()
        if self._bus is bus:
            self._log.warning("the connection to the system's D-Bus was lost")
            self._bus_lost()

    def _bus_lost(self) -> None:
        self._bus = None
        self._owner_changed(None)

    async def _read_state(self) -> None:
        """Learn who serves, and its adapters; asking starts a service that can be started. What a signal told
        meanwhile may be newer than the answer, or older: it is asked once more then."""
        for _ in range(MOST_LOOKS):
            told = self._told
            try:
                objects = await self.objects()
                name = await self._ask(_DBUS, "/org/freedesktop/DBus", _DBUS, "GetNameOwner", "s", [SERVICE], None)
            except Exception as error:
                raise explain("Bluetooth", error) from error
            if told == self._told:
                self._learn(name[0], objects)
                return
        raise no_service()  # it comes and goes

    def _learn(self, owner: str, objects: dict[str, dict[str, dict[str, Any]]]) -> None:
        before = (self._owner, self.adapters)
        if self._owner not in (None, owner):
            self.generation += 1
        self._owner, self._certain = owner, True
        self.adapters = {
            adapter_of(path): _state_of(of[ADAPTER], None) for path, of in objects.items() if ADAPTER in of
        }
        if before[0] == owner:
            self.outages.update(name for name, state in before[1].items() if state.powered and not self._on(name))
        if before != (self._owner, self.adapters):
            self._notify()

    def _on(self, name: str) -> bool:
        return name in self.adapters and self.adapters[name].powered

    async def _ask(
        self, service: str, path: str, interface: str, member: str, signature: str, body: Any, timeout: float | None
    ) -> list[Any]:
        if self._bus is None or not self._bus.connected:
            raise no_service()  # a call on a dead bus would wait for ever
        message = Message(service, path, interface, member, signature=signature, body=list(body))
        async with asyncio.timeout(self._timing.call if timeout is None else timeout):
            return body_of(await self._bus.call(message))

    # -- what the daemon tells

    def _on_message(self, message: Message) -> Message | None:
        if message.message_type is MessageType.METHOD_CALL:
            ours = self.handler is not None and message.sender == self._owner
            return self.handler(message) if ours and self.handler is not None else None
        if message.message_type is not MessageType.SIGNAL:
            return None
        match message.member:
            case "NameOwnerChanged" if message.sender == _DBUS and message.body[0] == SERVICE:
                self._owner_changed(message.body[2] or None)
            case "PropertiesChanged" if message.body[0] == ADAPTER:
                self._adapter_changed(message.path or "", message.body[1], whole=False)
            case "InterfacesAdded" if ADAPTER in message.body[1]:
                self._adapter_changed(message.body[0], message.body[1][ADAPTER], whole=True)
            case "InterfacesRemoved" if ADAPTER in message.body[1]:
                self._told += 1
                if self.adapters.pop(adapter_of(message.body[0]), None) is not None:
                    self.outages[adapter_of(message.body[0])] += 1
                    self._notify()
        return None

    def _owner_changed(self, owner: str | None) -> None:
        """The daemon went (None) or came; nothing that the last one told holds."""
        self._told += 1
        if owner == self._owner:
            return
        if self._owner is not None:
            self.generation += 1
        self._owner, self._certain = owner, False
        self.adapters = {}
        self._log.info("the Bluetooth service %s", "went away" if owner is None else "is there")
        self._notify()
        self._look_again()

    def _look_again(self) -> None:
        self._certain = False
        if self._owner is not None:
            self._spawn(self._read_state_again())

    async def _read_state_again(self) -> None:
        with contextlib.suppress(LinkFailed):  # whoever needs it asks again, and is told why
            await self._read_state()

    def _adapter_changed(self, path: str, changed: Mapping[str, Any], whole: bool) -> None:
        """Properties of an adapter; `whole`: all that it has."""
        self._told += 1
        name = adapter_of(path)
        before = self.adapters.get(name)
        if before is None and not whole:
            self._look_again()  # what one property says of it is not enough
            return
        self.adapters[name] = _state_of(unpack_variants(dict(changed)), before)
        if before is not None and before.powered and not self.adapters[name].powered:
            self.outages[name] += 1
        if self.adapters[name] != before:
            self._notify()

    def _notify(self) -> None:
        for callback in tuple(self._watchers):
            callback()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def body_of(reply: Message | None) -> list[Any]:
    """What was answered; BluezError, LinkFailed."""
    if reply is None:
        raise no_service()
    if reply.message_type is MessageType.ERROR:
        raise BluezError(reply.error_name or "", str(reply.body[0]) if reply.body else "")
    return list(reply.body)


def _state_of(properties: Mapping[str, Any], before: AdapterState | None) -> AdapterState:
    powered = properties.get("Powered", before.powered if before else False)
    roles = properties.get("Roles")
    central = (before.central if before else True) if roles is None else "central" in roles
    return AdapterState(bool(powered), central)
