"""Format `datastream`: one message a value with its telemetryDataId, as AEMOS-like back ends take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

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


class DatastreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of format `datastream`."""

    telemetry: Annotated[
        dict[str, int | str],
        Described(
            description="telemetryDataId by `<device>/<metric>.<value>`, `<device>/<value>`, `<metric>.<value>` or "
            "`<value>`, looked up in this order; a value without one is not sent"
        ),
    ] = {}
    strict: Annotated[bool, Described(description="only the five members that the back end knows")] = False
    token: Annotated[bool, Described(description="put the device's token into each message")] = True


class DatastreamFormat(PayloadFormat):
    """One message a value; the value is always text."""

    name: ClassVar[str] = "datastream"
    summary: ClassVar[str] = "one message a value with its telemetryDataId: AEMOS-like back ends"
    options_type: ClassVar[type[msgspec.Struct]] = DatastreamOptions
    topic_keys: ClassVar[frozenset[str]] = STATUS_TOPICS | COMMAND_TOPICS | {"data"}
    default_topics: ClassVar[Mapping[str, str]] = {"data": "devices/{device}/datastream"}
    waveforms: ClassVar[bool] = False

    def __init__(self, context: FormatContext) -> None:
        super().__init__(context)
        self._ids: dict[tuple[str, str, str], int | str | None] = {}

    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        messages = []
        for name, value in reading.values.items():
            number = self._id(reading.device, reading.metric, name)
            if number is not None and not isinstance(value, list):
                payload = orjson.dumps(self._body(reading, name, value, number))
                messages.append(self.message(reading, payload, value=name))
        return messages

    def _id(self, device: str, metric: str, name: str) -> int | str | None:
        key = (device, metric, name)
        if key not in self._ids:
            if len(self._ids) >= 5000:
                self._ids.clear()
            table = self.context.options.telemetry
            self._ids[key] = next((table[one] for one in _keys(device, metric, name) if one in table), None)
        return self._ids[key]

    def _body(self, reading: StoredReading, name: str, value: Any, number: int | str) -> dict[str, Any]:
        body: dict[str, Any] = {"value": _text(value), "telemetryDataId": number}
        profile = self.context.devices.get(reading.device)
        if profile is not None and profile.token and self.context.options.token:
            body["token"] = profile.token
        body["urgent"] = reading.urgent
        if profile is not None and name in profile.thresholds:
            body["thresholds"] = profile.thresholds[name]
        if not self.context.options.strict:
            body["timestamp"] = reading.timestamp
            if name in reading.units:
                body["unit"] = reading.units[name]
        return body

    def device_status(self, device: str, status: Mapping[str, Any], now: int) -> Iterable[OutgoingMessage]:
        body: dict[str, Any] = {"status": status["status"], "timestamp": status["timestamp"]}
        profile = self.context.devices.get(device)
        if profile is not None and profile.token and self.context.options.token:
            body["token"] = profile.token
        names = {"battery": "battery", "signal_strength": "signal", "reason": "reason"}
        metadata = {new: status[old] for old, new in names.items() if status.get(old) is not None}
        if metadata:
            body["metadata"] = metadata
        yield OutgoingMessage(self.context.topics("device_status", device), orjson.dumps(body), 1, True, JSON)

    @classmethod
    def channels(cls, options: Any, topics: Mapping[str, str], qos: int) -> Iterable[FormatChannel]:
        members = ("value", "telemetryDataId", "token", "urgent", "thresholds", "timestamp", "unit")
        schema = {"type": "object", "required": ["value"], "properties": {name: {} for name in members}}
        yield FormatChannel("data", topics["data"], "send", "A value", qos, schema=schema)
        yield from contract_channels(topics)

    @classmethod
    def warnings(cls, options: Any, devices: Mapping[str, DeviceProfile]) -> Iterable[tuple[str, str, str]]:
        if not options.telemetry:
            yield "options.telemetry", "no value has a telemetryDataId, so nothing is sent", "spo2: 21"
            return
        for device, profile in devices.items():
            missing = [name for name in profile.values if not _has_id(options.telemetry, device, name)]
            if missing:
                sentence = f"{device}: without a telemetryDataId, and not sent: {', '.join(missing)}"
                yield "options.telemetry", sentence, f"{missing[0]}: 21"


def _keys(device: str, metric: str, name: str) -> tuple[str, ...]:
    return f"{device}/{metric}.{name}", f"{device}/{name}", f"{metric}.{name}", name


def _has_id(telemetry: Mapping[str, Any], device: str, name: str) -> bool:
    """Whether the value has one in any metric."""
    for key in telemetry:
        place, slash, value = key.rpartition("/")
        if (not slash or place == device) and (value == name or value.endswith(f".{name}")):
            return True
    return False


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
