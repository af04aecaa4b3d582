"""Readings of the harness's devices in messages of every payload format: `read` says which reading a message holds.

The devices count with a value `n`; what else a message says is of no interest here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from tools.harness import sparkplug

TELEMETRY = {"n": 1}  # option of format datastream
OPTIONS: dict[str, dict[str, Any]] = {"datastream": {"telemetry": TELEMETRY}}


class SeenReading(NamedTuple):
    """`sequence`: the number at the end of the id; -1 is what the format does not say."""

    device: str
    n: int
    sequence: int
    replayed: int


def read(name: str, topic: str, payload: bytes) -> Iterator[SeenReading]:
    """Nothing for messages that are no readings."""
    return _READERS[name](topic.split("/"), payload)


def _sequence(ident: str) -> int:
    return int(ident.partition(".")[0].rpartition(":")[2])


def _devices(topic: list[str], payload: bytes) -> Iterator[SeenReading]:
    if (topic[0] == "gatepost" and len(topic) == 4) or (topic[0] == "devices" and topic[-1] == "data"):
        body = orjson.loads(payload)
        if "n" in body:
            yield SeenReading(body["device_id"], body["n"], _sequence(body["id"]), int(body["replayed"]))


def _scalar(topic: list[str], payload: bytes) -> Iterator[SeenReading]:
    if topic[0] == "devices" and topic[2:] == ["reading", "n"]:
        body = orjson.loads(payload)
        metadata = body["metadata"]
        yield SeenReading(body["device_id"], body["value"], _sequence(metadata["id"]), int(metadata["replayed"]))


def _datastream(topic: list[str], payload: bytes) -> Iterator[SeenReading]:
    if topic[0] == "devices" and topic[-1] == "datastream":
        yield SeenReading(topic[1], int(orjson.loads(payload)["value"]), -1, -1)


def _senml(topic: list[str], payload: bytes) -> Iterator[SeenReading]:
    if topic[0] == "senml":
        for record in orjson.loads(payload):
            if record.get("n") == "reading/n":
                yield SeenReading(topic[2], record["v"], -1, -1)


def _thingsboard(topic: list[str], payload: bytes) -> Iterator[SeenReading]:
    if topic == ["v1", "gateway", "telemetry"]:
        for device, rows in orjson.loads(payload).items():
            for row in rows:
                if "n" in row["values"]:
                    yield SeenReading(device, row["values"]["n"], -1, -1)


def _fhir(topic: list[str], payload: bytes) -> Iterator[SeenReading]:
    if topic[0] != "fhir":
        return
    for entry in orjson.loads(payload)["entry"]:
        resource = entry["resource"]
        if resource.get("code", {}).get("text") == "reading.n":
            ident = resource["identifier"][0]["value"]
            yield SeenReading(topic[2], resource["valueQuantity"]["value"], _sequence(ident), -1)


def _sparkplug(topic: list[str], payload: bytes) -> Iterator[SeenReading]:
    if topic[0] == "spBv1.0" and topic[2] == "DDATA":
        told = sparkplug.reading(payload)
        if "n" in told.values:
            yield SeenReading(topic[4], int(told.values["n"]), -1, int(told.historical))


_READERS: dict[str, Callable[[list[str], bytes], Iterator[SeenReading]]] = {
    "devices": _devices,
    "homeassistant": _devices,
    "scalar": _scalar,
    "datastream": _datastream,
    "senml": _senml,
    "thingsboard": _thingsboard,
    "fhir": _fhir,
    "sparkplug": _sparkplug,
}
NAMES = tuple(_READERS)
