"""Simulated broadcasters against the decoder of `ble-advertisement`."""

from __future__ import annotations

import pytest

from gatepost.drivers.ble.adverts.driver import AdvertOptions, BleAdvertisement
from gatepost.drivers.ble.twin.devices.catalogue import BROADCASTERS, make
from gatepost.drivers.reading import Reading

KEY = bytes(range(16))


def heard(name: str, seconds: int = 60, options: AdvertOptions | None = None, **settings) -> list[Reading]:
    now = 0.0
    driver = BleAdvertisement(options, clock=lambda: now)
    decoder, twin = driver.decoder(), make(name, 5, **settings)
    out: list[Reading] = []
    for second in range(seconds):
        now = float(second)
        twin.tick()
        for _ in range(3):  # each is sent more than once
            out += [item for item in decoder.feed(twin.advertisement()) if isinstance(item, Reading)]
    assert decoder.faults.total == 0, decoder.faults.last
    return out


@pytest.mark.parametrize("name", sorted(BROADCASTERS))
def test_each_is_understood(name: str) -> None:
    assert heard(name, options=AdvertOptions(key="00" * 16) if name == "victron" else None)


@pytest.mark.parametrize("name", ["bthome", "ruuvi", "atc", "pvvx"])
def test_what_counts_is_told_once(name: str) -> None:
    assert len([reading for reading in heard(name) if "temperature" in reading.values]) == 60


def test_what_is_said_is_what_was_measured() -> None:
    for name, close in (("bthome", 0.006), ("ruuvi", 0.006), ("atc", 0.06), ("pvvx", 0.006), ("govee", 0.11)):
        twin = make(name, 5)
        twin.tick()
        decoder = BleAdvertisement().decoder()
        readings = [item for item in decoder.feed(twin.advertisement()) if isinstance(item, Reading)]
        values = {key: value for reading in readings for key, value in reading.values.items()}
        assert values["temperature"] == pytest.approx(twin.temperature, abs=close), name
        assert values["humidity"] == pytest.approx(twin.humidity, abs=0.6), name


def test_encrypted() -> None:
    pytest.importorskip("cryptography")
    readings = heard("bthome", 60, AdvertOptions(key=KEY.hex()), key=KEY)
    assert len([reading for reading in readings if "temperature" in reading.values]) == 60
    decoder = BleAdvertisement().decoder()
    assert decoder.feed(make("bthome", 0, key=KEY).advertisement()) == []


def test_a_scale_tells_each_weighing_once() -> None:
    weights = [reading for reading in heard("mi-scale", 100) if reading.metric == "body_weight"]
    assert 4 <= len(weights) <= 5
    readings = heard("mi-body-scale", 100)
    assert any("impedance" in reading.values for reading in readings)
