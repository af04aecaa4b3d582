"""Format `scalar`: one topic and one message a value, for Telegraf, Node-RED and PLCs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import orjson

from gatepost.agent.core.views import PAYLOAD_MEMBERS
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
MAX_KNOWN = 1000  # values of a series whose surroundings are remembered
_Surroundings = tuple[bytes, bytes, bytes, bytes]  # topic, before the value, its unit, the end
dumps = orjson.dumps


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


class ScalarSeries:
    """Writer of the values of one series: what stands around a value is written once."""

    content_type = JSON

    def __init__(
        self, context: FormatContext, device: str, patient: str | None, members: Mapping[str, Any], template: str | None
    ) -> None:
        """`members`: what the readings have in common; `template`: another topic."""
        self.retain: bool = context.options.retain
        self._context = context
        self._device = device
        self._template = template
        self._metric: str = members.get("metric_type", "")
        self._units: Mapping[str, str] = members.get("units") or {}
        self._flags: list[str] = members.get("flags") or []
        self._known: dict[str, _Surroundings] = {}
        self._tails: dict[tuple[str, bool, bool], bytes] = {}
        metadata: dict[str, Any] = {"gateway_id": context.gateway}
        if patient is not None:
            metadata["patient_id"] = patient
        self._first = orjson.dumps(metadata)[1:-1]
        self._quality = orjson.dumps({"quality": members.get("quality", "good")})[1:-1]

    def write(
        self, values: Mapping[str, Any], identity: bytes, moment: bytes, marks: tuple[str, bool, bool]
    ) -> list[tuple[bytes, bytes]] | None:
        known, messages = self._known, []
        tail = self._tails.get(marks) or self._tail(marks)
        device_time = values.get("device_timestamp")
        if device_time is not None:
            tail = self._tail(marks, device_time)
        common = b',"timestamp":"%b","metadata":{"id":"%b",%b' % (moment, identity, tail)
        for name, value in values.items():
            around = known.get(name) or self._around(name)
            if around is not None:
                topic, head, unit, end = around
                messages.append((topic, b"%b%b%b%b%b" % (head, dumps(value), unit, common, end)))
            elif name != "device_timestamp":
                return None
        return messages

    def _around(self, name: str) -> _Surroundings | None:
        """The topic of a value, what stands before it and behind it: the same in every reading. None: no value."""
        if name in PAYLOAD_MEMBERS:
            return None
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        head = orjson.dumps({"device_id": self._device, "metric_type": metric_name(self._metric, name)})
        unit = self._units.get(name)
        behind = b"" if unit is None else b',"unit":' + orjson.dumps(unit)
        own = [flag.partition(":")[2] for flag in self._flags if flag.startswith(f"{name}:")]
        own += [flag for flag in self._flags if ":" not in flag]
        end = b',"flags":%b}}' % orjson.dumps(own) if own else b"}}"
        topic = self._context.topics("data", self._device, self._metric, name, self._template).encode()
        around = self._known[name] = (topic, head[:-1] + b',"value":', behind, end)
        return around

    def _tail(self, marks: tuple[str, bool, bool], device_time: str | None = None) -> bytes:
        """Metadata behind the id, as far as the values of a reading share it; the object is open for flags."""
        clock, urgent, replayed = marks
        own: dict[str, Any] = {} if device_time is None else {"device_timestamp": device_time}
        own |= {"clock": clock, "urgent": urgent, "replayed": replayed}
        tail = b",".join((self._first, orjson.dumps(own)[1:-1], self._quality))
        if device_time is None:
            self._tails[marks] = tail
        return tail


class BareSeries(ScalarSeries):
    """Writer of bare values."""

    content_type = ""

    def write(
        self, values: Mapping[str, Any], identity: bytes, moment: bytes, marks: tuple[str, bool, bool]
    ) -> list[tuple[bytes, bytes]] | None:
        known, messages = self._known, []
        for name, value in values.items():
            around = known.get(name) or self._around(name)
            if around is not None:
                messages.append((around[0], value.encode() if isinstance(value, str) else dumps(value)))
            elif name != "device_timestamp":
                return None
        return messages


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

    @property
    def carries_flags(self) -> bool:
        return not self._bare

    def series_writer(
        self, device: str, patient: str | None, members: Mapping[str, Any], template: str | None
    ) -> ScalarSeries:
        return (BareSeries if self._bare else ScalarSeries)(self.context, device, patient, members, template)

    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        template, qos, kept = self.way(reading, self.context.options.retain)
        writer = self.series_writer(reading.device, reading.patient, reading.members, template)
        values, identity = reading.values, orjson.dumps(reading.id)[1:-1]
        if reading.device_time is not None:
            values = {**values, "device_timestamp": reading.device_time}
        marks = (reading.clock, reading.urgent, reading.replayed)
        messages = writer.write(values, identity, reading.timestamp.encode(), marks) or ()
        pairs, kind = reading.user_properties, writer.content_type
        return [OutgoingMessage(topic.decode(), payload, qos, kept, kind, pairs) for topic, payload in messages]

    @classmethod
    def channels(cls, options: Any, topics: Mapping[str, str], qos: int) -> Iterable[FormatChannel]:
        bare = options.payload == "bare"
        schema: dict[str, Any] = {} if bare else VALUE_SCHEMA
        kind = "text/plain" if bare else JSON
        yield FormatChannel("data", topics["data"], "send", "A value", qos, options.retain, kind, schema)
        yield from contract_channels(topics)

    @classmethod
    def warnings(cls, options: Any, devices: Mapping[str, DeviceProfile]) -> Iterable[tuple[str, str, str]]:
        if options.retain and options.payload == "json" and any(each.has_patient for each in devices.values()):
            yield "options.retain", "the last values, patient references included, stay at the broker", "retain: false"
