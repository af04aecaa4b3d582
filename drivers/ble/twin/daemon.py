"""The emulated bluetoothd: adapters, agents, peripherals in reach; it can be killed, restarted, and made to hang."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.twin.adapter import TwinAdapter
from gatepost.drivers.ble.twin.agents import TwinAgents
from gatepost.drivers.ble.twin.daemon_state import DaemonState, DaemonTiming
from gatepost.drivers.ble.twin.dbus_objects import ObjectTree
from gatepost.drivers.ble.twin.hosted_peripheral import HostedPeripheral
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral

NAME = "org.bluez"


class TwinDaemon:
    """Emulated bluetoothd, `async with`: serves org.bluez at `address` in this event loop."""

    def __init__(
        self, address: str, adapters: Iterable[str] = ("hci0",), timing: DaemonTiming | None = None, speed: float = 1.0
    ) -> None:
        """`speed`: peripherals live so many times as fast."""
        self.address = address
        self.objects = ObjectTree()
        self.objects.on_gone = self._client_gone
        self.agents = TwinAgents(self.objects)
        self.hosted: dict[str, HostedPeripheral] = {}
        self.state = DaemonState(self.objects, self.agents, self.hosted, timing or DaemonTiming())
        self.adapters = {
            name: TwinAdapter(self.state, name, f"00:00:5E:00:53:{number:02X}") for number, name in enumerate(adapters)
        }
        self._speed = speed

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def adapter(self) -> TwinAdapter:
        """The first one."""
        return next(iter(self.adapters.values()))

    # -- the daemon's life

    async def start(self) -> None:
        self.objects.clear()
        await self.objects.connect(self.address, NAME)
        self.agents.publish()
        for adapter in self.adapters.values():
            adapter.publish()

    async def kill(self) -> None:
        """As by SIGKILL: gone from the bus without a signal, and the links with it."""
        await self.objects.disconnect()
        for adapter in self.adapters.values():
            for device in adapter.devices.values():
                device.withdraw()
            adapter.devices.clear()
        self.objects.clear()

    async def stop(self) -> None:
        """As by SIGTERM: links are closed and objects removed before it leaves the bus."""
        for adapter in self.adapters.values():
            adapter.withdraw()
        await self.objects.settled()
        await self.kill()

    async def restart(self, killed: bool = False) -> None:
        await (self.kill() if killed else self.stop())
        await self.start()

    def hang(self) -> None:
        """As by SIGSTOP: it answers nothing and says nothing until `resume`; calls of that time stay unanswered."""
        self.objects.silent = True

    def resume(self) -> None:
        self.objects.silent = False

    async def close(self) -> None:
        """The end of everything, peripherals too."""
        for hosted in self.hosted.values():
            await hosted.stop()
        if self.objects.connected:
            await self.kill()

    # -- peripherals in reach

    def place(self, peripheral: TwinPeripheral, by_hand: bool = False) -> HostedPeripheral:
        """Put a peripheral in reach; it begins to live and to advertise, `by_hand` only when a test tells it to."""
        if peripheral.address in self.hosted:
            raise ValueError(f"{peripheral.address} is in use")
        hosted = HostedPeripheral(peripheral, self.receive, self._speed)
        self.hosted[peripheral.address] = hosted
        if not by_hand:
            hosted.start()
        return hosted

    async def take_away(self, hosted: HostedPeripheral) -> None:
        """Out of reach for good; a link is lost."""
        del self.hosted[hosted.address]
        await hosted.stop()
        hosted.reachable = False
        hosted.drop()

    def connect_stale(self, hosted: HostedPeripheral) -> None:
        """A link as a killed client leaves it: up, with no client behind it, and so without advertisements."""
        self.adapter.known(hosted.address, hosted.peripheral).stale(hosted)

    def receive(self, advert: ReceivedAdvert, peripheral: TwinPeripheral) -> None:
        if self.objects.connected:
            for adapter in self.adapters.values():
                adapter.receive(advert, peripheral)

    # -- adapters come and go

    def unplug(self, name: str) -> TwinAdapter:
        adapter = self.adapters.pop(name)
        adapter.withdraw()
        return adapter

    def plug(self, adapter: TwinAdapter) -> None:
        self.adapters[adapter.name] = adapter
        adapter.publish()

    def _client_gone(self, client: str) -> None:
        self.agents.gone(client)
        for adapter in self.adapters.values():
            adapter.gone(client)
