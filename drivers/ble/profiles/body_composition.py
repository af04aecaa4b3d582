"""Body Composition service (181B): a measurement may come in two packets, which are one reading."""

from __future__ import annotations

from gatepost.drivers.ble.gatt import body_composition
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import HELD, Items, ProfileMemory
from gatepost.drivers.ble.stored_records.unnumbered_records import UnnumberedProfile
from gatepost.drivers.ble.uuids import uuid


class BodyCompositionProfile(UnnumberedProfile):
    """Body composition profile. A first packet waits for the second one until the next value, or until it has waited
    long enough."""

    service = uuid(0x181B)
    title = "body composition scale"
    kind = "body-composition"
    holds = True
    driver = "ble-weight-scale"
    streams = (uuid(0x2A9C),)
    sets_clock = True

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._merger = body_composition.PacketMerger()
        self._first: body_composition.BodyCompositionMeasurement | None = None  # what waits in it

    def decode(self, value: GattValue) -> Items:
        packet = body_composition.decode(value.data)
        first, whole = self._first, self._merger.feed(packet)
        merged = first is not None and first not in whole
        self._first = packet if packet.multiple_packet and not merged else None
        return self._give(whole) if self._first is None else [*self._give(whole), HELD]

    def flush(self) -> Items:
        self._first = None
        return self._give(self._merger.flush())

    def _give(self, whole: list[body_composition.BodyCompositionMeasurement]) -> Items:
        return [item for measurement in whole for item in self._records.give(body_composition.reading(measurement))]
