"""State of the emulated daemon that its adapters and devices share: objects on the bus, agents, peripherals, timing."""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.twin.agents import TwinAgents
from gatepost.drivers.ble.twin.dbus_objects import ObjectTree
from gatepost.drivers.ble.twin.hosted_peripheral import HostedPeripheral


class DaemonTiming(msgspec.Struct, frozen=True):
    """Timing of the daemon, in seconds for each step; quick by default, `REAL_TIMING` as seen on a real daemon."""

    connect: float = 0.01
    resolve: float = 0.01
    disconnect: float = 0.0
    pair: float = 0.01
    forget: float = 30.0  # a device that was not heard for so long, neither bonded nor trusted


REAL_TIMING = DaemonTiming(connect=0.3, resolve=0.8, disconnect=2.0, pair=0.33)


class DaemonState(msgspec.Struct):
    """Shared state; `hosted`: the peripherals in reach by address."""

    objects: ObjectTree
    agents: TwinAgents
    hosted: dict[str, HostedPeripheral]
    timing: DaemonTiming
