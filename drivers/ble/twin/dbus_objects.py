"""Objects on a bus: interfaces with properties and methods, ObjectManager and Properties served over dbus-fast."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dbus_fast import Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus

log = logging.getLogger(__name__)

MANAGER, PROPERTIES = "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Properties"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
SEND_BUFFER = 4 << 20
MOST_WAITING = 50_000  # messages; a burst beyond it is lost, and counted

Properties = dict[str, Variant]
Answer = tuple[str, list[Any]] | None
Method = Callable[["BusCall"], Awaitable[Answer]]


class BusError(Exception):
    """Error answer to a caller."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(text)
        self.name = name


class BusCall:
    """One method call: who asks what; `after` runs once the answer is on its way."""

    def __init__(self, message: Message) -> None:
        self.sender = message.sender or ""
        self.body: list[Any] = message.body
        self.after: list[Callable[[], object]] = []


class ObjectTree:
    """The object tree of one service on one bus connection."""

    def __init__(self) -> None:
        self.tree: dict[str, dict[str, Properties]] = {}
        self._methods: dict[tuple[str, str, str], Method] = {}
        self._setters: dict[tuple[str, str, str], Callable[[Any], Awaitable[None]]] = {}
        self._bus: MessageBus | None = None
        self._waiting: deque[Message] = deque()
        self._more = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.silent = False  # hangs: answers nothing, says nothing
        self.lost = 0  # signals that nobody took in time
        self.listing_takes = 0.0  # seconds from the look at the objects to the answer
        self.on_gone: Callable[[str], None] = lambda name: None  # a client left the bus

    # -- the connection

    async def connect(self, address: str, name: str) -> None:
        bus = MessageBus(bus_address=address)
        await bus.connect()
        sock = bus._sock
        assert sock is not None
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        bus.add_message_handler(self._hear)
        self._bus = bus
        bus_itself, changes = "org.freedesktop.DBus", ["type='signal',member='NameOwnerChanged'"]
        await self.call(bus_itself, "/org/freedesktop/DBus", bus_itself, "AddMatch", "s", changes)
        self._more = asyncio.Event()
        self.start(self._pump(bus, sock))
        await bus.request_name(name)

    async def disconnect(self) -> None:
        """Gone from the bus at once, without a word."""
        bus, self._bus = self._bus, None
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._waiting.clear()
        if bus is not None and bus.connected:
            bus.disconnect()
            await bus.wait_for_disconnect()

    @property
    def connected(self) -> bool:
        return self._bus is not None

    async def settled(self) -> None:
        """Until everything that was said is on its way, for a second at the most."""
        for _ in range(1000):
            if not self._waiting:
                return
            await asyncio.sleep(0.001)

    def start(self, work: Any) -> asyncio.Task[Any]:
        """A task that ends with the connection."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("the emulated daemon failed", exc_info=task.exception())

    def _say(self, message: Message) -> None:
        if self._bus is None or self.silent:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            return
        self._waiting.append(message)
        self._more.set()

    async def _pump(self, bus: MessageBus, sock: socket.socket) -> None:
        """Messages in order, never into a full socket: dbus-fast gives up its connection there."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                while not select.select([], [sock], [], 0)[1]:  # noqa: ASYNC110  # dbus-fast watches this socket
                    await asyncio.sleep(0.001)
                await bus.send(self._waiting.popleft())

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str, body: Any
    ) -> Message:
        """Ask the bus, or a client of it, for example its agent."""
        assert self._bus is not None
        return await self._bus.call(Message(destination, path, interface, member, signature=signature, body=body))

    # -- objects

    def add(self, path: str, interfaces: dict[str, Properties]) -> None:
        self.tree.setdefault(path, {}).update({name: dict(each) for name, each in interfaces.items()})
        self._say(Message.new_signal("/", MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, interfaces]))

    def remove(self, path: str, *interfaces: str) -> None:
        """Take away these interfaces, or the whole object."""
        there = self.tree.get(path, {})
        gone = [name for name in (interfaces or tuple(there)) if name in there]
        if not gone:
            return
        for name in gone:
            del there[name]
            self._methods = {key: method for key, method in self._methods.items() if key[:2] != (path, name)}
            self._setters = {key: setter for key, setter in self._setters.items() if key[:2] != (path, name)}
        if not there:
            del self.tree[path]
        self._say(Message.new_signal("/", MANAGER, "InterfacesRemoved", "oas", [path, gone]))

    def change(self, path: str, interface: str, changed: Properties, gone: tuple[str, ...] = ()) -> None:
        """New values, told in one signal, the same or not; `gone` are properties that no longer have one."""
        there = self.tree.get(path, {}).get(interface)
        if there is None:
            return
        there.update(changed)
        gone = tuple(name for name in gone if there.pop(name, None) is not None)
        if changed or gone:
            body = [interface, changed, list(gone)]
            self._say(Message.new_signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body))

    def value(self, path: str, interface: str, name: str) -> Any:
        variant = self.tree.get(path, {}).get(interface, {}).get(name)
        return None if variant is None else variant.value

    def serve(self, path: str, interface: str, methods: Mapping[str, Method]) -> None:
        self._methods.update({(path, interface, member): method for member, method in methods.items()})

    def settable(self, path: str, interface: str, name: str, setter: Callable[[Any], Awaitable[None]]) -> None:
        self._setters[path, interface, name] = setter

    def clear(self) -> None:
        """Forget every object without a signal."""
        self.tree.clear()
        self._methods.clear()
        self._setters.clear()

    # -- calls

    def _hear(self, message: Message) -> bool | None:
        if message.message_type is MessageType.SIGNAL:
            if message.member == "NameOwnerChanged" and not message.body[2]:
                self.on_gone(message.body[0])
            return None
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.interface == "org.freedesktop.DBus.Peer":
            return None
        if not self.silent:
            self.start(self._answer(message))
        return True

    async def _answer(self, message: Message) -> None:
        call = BusCall(message)
        try:
            answer = await self._method(message)(call)
            reply = Message.new_method_return(message, *(answer or ("", [])))
        except BusError as error:
            reply = Message.new_error(message, error.name, str(error))
        if not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            self._say(reply)
        for then in call.after:
            then()

    def _method(self, message: Message) -> Method:
        path, interface, member = message.path or "", message.interface or "", message.member or ""
        if path == "/" and (interface, member) == (MANAGER, "GetManagedObjects"):
            return self._managed
        if interface == INTROSPECTABLE:
            return lambda call: self._introspect(path)
        if path in self.tree and interface == PROPERTIES:
            return lambda call: self._property(path, member, call)
        if (method := self._methods.get((path, interface, member))) is not None:
            return method
        kind = "UnknownMethod" if path in self.tree else "UnknownObject"
        text = f'Method "{member}" with signature "{message.signature}" on interface "{interface}" doesn\'t exist\n'
        raise BusError(f"org.freedesktop.DBus.Error.{kind}", text)

    async def _managed(self, call: BusCall) -> Answer:
        listed = {path: {name: dict(each) for name, each in there.items()} for path, there in self.tree.items()}
        if self.listing_takes:
            await asyncio.sleep(self.listing_takes)
        return "a{oa{sa{sv}}}", [listed]

    async def _introspect(self, path: str) -> Answer:
        root = path.rstrip("/") + "/"
        children = {each[len(root) :].split("/")[0] for each in self.tree if each.startswith(root)}
        inside = "".join(f'<interface name="{name}"/>' for name in self.tree.get(path, {}))
        inside += "".join(f'<node name="{name}"/>' for name in sorted(children))
        return "s", [f"<node>{inside}</node>"]

    async def _property(self, path: str, member: str, call: BusCall) -> Answer:
        interface = call.body[0]
        there = self.tree[path].get(interface)
        if there is None:
            raise BusError("org.freedesktop.DBus.Error.InvalidArgs", f"No such interface '{interface}'")
        if member == "GetAll":
            return "a{sv}", [dict(there)]
        name = call.body[1]
        if member == "Get" and name in there:
            return "v", [there[name]]
        setter = self._setters.get((path, interface, name))
        if member == "Set" and setter is not None:
            await setter(call.body[2].value)
            return None
        kind = "PropertyReadOnly" if member == "Set" and name in there else "InvalidArgs"
        raise BusError(f"org.freedesktop.DBus.Error.{kind}", f"No such property '{name}'")
