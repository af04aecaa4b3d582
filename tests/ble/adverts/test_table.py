"""Formats that are data: what each must have, that no payload fits two, and what the engine does with any octets."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender
from gatepost.drivers.ble.adverts.driver import AdvertOptions, BleAdvertisement
from gatepost.drivers.ble.adverts.formats import AdvertFilter, recognise
from gatepost.drivers.ble.adverts.table.catalogue import TableIndex, built_in, use_formats
from gatepost.drivers.ble.adverts.table.engine import TableFormat
from gatepost.drivers.ble.adverts.table.example import example_of
from gatepost.drivers.ble.adverts.table.schema import FEWEST_KEYS, FormatSpec, mistakes
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Reading

FORMATS = built_in()
BY_NAME = {form.name: form for form in FORMATS}
WITH_EXAMPLE = [form for form in FORMATS if form.spec.example is not None]
VECTORS = json.loads((Path(__file__).parents[2] / "vectors/ble-devices/adverts.json").read_text("utf-8"))["vectors"]


def advert_of(vector: dict) -> ReceivedAdvert:
    data, service = bytes.fromhex(vector["input_hex"]), vector.get("service_data_uuid")
    services = tuple(uuid(int(one, 16)) if len(one) == 4 else one for one in vector.get("service_uuids", ()))
    name, mac = vector.get("local_name") or "", vector.get("mac") or "AA:BB:CC:DD:EE:FF"
    if service:
        return ReceivedAdvert(mac, name, -60, {uuid(int(service, 16)): data}, {}, services)
    return ReceivedAdvert(mac, name, -60, {}, {vector["manufacturer_id"]: data}, services)


def spec(**changes) -> FormatSpec:
    whole = {
        "name": "mine",
        "title": "Mine",
        "match": {"carrier": "manufacturer", "id": ["1234"], "length": [4]},
        "fields": [{"name": "temperature", "at": 0, "type": "s16le", "scale": "0.1"}],
    }
    return msgspec.convert({**whole, **changes}, FormatSpec)


@pytest.fixture
def own():
    yield use_formats
    use_formats([])


def test_there_are_as_many_as_are_promised():
    assert len(FORMATS) == len(BY_NAME) == 39


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_format_is_whole(form):
    assert mistakes(form.spec) == []
    assert form.spec.match.keys >= FEWEST_KEYS
    assert form.spec.title
    assert form.spec.source
    assert form.spec.devices


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_no_vector_fits_two_formats(vector):
    found = [payload.form.name for payload in AdvertFilter().payloads(advert_of(vector))]
    unsupported = vector.get("expect_error") == "unsupported"
    assert found == ([] if unsupported else [vector["format"]])


@pytest.mark.parametrize("form", WITH_EXAMPLE, ids=lambda form: form.name)
def test_its_example_is_named_by_a_scan_and_read_by_the_driver(form):
    advert = example_of(form)
    assert [found.format for found in recognise(advert)] == [form.name]
    driver = BleAdvertisement(AdvertOptions(format=form.name))
    items = driver.decoder().feed(advert)
    assert driver.twin(driver.options).advertisement() == advert
    readings = [item for item in items if isinstance(item, Reading)]
    assert readings
    for reading in readings:
        assert set(reading.values) <= set(driver.values)
        for name in reading.values:
            assert reading.metric == "state" or name in reading.units or name in ("probe", "voc_index", "status")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"match": {"carrier": "manufacturer", "id": ["1234"]}}, "too-few-match-keys"),
        ({"match": {"carrier": "service", "id": ["1234"], "length": [4]}, "data": "with-id"}, "no-company-id"),
        ({"fields": []}, "no-fields"),
        ({"final": "stable"}, "unknown-field"),
        ({"repeat": "number"}, "unknown-field"),
        ({"state": ["open"]}, "unknown-field"),
        ({"fields": [{"name": "a", "scale": "1/0"}]}, "no-number"),
        ({"fields": [{"name": "a", "map": {"x": 1}}]}, "no-number"),
        ({"fields": [{"name": "a", "flag": "zero", "scale": "0.1"}]}, "no-effect"),
        ({"checksum": {"first": 0, "last": 3, "at": 4}}, "out-of-range"),
    ],
)
def test_mistakes_are_told(changes, key):
    assert [mistake.key for mistake in mistakes(spec(**changes))] == [key]


@pytest.mark.parametrize(
    "changes",
    [
        {"match": {"carrier": "smoke"}},
        {"match": {"carrier": "service", "id": ["12"]}},
        {"fields": [{"name": "Temperature"}]},
        {"fields": [{"name": "a", "scale": "x"}]},
        {"extra": 1},
    ],
)
def test_what_is_of_the_wrong_type_is_refused(changes):
    with pytest.raises(msgspec.ValidationError):
        spec(**changes)


def test_a_format_of_the_user_is_heard_and_named(own, ear, maker):
    advert = maker(0x1234, "f6000000")
    assert recognise(advert) == []
    own([spec()])
    assert [found.format for found in recognise(advert)] == ["mine"]
    (reading,) = ear(format="mine").hear(advert)
    assert reading.values == {"temperature": 24.6}
    assert reading.units == {"temperature": "Cel"}


def test_no_value_and_a_battery_that_cannot_be():
    form = TableFormat(spec(fields=[{"name": "humidity", "none": [255]}, {"name": "battery", "at": 1}]))
    (reading,) = form.interpret(b"\xff\x32\0\0", AdvertSender()).readings
    assert (reading.values, reading.flags) == ({"battery": 50}, ("humidity:not-available",))
    with pytest.raises(FrameError, match="out_of_range"):
        form.interpret(b"\x10\x65\0\0", AdvertSender())


@pytest.mark.parametrize("octets", ["0000c07f", "0000807f", "000080ff"])
def test_what_is_no_number_and_what_is_infinite_is_no_value(octets):
    data = bytes.fromhex(octets) + bytes.fromhex("702360420000c406")
    (reading,) = BY_NAME["smartdry"].interpret(data, AdvertSender()).readings
    assert reading.flags == ("temperature:not-available",)
    assert set(reading.values) == {"humidity"}


def test_a_weighing_is_told_once_when_it_is_final(ear):
    one, advert = ear(), example_of(BY_NAME["yunmai-x"])
    (company, data), *_ = advert.manufacturer_data.items()
    live = bytearray(data)
    live[8], live[13] = 1, live[13] ^ 3 ^ 1
    assert one.hear(msgspec.structs.replace(advert, manufacturer_data={company: bytes(live)})) == []
    (reading,) = one.hear(advert)
    assert reading.values == {"weight": 80.0, "impedance": 500}
    for _ in range(20):
        one.wait(11)
        assert one.hear(advert) == []
    damaged = data[:9] + b"\xff" + data[10:]
    assert one.hear(msgspec.structs.replace(advert, manufacturer_data={company: damaged})) == []
    assert one.faults == {"bad_checksum": 1}


@given(st.binary(max_size=40), st.integers(0, 0xFFFF), st.sampled_from(FORMATS), st.binary(min_size=6, max_size=6))
def test_any_octets_are_decoded_or_refused(data, company, form, mac):
    address = mac.hex(":").upper()
    number = form.company_ids[0] if form.company_ids else company
    services = {form.services[0]: data} if form.services else {}
    name = (form.spec.match.local_name or [""])[0].rstrip("*")
    beside = tuple(uuid(int(one, 16)) if len(one) == 4 else one for one in form.spec.match.service_uuid)
    advert = ReceivedAdvert(address, name, -60, services, {number: data}, beside)
    for found, payload in TableIndex(FORMATS).find(advert):
        try:
            decoded = found.interpret(payload, AdvertSender(mac, name))
        except FrameError:
            continue
        for reading in decoded.readings:
            assert all(value == value for value in reading.values.values())
    form.decode(data)
