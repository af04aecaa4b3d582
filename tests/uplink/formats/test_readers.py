"""What the formats send, read by programs that are not ours: nothing differs from the log."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.uplink.format_kit import make
from gatepost.agent.uplink.formats.catalogue import load
from gatepost.agent.uplink.formats.interface import OutgoingMessage, PayloadFormat
from gatepost.agent.uplink.formats.senml import BY_NAME, UNITS
from gatepost.agent.uplink.formats.stored_reading import COUNTS, StoredReading
from gatepost.drivers.metrics import METRICS

BundleR5 = pytest.importorskip("fhir.resources.bundle").Bundle
BundleR4 = pytest.importorskip("fhir.resources.R4B.bundle").Bundle
descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
descriptor_pool = pytest.importorskip("google.protobuf.descriptor_pool")
message_factory = pytest.importorskip("google.protobuf.message_factory")

NOW = 1_795_170_600_123_456
DRIVERS = ("ble-blood-pressure", "nonin", "mqtt", "and-scale", "ble-thermometer", "onetouch-ultra2", "unknown")
VALUES = [
    (name, value.name, unit) for name, metric in METRICS.items() for value in metric.values for unit in value.units
]
numbers = st.integers(-1000, 300_000) | st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 4))
wholes = numbers | st.booleans() | st.text(max_size=8) | st.lists(numbers, max_size=4)


@st.composite
def readings(draw: st.DrawFn) -> StoredReading:
    """Readings of the whole catalogue, and of what no catalogue knows."""
    metric = draw(st.sampled_from(sorted(METRICS)) | st.just("own"))
    known = [(name, unit) for kind, name, unit in VALUES if kind == metric] or [("x", "kPa"), ("t", None)]
    members: dict[str, Any] = {"metric_type": metric, "units": {}, "quality": "good", "flags": []}
    for name, unit in draw(st.lists(st.sampled_from(known), min_size=1, max_size=6, unique_by=lambda each: each[0])):
        kind = draw(st.sampled_from(["number", "number", "missing", "any"]))
        if kind == "missing":
            members["flags"].append(f"{name}:{draw(st.sampled_from(['nan', 'over-range', 'no-finger', 'odd']))}")
            continue
        members[name] = draw(numbers if kind == "number" else wholes)
        if unit is not None:
            members["units"][name] = unit
    members["flags"] += draw(st.sampled_from([[], ["motion"], ["site-ear"]]))
    if draw(st.booleans()):
        members["device_timestamp"] = "2026-11-20T10:29:58"
    if draw(st.integers(0, 4)) == 0:
        wave = {"rate_hz": draw(st.sampled_from([250, 0.5, 60.0])), "scale": 0.5, "offset": -3.0, "unit": "uV"}
        members |= {"samples": draw(st.lists(st.integers(-32768, 32767), min_size=1, max_size=9)), **wave}
        members["channel"] = draw(st.sampled_from(["ecg", "pleth"]))
    seq, replayed = draw(st.integers(1, 10**9)), draw(st.booleans())
    patient = draw(st.sampled_from([None, "P-001"]))
    ident = f"ward-7:6f2c9a1b:{seq}"
    return StoredReading(ident, "ward-7", "dev-1", patient, members, NOW, "synchronised", False, replayed, seq)


def format_of(name: str, driver: str = "nonin", **options: Any) -> PayloadFormat:
    device = {"driver": driver, "address": "AA:BB:CC:DD:EE:FF", "info": {"model": "X", "firmware": "1"}}
    broker = {"format": name, "qos": 1, "options": options}
    settings = {"gateway": {"id": "ward-7"}, "version": "1.0.0", "broker": broker, "devices": {"dev-1": device}}
    return make(load(name), settings)


# --- FHIR: fhir.resources


@pytest.mark.parametrize(("version", "bundle"), [("R4", BundleR4), ("R5", BundleR5)])
@given(reading=readings(), driver=st.sampled_from(DRIVERS), zone=st.sampled_from([None, "Europe/Berlin"]))
def test_fhir_bundles_are_valid(version: str, bundle: Any, reading: StoredReading, driver: str, zone: str) -> None:
    one = format_of("fhir", driver, version=version, device_zone=zone)
    for message in one.reading(reading, NOW):
        checked = bundle.model_validate_json(message.payload)
        observations = [each.resource for each in checked.entry if each.resource.get_resource_type() == "Observation"]
        found = sorted(_fhir_values(observations))
        expected = sorted(
            (name, float(value))
            for name, value in reading.values.items()
            if isinstance(value, int | float)
            and not isinstance(value, bool)
            and name not in COUNTS
            and not (reading.units.get(name) == "kPa" and reading.metric == "blood_pressure")
        )
        assert [name for name, _ in found if (name, _) in expected] == [name for name, _ in expected]
        samples = [each.valueSampledData.data for each in observations if each.valueSampledData]
        assert samples == ([" ".join(map(str, reading.samples))] if reading.samples else [])


def _fhir_values(observations: Iterable[Any]) -> Iterator[tuple[str, float]]:
    for one in observations:
        for each in one.component or [one]:
            if each.valueQuantity is not None:
                yield each.code.text.rpartition(".")[2], float(each.valueQuantity.value)


# --- Sparkplug: protobuf with the schema of the specification (3.0, section 6.4)

U32, U64, F32, F64, BOOL, TEXT, BYTES, GROUP = 13, 4, 2, 1, 8, 9, 12, 11
MESSAGES: dict[str, list[tuple[str, int, int, str]]] = {
    "PropertyValue": [
        ("type", 1, U32, ""),
        ("is_null", 2, BOOL, ""),
        ("int_value", 3, U32, ""),
        ("long_value", 4, U64, ""),
        ("float_value", 5, F32, ""),
        ("double_value", 6, F64, ""),
        ("boolean_value", 7, BOOL, ""),
        ("string_value", 8, TEXT, ""),
    ],
    "PropertySet": [("keys", 1, TEXT, "*"), ("values", 2, GROUP, "*PropertyValue")],
    "Metric": [
        ("name", 1, TEXT, ""),
        ("alias", 2, U64, ""),
        ("timestamp", 3, U64, ""),
        ("datatype", 4, U32, ""),
        ("is_historical", 5, BOOL, ""),
        ("is_transient", 6, BOOL, ""),
        ("is_null", 7, BOOL, ""),
        ("properties", 9, GROUP, "PropertySet"),
        ("int_value", 10, U32, ""),
        ("long_value", 11, U64, ""),
        ("float_value", 12, F32, ""),
        ("double_value", 13, F64, ""),
        ("boolean_value", 14, BOOL, ""),
        ("string_value", 15, TEXT, ""),
        ("bytes_value", 16, BYTES, ""),
    ],
    "Payload": [("timestamp", 1, U64, ""), ("metrics", 2, GROUP, "*Metric"), ("seq", 3, U64, "")],
}


def _sparkplug_reader() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug.proto", package="test", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, target in fields:
            label = 3 if target.startswith("*") else 1
            type_name = f".test.{target.lstrip('*')}" if kind == GROUP else None
            message.field.add(name=field, number=number, type=kind, label=label, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.Payload"))


Payload = _sparkplug_reader()
KINDS = {10: "double_value", 11: "boolean_value", 12: "string_value"}


def read_metric(metric: Any) -> Any:
    if metric.is_null:
        return None
    if metric.datatype == 31:
        return list(struct.unpack(f"<{len(metric.bytes_value) // 8}d", metric.bytes_value))
    if metric.datatype == 24:
        return list(struct.unpack(f"<{len(metric.bytes_value) // 4}i", metric.bytes_value))
    return getattr(metric, KINDS[metric.datatype])


@given(st.lists(readings(), min_size=1, max_size=5), st.booleans())
def test_sparkplug_says_what_the_log_says(some: list[StoredReading], aliases: bool) -> None:
    one = format_of("sparkplug", aliases=aliases)
    one.will(NOW)
    born: dict[int, str] = {}
    names: set[str] = set()
    sequence = 0

    def read(messages: Iterable[OutgoingMessage]) -> list[tuple[str, Any, Any]]:
        nonlocal sequence
        found = []
        for message in messages:
            payload = Payload.FromString(message.payload)
            assert payload.seq == sequence
            sequence = (sequence + 1) % 256
            birth = "BIRTH" in message.topic
            if "/DBIRTH/" in message.topic:
                names.clear()
            for metric in payload.metrics:
                if birth:
                    names.add(metric.name)
                    if metric.HasField("alias"):
                        assert born.setdefault(metric.alias, metric.name) == metric.name
                elif aliases:
                    assert not metric.HasField("name")
                name = metric.name or born[metric.alias]
                assert name in names, "a metric that no birth told of"
                if not birth:
                    found.append((name, read_metric(metric), metric))
        return found

    read(one.connected(NOW))
    for reading in some:
        for name, value, metric in read(one.reading(reading, NOW)):
            metric_type, _, value_name = name.partition("/")
            assert metric_type == reading.metric
            assert metric.timestamp == reading.time // 1000
            assert metric.is_historical == reading.replayed
            if value is None:
                assert value_name in reading.reasons
            elif value_name == reading.members.get("channel") and metric.datatype == 24:
                assert value == reading.samples
            else:
                assert value == reading.values[value_name]
                units = dict(zip(metric.properties.keys, metric.properties.values, strict=True))
                assert ("engUnit" in units) == (value_name in reading.units)


# --- SenML: a resolver of RFC 8428, section 4.6, and CBOR of RFC 8949 as far as packs use it

LABELS = {-2: "bn", -3: "bt", -4: "bu", 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 6: "t"}


def read_cbor(octets: bytes, at: int = 0) -> tuple[Any, int]:
    major, minor = octets[at] >> 5, octets[at] & 31
    at += 1
    if major == 7 and minor == 27:
        return struct.unpack(">d", octets[at : at + 8])[0], at + 8
    if major == 7:
        return {20: False, 21: True}[minor], at
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(minor, 0)
    number = int.from_bytes(octets[at : at + size], "big") if size else minor
    at += size
    match major:
        case 0:
            return number, at
        case 1:
            return -1 - number, at
        case 3:
            return octets[at : at + number].decode(), at + number
        case 4:
            items = []
            for _ in range(number):
                item, at = read_cbor(octets, at)
                items.append(item)
            return items, at
        case 5:
            members = {}
            for _ in range(number):
                label, at = read_cbor(octets, at)
                members[LABELS[label]], at = read_cbor(octets, at)
            return members, at
    raise AssertionError(f"major type {major}")


def resolve(records: list[dict[str, Any]]) -> Iterator[tuple[str, float, str | None, Any]]:
    """(name, time, unit, value) of each record, base members applied."""
    base: dict[str, Any] = {"bn": "", "bt": 0.0, "bu": None}
    for record in records:
        base |= {name: value for name, value in record.items() if name in base}
        [value] = [record[name] for name in ("v", "vs", "vb") if name in record]
        yield base["bn"] + record.get("n", ""), base["bt"] + record.get("t", 0.0), record.get("u", base["bu"]), value


@given(st.lists(readings(), min_size=1, max_size=4), st.sampled_from(["json", "cbor"]))
def test_senml_resolves_to_what_the_log_says(some: list[StoredReading], encoding: str) -> None:
    for at, reading in enumerate(some):
        reading.time += at * 60_000_000  # so that a record says which reading it is of
    waves: dict[int, list[float]] = {}
    values = 0
    for message in format_of("senml", encoding=encoding).batch(some, NOW):
        records = orjson.loads(message.payload) if encoding == "json" else read_cbor(message.payload)[0]
        for name, time, unit, value in resolve(records):
            path = name.removeprefix("urn:gatepost:ward-7:dev-1:")
            reading = min(some, key=lambda each: abs(each.time / 1e6 - time))
            metric, _, value_name = path.partition("/")
            assert metric == reading.metric
            if value_name == reading.members.get("channel") and value_name not in reading.values:
                rate, wave = reading.members["rate_hz"], waves.setdefault(reading.time, [])
                start = reading.time / 1e6 - (len(reading.samples or ()) - 1) / rate
                assert math.isclose(time, start + len(wave) / rate, abs_tol=2e-6)
                assert unit == "V"
                wave.append(value)
                continue
            values += 1
            assert math.isclose(time, reading.time / 1e6, abs_tol=1e-6)
            same = reading.values[value_name]
            if isinstance(same, bool | str):
                assert value == same
            else:
                assert math.isclose(
                    back(value_name, value, unit, reading.units.get(value_name)), same, rel_tol=1e-9, abs_tol=1e-9
                )
    assert values == sum(not isinstance(value, list) for reading in some for value in reading.values.values())
    for reading in some:
        if reading.samples:
            members = reading.members
            expected = [(sample * members["scale"] + members["offset"]) * 1e-6 for sample in reading.samples]
            pairs = zip(waves[reading.time], expected, strict=True)
            assert all(math.isclose(a, b, rel_tol=1e-9) for a, b in pairs)


def back(name: str, value: float, unit: str | None, reported: str | None) -> float:
    """The reported number from the one in SI."""
    rule = None if reported is None else BY_NAME.get((name, reported)) or UNITS.get(reported)
    if rule is None:
        assert unit is None
        return value
    assert unit == rule[0]
    number, factor, less = Decimal(repr(value)), Decimal(rule[1] or "1"), Decimal(rule[2])
    return float((number * factor if unit == "Cel" else number / factor) + less)
