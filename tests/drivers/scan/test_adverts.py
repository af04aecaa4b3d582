"""What an advertisement tells of the driver that fits."""

from __future__ import annotations

import pytest

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import Registry
from gatepost.drivers.scan.adverts import describe

REGISTRY = Registry.installed()
RUUVI = bytes.fromhex("0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F")
IBEACON = bytes.fromhex("0215") + bytes(16) + bytes.fromhex("00010002C5")
HEART, GLUCOSE, PLX, BATTERY, WEIGHT, BODY = (uuid(each) for each in (0x180D, 0x1808, 0x1822, 0x180F, 0x181D, 0x181B))


def seen(**parts):
    return describe(ReceivedAdvert("C0:00:00:00:00:01", **parts), REGISTRY)


@pytest.mark.parametrize(
    ("services", "driver"),
    [
        ((HEART,), "ble-heart-rate"),
        ((HEART, BATTERY, uuid(0x180A)), "ble-heart-rate"),
        ((HEART, PLX), "ble"),
        ((WEIGHT, BODY), "ble-weight-scale"),
        ((GLUCOSE,), "ble-glucose"),
        ((BATTERY,), None),
        ((uuid(0xFEE7),), None),
        ((), None),
    ],
)
def test_services_tell_the_driver(services, driver):
    assert seen(services=services).driver == driver


def test_every_profile_has_a_driver():
    from gatepost.drivers.ble.profiles import BY_SERVICE, profile

    for service in BY_SERVICE:
        if not profile(service).helper:
            assert seen(services=(service,)).driver == profile(service).driver


def test_a_strap_that_hides_what_it_can_is_known_by_its_name():
    assert seen(name="Polar H10 1A2B3C4D", services=(HEART,)).driver == "ble-polar-h10"
    assert seen(name="Polar H10 1A2B3C4D").driver == "ble-polar-h10"
    assert seen(name="Polar OH1", services=(HEART,)).driver == "ble-heart-rate"


def test_a_device_of_a_single_maker_is_known_by_its_name_or_by_its_own_service():
    assert seen(name="BLESmart_0000012FC0DE4F000000").driver == "ble-omron"
    assert seen(name="BLESmart_0000012FC0DE4F000000", services=(uuid(0x1810),)).driver == "ble-blood-pressure"
    assert seen(services=(uuid(0xFE4A),)).driver == "ble-omron"
    assert seen(services=("ecbe3980-c9a2-11e1-b1bd-0002a5d5c51b",)).what.startswith("Omron cuffs")
    assert seen(services=(uuid(0xFFE0),)).driver is None


def test_what_broadcasts_is_not_connected():
    found = seen(manufacturer_data={0x0499: RUUVI}, services=(HEART,))
    assert (found.driver, found.options, found.needs) == ("ble-advertisement", {"format": "ruuvi"}, "")


def test_a_beacon_is_what_a_device_is_only_when_it_is_nothing_else():
    assert seen(manufacturer_data={0x004C: IBEACON}).options == {"format": "ibeacon"}
    assert seen(manufacturer_data={0x004C: IBEACON}, services=(HEART,)).driver == "ble-heart-rate"


def test_an_unknown_device_is_told_by_what_it_shows():
    assert seen(services=(uuid(0xFEE7), uuid(0x180A))).what == "services fee7"
    assert seen(manufacturer_data={0x004C: b"\x10\x05"}).what == "data of company 004c"
    assert seen().what == ""


def test_drivers_that_are_not_installed_are_not_named():
    few = Registry({"ble-heart-rate": lambda: REGISTRY.get("ble-heart-rate")})
    assert describe(ReceivedAdvert("C0:00:00:00:00:01", services=(GLUCOSE,)), few).driver is None
    assert describe(ReceivedAdvert("C0:00:00:00:00:01", manufacturer_data={0x0499: RUUVI}), few).driver is None
