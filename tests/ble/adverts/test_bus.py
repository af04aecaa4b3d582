"""From an emulated bluetoothd through unmodified bleak to readings: one scanner for all broadcasters."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest

from gatepost.drivers.ble.adverts.driver import AdvertOptions, BleAdvertisement
from gatepost.drivers.ble.link.links import BleLinks
from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.devices.catalogue import BROADCASTERS, make
from gatepost.drivers.reading import Reading
from tests.support.waiting import until

KEY = "231d39c1d7cc1ab1aee224cd096db932"
LIMIT = 10.0


class Listener:
    """One configured device: link, decoder, and what it heard."""

    def __init__(self, links: BleLinks, address: str, driver: BleAdvertisement) -> None:
        self.readings: list[Reading] = []
        self.lost = self.waiting = lambda *what: None
        self.known = lambda known: None
        self.memory = None
        self.decoder = driver.decoder()
        self.link = links.connect(address, None, None, driver, self)

    def data(self, advert: object) -> None:
        self.readings += [item for item in self.decoder.feed(advert) if isinstance(item, Reading)]


@pytest.fixture
async def links(bus):
    made = BleLinks(Random(7), logging.getLogger("tests.ble.adverts"))
    yield made
    await made.close()


async def test_all_broadcasters_at_once(bluez: TwinDaemon, links: BleLinks) -> None:
    twins = {name: make(name, 1) for name in BROADCASTERS}
    listeners = {
        name: Listener(
            links, twin.address, BleAdvertisement(AdvertOptions(repeat=600, key="00" * 16 if name == "victron" else ""))
        )
        for name, twin in twins.items()
    }
    for twin in twins.values():
        twin.interval, twin.advert_interval = 0.05, 0.02  # fast, so that every scale weighs something soon
        bluez.place(twin)
    await asyncio.wait_for(asyncio.gather(*(listener.link.open() for listener in listeners.values())), LIMIT)
    enough = {"mi-scale": 1, "mi-body-scale": 2, "ibeacon": 1}
    await until(lambda: all(len(one.readings) >= enough.get(name, 3) for name, one in listeners.items()), LIMIT)
    for name, one in listeners.items():
        assert one.decoder.faults.counts == {}, name
    assert bluez.adapter.discovering
    metrics = {name: {reading.metric for reading in one.readings} for name, one in listeners.items()}
    for name in ("ruuvi", "atc", "pvvx", "govee", "eddystone"):
        assert metrics[name] == {"environment"}
    assert metrics["bthome"] == {"environment", "reading"}
    assert metrics["mi-scale"] == {"body_weight"}
    assert metrics["mi-body-scale"] == {"body_weight", "body_composition"}
    assert metrics["ibeacon"] == {"presence"}
    sequence = [reading.values["sequence"] for reading in listeners["ruuvi"].readings]
    assert sequence == sorted(set(sequence))
    for one in listeners.values():
        await one.link.close()


async def test_an_encrypted_one(bluez: TwinDaemon, links: BleLinks) -> None:
    twin = make("bthome", 2, key=bytes.fromhex(KEY))
    twin.interval = twin.advert_interval = 0.05
    bluez.place(twin)
    one = Listener(links, twin.address, BleAdvertisement(AdvertOptions(key=KEY)))
    stranger = Listener(links, twin.address, BleAdvertisement(AdvertOptions()))
    await asyncio.wait_for(asyncio.gather(one.link.open(), stranger.link.open()), LIMIT)
    await until(lambda: len(one.readings) >= 3 and stranger.decoder.faults.counts.get("no_key", 0) >= 3, LIMIT)
    assert one.decoder.faults.counts == {}
    assert stranger.readings == []
    await one.link.close()
    await stranger.link.close()
