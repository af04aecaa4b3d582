"""One connection to a simulated peripheral."""

from __future__ import annotations

import asyncio

from gatepost.drivers.ble.twin.air import OnAir
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral


class TwinLink:
    """One connection, from the first octet to its loss."""

    def __init__(self, air: OnAir) -> None:
        self.air = air
        self.peripheral: TwinPeripheral = air.peripheral
        self.encrypted = False
        self.lost = asyncio.Event()
