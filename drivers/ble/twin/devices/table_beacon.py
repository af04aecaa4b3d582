"""Simulated broadcaster of a format that is data: it sends the example of the format again and again."""

from __future__ import annotations

from gatepost.drivers.ble.adverts.table.catalogue import every_format
from gatepost.drivers.ble.adverts.table.example import example_of
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral


class TableBeaconTwin(TwinPeripheral):
    """Broadcaster with one payload, as it was captured. KeyError for a format without an example."""

    advert_interval = 0.5
    connectable = False

    def __init__(self, name: str, seed: int = 0) -> None:
        advert = next((example_of(form) for form in every_format() if form.name == name and form.spec.example), None)
        if advert is None:
            raise KeyError(name)
        self._advert = advert
        super().__init__(advert.name, advert.address, (), seed)

    def advertisement(self) -> ReceivedAdvert:
        return self._advert

    def tick(self) -> None:
        """Nothing changes."""
