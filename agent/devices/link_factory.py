"""Link factory: the kinds of links of this gateway; each kind is loaded when the first device asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from gatepost.agent.devices.interfaces import Connect
from gatepost.agent.settings.model import BluetoothSettings, DeviceSettings
from gatepost.drivers.driver import Driver, SerialSettings
from gatepost.drivers.link import Link, LinkEvents

if TYPE_CHECKING:
    from gatepost.drivers.serial.port.port_watch import PortWatch

NETWORK_PORTS = ("listen://", "udp://")


class CommitSchedule(Protocol):
    """Schedule of the commits that readings wait for: at most one in `interval` seconds; `on_turn` is called before
    one that was waited for, `on_commit` before each, also where somebody hurries it."""

    interval: float
    on_turn: list[Callable[[], None]]
    on_commit: list[Callable[[], None]]

    def until_commit(self) -> float:
        """Seconds until the next commit may begin, with what is appended by then."""
        ...

    def until_turn(self) -> float:
        """Seconds for which what is appended from now on would wait for its commit."""
        ...


class HardwareLinks:
    """Serial ports, ports on a network, Bluetooth LE, and the kernel's 1-wire files. Owned by Devices.

    With `commits` ports are read just before what they bring is written down, where that is often enough.
    """

    def __init__(
        self,
        rng: Random,
        log: logging.Logger,
        bluetooth: BluetoothSettings | None = None,
        commits: CommitSchedule | None = None,
    ) -> None:
        self._bluetooth = bluetooth or BluetoothSettings()
        self._commits = commits
        self._judges = False  # a reading may be urgent, and so stored before the next commit's turn
        self._rng = rng
        self._log = log
        self._ports: Any = None
        self._radio: Any = None
        self._network: Any = None
        self._kinds: dict[str, Connect] = {"serial": self._port_link, "ble": self._ble_link, "w1": w1_link}

    def get(self, transport: str) -> Connect | None:
        return self._kinds.get(transport)

    def adjust(self, devices: Mapping[str, DeviceSettings]) -> None:
        self._judges = any(device.thresholds and device.port for device in devices.values())

    async def close(self) -> None:
        if self._radio is not None:
            await self._radio.close()
        if self._network is not None:
            await self._network.close()

    def _port_link(self, device: DeviceSettings, driver: Driver, events: LinkEvents) -> Link:
        assert device.port is not None
        if is_serial_port(device, driver):
            return self._serial_link(device, driver, events)
        if self._network is None:
            from gatepost.drivers.network.links import NetworkLinks  # only where a device is on a network

            self._network = NetworkLinks(self._log)
        link: Link = self._network.connect(device.port, driver, events)
        return link

    def _serial_link(self, device: DeviceSettings, driver: Driver, events: LinkEvents) -> Link:
        """A serial port with the driver's line settings where the device's settings say nothing else."""
        from gatepost.drivers.serial.port.link import SerialLink

        assert device.port is not None
        if self._ports is None:
            self._ports = self._port_watch()
        return SerialLink(
            device.port,
            line_of(device, driver),
            rts=device.rts,
            dtr=device.dtr,
            on_data=events.data,
            on_lost=events.lost,
            watch=self._ports,
        )

    def _port_watch(self) -> PortWatch:
        from gatepost.drivers.serial.port.port_watch import WIDEST, PortWatch

        commits = self._commits
        if commits is None:
            return PortWatch()

        def wide() -> float:
            return commits.until_turn() if commits.interval <= WIDEST and not self._judges else 0.0

        watch = PortWatch(wide=wide)
        commits.on_turn.append(watch.gather)
        return watch

    def _ble_link(self, device: DeviceSettings, driver: Driver, events: LinkEvents) -> Link:
        if self._radio is None:
            from gatepost.drivers.ble.link.links import BleLinks  # some MiB that only BLE devices are worth
            from gatepost.drivers.ble.stack.timing import BleTiming

            timing = BleTiming(slots=self._bluetooth.connections, share=self._bluetooth.turn)
            self._radio = BleLinks(self._rng, self._log, timing)
        link: Link = self._radio.connect(device.address, device.name, device.adapter, driver, events)
        return link


def is_serial_port(device: DeviceSettings, driver: Driver) -> bool:
    """A serial port, here or on a serial server; not one of the links that wait for devices to connect."""
    return driver.transport == "serial" and not (device.port or "").startswith(NETWORK_PORTS)


def line_of(device: DeviceSettings, driver: Driver | type[Driver]) -> SerialSettings:
    ours = driver.line
    return SerialSettings(
        baudrate=ours.baudrate if device.baudrate is None else device.baudrate,
        bytesize=ours.bytesize if device.bytesize is None else device.bytesize,
        parity=ours.parity if device.parity is None else device.parity,
        stopbits=ours.stopbits if device.stopbits is None else device.stopbits,
        flow=ours.flow if device.flow is None else device.flow,
    )


def w1_link(device: DeviceSettings, driver: Driver, events: LinkEvents) -> Link:
    """A sensor of the kernel's 1-wire driver: its file is read every now and then."""
    from gatepost.drivers.onewire.link import W1Link

    assert device.port is not None
    link: Link = W1Link(device.port, driver.options.interval, on_data=events.data, on_lost=events.lost)
    return link
