"""What a scan is told, and the filter."""

import subprocess
import sys

import pytest

from gatepost.drivers.ble.adverts import mibeacon
from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender
from gatepost.drivers.ble.adverts.driver import AdvertOptions
from gatepost.drivers.ble.adverts.formats import FORMATS, AdvertFilter, advert_filter, names, recognise
from gatepost.drivers.ble.adverts.table.catalogue import use_formats
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.options import WrongOptions


def advert(services=None, makers=None, name=""):
    return ReceivedAdvert(
        "A4:C1:38:D5:D4:98",
        name,
        -60,
        {uuid(number): bytes.fromhex(data) for number, data in (services or {}).items()},
        {company: bytes.fromhex(data) for company, data in (makers or {}).items()},
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (advert({0xFCD2: "4002ca09"}), ["bthome"]),
        (advert({0x181A: "a4c138d5d49801453e510b7b62"}), ["atc"]),
        (advert({0x181D: "223e30e607020e10293a"}), ["mi-scale"]),
        (advert({0x181B: "0226e607020e10293af7019a38"}), ["mi-scale"]),
        (advert(makers={0x0499: "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f"}), ["ruuvi"]),
        (advert(makers={0xEC88: "000341c26400"}, name="GVH5075"), ["govee"]),
        (advert(makers={0x004C: "0215426c7565436861726d426561636f6e730efe1355c5"}), ["ibeacon"]),
        (advert({0xFEAA: "10ec03676f6f07"}), ["eddystone"]),
        (advert({0xFEAA: "10ec03676f6f07", 0xFCD2: "4002ca09"}), ["bthome", "eddystone"]),
        (advert(makers={0x004C: "1005011c7a3b2f"}), []),
        (advert({0xFE95: "5020aa01"}), []),
        (advert({0xFCD2: "00", 0x181A: "00", 0x181D: "", 0xFEAA: ""}, {0x0499: "06", 0x0001: "00"}), []),
        (advert(), []),
    ],
)
def test_recognise(seen, expected):
    found = recognise(seen)
    assert [one.format for one in found] == expected
    for name, title, options in found:
        assert title
        assert AdvertOptions(**options).format == name


@pytest.mark.parametrize(
    "seen", [advert({0xFCD2: "41a47266c95f730011223378237214"}), advert({0x181A: "bd86c53ffab900c1515859"})]
)
def test_an_encrypted_sensor_wants_its_key(seen):
    ((_, title, options),) = recognise(seen)
    assert "encrypted" in title
    assert set(options) == {"format", "key"}
    with pytest.raises(ValueError, match="hex"):
        bytes.fromhex(options["key"])  # nobody overlooks it


def test_the_filter_knows_every_place_once():
    assert len({form.key for form in FORMATS}) == len(FORMATS)
    assert len(AdvertFilter().payloads(advert({0xFCD2: "4000", 0x1809: "00"}, {0x0499: "05", 0x0006: "00"}))) == 2
    assert AdvertFilter("govee").payloads(advert({0xFCD2: "40"}, {0x0499: "05"})) == []


def test_the_options_take_every_format_and_no_other():
    for name in ("auto", *names()):
        assert AdvertOptions(format=name).format == name
    with pytest.raises(WrongOptions, match="there is no format rubbish"):
        AdvertOptions(format="rubbish")


def test_a_format_is_loaded_with_its_first_advertisement_and_cryptography_with_the_first_key():
    code = (
        "import sys\n"
        "from gatepost.drivers.ble.adverts.driver import AdvertOptions, BleAdvertisement\n"
        "from gatepost.drivers.ble.peripheral import ReceivedAdvert\n"
        "here = 'gatepost.drivers.ble.adverts.'\n"
        "loaded = lambda: {name.removeprefix(here) for name in sys.modules if name.startswith(here)}\n"
        "decoder = BleAdvertisement(AdvertOptions()).decoder()\n"
        "assert not loaded() & {'ruuvi', 'govee', 'mi_scale', 'eddystone', 'ibeacon', 'atc', 'bthome'}, loaded()\n"
        "decoder.feed(ReceivedAdvert('A4:C1:38:D5:D4:98', '', -60, {}, {0x0499: bytes(24)}))\n"
        "assert loaded() & {'ruuvi', 'govee', 'atc', 'bthome'} == {'ruuvi'}\n"
        "assert 'cryptography' not in sys.modules and 'bleak' not in sys.modules\n"
        "BleAdvertisement(AdvertOptions(key='0' * 32)).decoder()\n"
        "assert 'cryptography' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_sensors_share_one_filter_until_the_users_formats_change():
    shared = advert_filter("ruuvi")
    assert advert_filter("ruuvi") is shared
    assert advert_filter("govee") is not shared
    use_formats([])
    assert advert_filter("ruuvi") is not shared


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        ("40205b0401041002e800", 0x1004),
        ("50205b0401a84c37380000041002e800", 0x1004),
        ("60205b040108061002e800", 0x1006),
        ("60205b040120ff061002e800", 0x1006),
    ],
)
def test_the_objects_of_a_plain_mibeacon_are_told_apart(octets, kind):
    assert mibeacon.variant(bytes.fromhex(octets)) == kind
    assert len(mibeacon.decode(bytes.fromhex(octets)).values) == 1


def plain_mibeacon(objects, device=0x0098):
    """Version 5, not encrypted, with the address of its sender."""
    head = bytes.fromhex("5050") + device.to_bytes(2, "little") + b"\x01" + bytes.fromhex("010000a4c138")
    return mibeacon.interpret(head + bytes.fromhex(objects), AdvertSender())


@pytest.mark.parametrize(
    ("objects", "device", "states"),
    [
        ("191001" + "00", 0x098B, {"open": True}),
        ("191001" + "01", 0x098B, {"open": False}),
        ("191001" + "02", 0x098B, {"open": True}),
        ("191001" + "03", 0x098B, {}),  # was reset
        ("124a01" + "02", 0x0098, {"open": False}),
        ("124a01" + "04", 0x0098, {}),
        ("4e4801" + "02", 0x4683, {"occupied": False}),
        ("071003" + "640000", 0x07F6, {"light_detected": True}),
        ("071003" + "010000", 0x07F6, {"light_detected": False}),
    ],
)
def test_the_states_of_a_mibeacon(objects, device, states):
    found = plain_mibeacon(objects, device)
    assert (found.states, found.readings) == (states, ())


def test_all_bits_of_a_weight_are_none():
    packed = (0x7FF | 70 << 11 | 4567 << 18).to_bytes(4, "little").hex()
    found = plain_mibeacon(f"166e0901{packed}40302010").readings
    assert [reading.values for reading in found] == [{"impedance_2": 456.7}, {"heart_rate": 120}]


@pytest.mark.parametrize("octets", ["0000c07f", "0000807f"])
def test_a_mibeacon_without_a_number_has_no_value(octets):
    data = bytes.fromhex("40505b0401" + "014c04" + octets + "024c0132")
    (reading,) = mibeacon.interpret(data, AdvertSender()).readings
    assert (reading.values, reading.flags) == ({"humidity": 50}, ("temperature:not-available",))
