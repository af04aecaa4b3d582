"""A clock that is moved by hand, and short ways to make adverts and decoders."""

from __future__ import annotations

import pytest

from gatepost.drivers.ble.adverts.driver import AdvertOptions, BleAdvertisement
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid

MAC = "A4:C1:38:D5:D4:98"


class Ear:
    """A driver with its decoder, and time: `hear(advert)` gives the readings, `wait(seconds)` lets time pass."""

    def __init__(self, **options) -> None:
        self.now = 1000.0
        self.driver = BleAdvertisement(AdvertOptions(**options), clock=lambda: self.now)
        self.decoder = self.driver.decoder()

    @property
    def faults(self) -> dict[str, int]:
        return self.decoder.faults.counts

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def reopen(self) -> None:
        self.decoder = self.driver.decoder()

    def all(self, advert: ReceivedAdvert) -> list:
        return self.decoder.feed(advert)

    def hear(self, advert: ReceivedAdvert) -> list:
        return [item for item in self.all(advert) if hasattr(item, "metric")]

    def told(self, advert: ReceivedAdvert) -> dict:
        return {
            name: value
            for item in self.all(advert)
            if not hasattr(item, "metric")
            for name, value in item.fields.items()
        }


@pytest.fixture
def ear():
    return Ear


@pytest.fixture
def service():
    """`service(0xFCD2, "40...")`: an advert with service data."""

    def make(number: int, data: str, address: str = MAC, name: str = "", rssi: int | None = -60) -> ReceivedAdvert:
        return ReceivedAdvert(address, name, rssi, {uuid(number): bytes.fromhex(data)})

    return make


@pytest.fixture
def maker():
    """`maker(0x0499, "05...")`: an advert with manufacturer data."""

    def make(company: int, data: str, address: str = MAC, name: str = "", rssi: int | None = -60) -> ReceivedAdvert:
        return ReceivedAdvert(address, name, rssi, {}, {company: bytes.fromhex(data)})

    return make
