"""A listener on a real store and real devices, without the rest of the agent; and a client made of the codec."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gatepost.agent.api.auth.rate_limits import AddressLockout
from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.errors import Unauthenticated
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.health import StatusReason
from gatepost.agent.devices.interfaces import DeviceLimits
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.listener.listener import DeviceListener
from gatepost.agent.listener.packets import (
    MQTT_3,
    MQTT_5,
    AckPacket,
    CodesPacket,
    ConnackPacket,
    ConnectPacket,
    MqttPacket,
    PublishPacket,
    SignalPacket,
    SubscribePacket,
    decode,
    encode,
)
from gatepost.agent.listener.properties import DISCONNECT, PINGREQ, PUBREC, PUBREL
from gatepost.agent.listener.wire import PacketSplitter
from gatepost.agent.settings.model import DeviceSettings, ListenerSettings, StoreSettings
from gatepost.agent.store import Store
from gatepost.drivers.driver import Registry
from tests.support.ports import free_port
from tests.support.waiting import until

GATEWAY = "gw"


class FakeToken(NamedTuple):
    id: str
    device: str
    expires: int | None = None


class FakeTokens:
    """`gp_<device>` is the token of a device."""

    def __init__(self) -> None:
        self.expires: dict[str, int] = {}

    def judge(self, text: str) -> FakeToken:
        if not text.startswith("gp_"):
            raise Unauthenticated("no token")
        device = text.removeprefix("gp_")
        return FakeToken(f"id-{device}", device, self.expires.get(device))

    def holds(self, device: str, text: str) -> bool:
        return text == f"gp_{device}"

    def note_soon(self, token: FakeToken) -> None:
        self.used = token.id


class ListenerRig:
    """`async with ListenerRig(folder, {"plug-3": {}})`: devices by id with their options."""

    def __init__(
        self,
        folder: Path,
        devices: Mapping[str, dict[str, Any]],
        *,
        commit: float = 0.05,
        retry: float = 0.05,
        **settings: Any,
    ) -> None:
        """`retry`: seconds until a device is opened anew, at most twice as much."""
        self.port = free_port()
        self.settings = ListenerSettings(listen=f"127.0.0.1:{self.port}", **settings)
        self.events = EventBus()
        self.clock = SystemClock()
        self.tokens = FakeTokens()
        self.statuses: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[str, str, str]] = []
        self._devices = {name: DeviceSettings(driver="mqtt", options=options) for name, options in devices.items()}
        self._folder = folder
        self._commit = commit
        self._retry = retry

    async def __aenter__(self) -> ListenerRig:
        self.store = await Store.open(
            self._folder / "gatepost.db", GATEWAY, StoreSettings(commit_interval=self._commit), self.clock, self.events
        )
        self._tasks = [asyncio.create_task(self.store.writer.run())]  # retention would undo what a test refuses
        rng = random.Random(1)
        self.listener = DeviceListener(
            self.store,
            self.clock,
            self.events,
            rng,
            GATEWAY,
            "org-1",
            self.tokens,
            AddressLockout(asyncio.get_running_loop().time),
            lambda secret: secret if isinstance(secret, str) else None,
            list,
        )
        self.server = self.listener.server
        self.devices = DeviceManager(
            Registry.installed(),
            self.store,
            self.clock,
            self.events,
            rng,
            logging.getLogger("test"),
            mqtt_link=self.listener.link,
            limits=DeviceLimits(first_retry=self._retry, last_retry=self._retry),
        )
        self.devices.on_status = self._on_status
        await self.listener.start()
        await self.devices.apply(self._devices)
        await until(lambda: all(self.is_open(name) for name in self._devices))
        await self.listener.apply(self.settings, {})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop()
        await self.devices.close()
        self.store.finish()
        await asyncio.wait(self._tasks, timeout=5)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=5)
        await self.store.close()

    def _on_status(self, device: str, status: dict[str, Any]) -> None:
        self.statuses[device] = status
        self.history.append((device, status["status"], status.get("reason", "")))

    async def apply_devices(self, devices: Mapping[str, dict[str, Any]]) -> None:
        await self.devices.apply(
            {name: DeviceSettings(driver="mqtt", options=options) for name, options in devices.items()}
        )

    def is_open(self, device: str = "plug-3") -> bool:
        return self.devices._sessions[device].link is not None

    async def interrupt(self, device: str = "plug-3") -> None:
        """End the device's session by a fault, as a driver's would: it is opened anew after a pause."""
        self.devices._sessions[device].liveness.end(StatusReason("test", "a test"))
        await until(lambda: not self.is_open(device))

    async def readings(self, device: str | None = None) -> list[dict[str, Any]]:
        """Stored ones, oldest first."""
        found = []
        for record in reversed(await self.store.queries.history(device, limit=10_000)):
            series = self.store.series_of(record.series)
            common = orjson.loads(series.common)
            if "event" not in common:
                urgent = bool(record.bits & 1)
                found.append({"device_id": series.device, **common, **orjson.loads(record.body), "urgent": urgent})
        return found

    def client(self, device: str = "plug-3", version: int = MQTT_3, **connect: Any) -> RawClient:
        return RawClient(self.port, device, version, connect)


class RawClient:
    """A client of few words: packets in, packets out."""

    def __init__(self, port: int, device: str, version: int, connect: dict[str, Any]) -> None:
        self.version = version
        self._port = port
        defaults: dict[str, Any] = {
            "level": version,
            "client_id": f"{device}-client",
            "username": device,
            "password": f"gp_{device}".encode(),
            "keepalive": 60,
        }
        self._connect = ConnectPacket(**{**defaults, **connect})
        self._splitter = PacketSplitter(1_000_000)
        self._ids = 0

    async def __aenter__(self) -> RawClient:
        await self.open()
        self.connack = await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def connect(self) -> ConnackPacket:
        await self.send(self._connect)
        packet = await self.receive()
        assert isinstance(packet, ConnackPacket), packet
        return packet

    async def send(self, *packets: MqttPacket) -> None:
        await self.write(b"".join(encode(packet, self.version) for packet in packets))

    async def write(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def receive(self, timeout: float = 5.0) -> MqttPacket | None:
        """None = the connection has ended."""
        async with asyncio.timeout(timeout):
            while True:
                cut = self._splitter.next()
                if cut is not None:
                    return decode(*cut, self.version)
                try:
                    data = await self.reader.read(65536)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self._splitter.feed(data)

    async def closed(self, timeout: float = 5.0) -> SignalPacket | None:
        """Until the connection has ended; the DISCONNECT that came before, if any."""
        last = None
        while (packet := await self.receive(timeout)) is not None:
            last = packet
        self.writer.close()
        return last if isinstance(last, SignalPacket) and last.kind == DISCONNECT else None

    async def publish(
        self, topic: str, payload: Any, qos: int = 1, *, retain: bool = False, wait: bool = True
    ) -> AckPacket | None:
        """Until it is acknowledged, QoS 2 to its end."""
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        self._ids = self._ids % 65_535 + 1 if qos else self._ids
        await self.send(PublishPacket(topic, body, qos, self._ids if qos else 0, retain))
        if not qos or not wait:
            return None
        ack = await self.receive()
        assert isinstance(ack, AckPacket), ack
        assert ack.packet_id == self._ids
        if ack.kind == PUBREC and ack.code < 0x80:
            await self.send(AckPacket(PUBREL, self._ids))
            await self.receive()
        return ack

    async def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        await self.send(SubscribePacket(9, [(topic, qos) for topic in filters]))
        packet = await self.receive()
        assert isinstance(packet, CodesPacket), packet
        return packet.codes

    async def ping(self) -> None:
        """A round trip: everything before it was dealt with."""
        await self.send(SignalPacket(PINGREQ))

    async def disconnect(self) -> None:
        await self.send(SignalPacket(DISCONNECT))
        await self.closed()


__all__ = ["MQTT_3", "MQTT_5", "ListenerRig", "RawClient"]
