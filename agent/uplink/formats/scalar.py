"""Format `scalar`: one topic and one message a value, for Telegraf, Node-RED and PLCs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import orjson

from gatepost.agent.uplink.formats.interface import (
    COMMAND_TOPICS,
    JSON,
    STATUS_TOPICS,
    DeviceProfile,
    FormatChannel,
    FormatContext,
    OutgoingMessage,
    PayloadFormat,
    contract_channels,
)
from gatepost.agent.uplink.formats.stored_reading import StoredReading

Described = msgspec.Meta
MAX_KNOWN = 5000  # values whose beginning is remembered
MAX_TAILS = 100  # sets of metadata that readings share


class ScalarOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of format `scalar`."""

    payload: Annotated[
        Literal["json", "bare"],
        Described(description="json: value with unit, time and metadata; bare: the value alone"),
    ] = "json"
    retain: Annotated[bool, Described(description="keep the last value of each topic at the broker")] = False


VALUE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["device_id", "metric_type", "value", "timestamp"],
    "properties": {
        "device_id": {"type": "string"},
        "metric_type": {"type": "string"},
        "value": {},
        "unit": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "metadata": {"type": "object"},
    },
}


def metric_name(metric: str, value: str, joint: str = ".") -> str:
    """`blood_pressure.systolic`; the value's name alone where metric and value are called the same."""
    return value if metric == value else f"{metric}{joint}{value}"


class ScalarFormat(PayloadFormat):
    """One message a value; lists go as JSON, waveforms and missing values are not sent."""

    name: ClassVar[str] = "scalar"
    summary: ClassVar[str] = "one topic a value, JSON or the bare value: Telegraf, Node-RED, PLCs"
    options_type: ClassVar[type[msgspec.Struct]] = ScalarOptions
    topic_keys: ClassVar[frozenset[str]] = STATUS_TOPICS | COMMAND_TOPICS | {"data"}
    default_topics: ClassVar[Mapping[str, str]] = {"data": "devices/{device}/{metric}/{value}"}
    waveforms: ClassVar[bool] = False

    def __init__(self, context: FormatContext) -> None:
        super().__init__(context)
        self._bare = context.options.payload == "bare"
        self._known: dict[tuple[str | None, ...], tuple[str, bytes, bytes]] = {}
        self._tails: dict[tuple[object, ...], bytes] = {}

    @property
    def carries_flags(self) -> bool:
        return not self._bare

    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        retain = self.context.options.retain
        if self._bare:
            return [self.message(reading, _bare(each), "", name, retain) for name, each in reading.values.items()]
        common = self._common(reading)
        template, qos, kept = self.way(reading, retain)
        device, metric, units, pairs = reading.device, reading.metric, reading.units, reading.user_properties
        flags, end, known = reading.flags, b"}}", self._known
        messages = []
        for name, value in reading.values.items():
            key = (device, metric, name, units.get(name), template)
            topic, head, unit = known.get(key) or self._around(*key)
            if flags:
                own = [*reading.reasons.get(name, ()), *reading.general_flags]
                end = b',"flags":%b}}' % orjson.dumps(own) if own else b"}}"
            payload = b"".join((head, orjson.dumps(value), unit, common, end))
            messages.append(OutgoingMessage(topic, payload, qos, kept, JSON, pairs))
        return messages

    def _around(
        self, device: str, metric: str, name: str, unit: str | None, template: str | None
    ) -> tuple[str, bytes, bytes]:
        """The topic of a value, what stands before it and behind it: the same in every reading."""
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        head = orjson.dumps({"device_id": device, "metric_type": metric_name(metric, name)})
        behind = b"" if unit is None else b',"unit":' + orjson.dumps(unit)
        topic = self.context.topics("data", device, metric, name, template)
        around = self._known[device, metric, name, unit, template] = (topic, head[:-1] + b',"value":', behind)
        return around

    def _common(self, reading: StoredReading) -> bytes:
        """Time and metadata, which the values of a reading share; the object's end is open for flags."""
        key = (reading.patient, reading.device_time, reading.clock, reading.urgent, reading.replayed, reading.quality)
        tail = self._tails.get(key)
        if tail is None:
            if len(self._tails) >= MAX_TAILS:
                self._tails.clear()
            tail = self._tails[key] = self._tail(reading)
        moment = reading.timestamp.encode()
        return b',"timestamp":"%b","metadata":{"id":%b,%b' % (moment, orjson.dumps(reading.id), tail)

    def _tail(self, reading: StoredReading) -> bytes:
        metadata: dict[str, Any] = {"gateway_id": reading.gateway}
        if reading.patient is not None:
            metadata["patient_id"] = reading.patient
        if reading.device_time is not None:
            metadata["device_timestamp"] = reading.device_time
        metadata["clock"] = reading.clock
        metadata["urgent"] = reading.urgent
        metadata["replayed"] = reading.replayed
        metadata["quality"] = reading.quality
        return orjson.dumps(metadata)[1:-1]

    @classmethod
    def channels(cls, options: Any, topics: Mapping[str, str], qos: int) -> Iterable[FormatChannel]:
        bare = options.payload == "bare"
        schema: dict[str, Any] = {} if bare else VALUE_SCHEMA
        kind = "text/plain" if bare else JSON
        yield FormatChannel("data", topics["data"], "send", "A value", qos, options.retain, kind, schema)
        yield from contract_channels(topics)

    @classmethod
    def warnings(cls, options: Any, devices: Mapping[str, DeviceProfile]) -> Iterable[tuple[str, str, str]]:
        if options.retain and any(profile.has_patient for profile in devices.values()):
            yield "options.retain", "the last values, patient references included, stay at the broker", "retain: false"


def _bare(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else orjson.dumps(value)
