"""Format `sparkplug`: a Sparkplug B 3.0 edge node with births, deaths, historical data, primary host and commands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
import orjson

from gatepost.agent.uplink.formats.interface import (
    MOST_VALUES,
    DeviceProfile,
    FormatChannel,
    FormatContext,
    IncomingCommand,
    Outcome,
    OutgoingMessage,
    PayloadFormat,
)
from gatepost.agent.uplink.formats.sparkplug_payload import (
    BOOLEAN,
    DOUBLE,
    DOUBLE_ARRAY,
    INT32,
    INT32_ARRAY,
    INT64,
    STRING,
    Property,
    ReceivedMetric,
    SparkplugMetric,
    decode_payload,
    encode_payload,
)
from gatepost.agent.uplink.formats.stored_reading import StoredReading

Described = msgspec.Meta
Level = Annotated[str, Described(pattern="^[^/+#]+$")]  # of a topic
BDSEQ, METRICS, ALIASES = "bdseq", "metrics:", "aliases"  # keys of the kept state
REBIRTH, EVENT = "Node Control/Rebirth", "Gatepost/Event"
CONTROL, RESPONSE = "Device Control/", "Device Control/Response"
SCALING = ("rate_hz", "scale", "offset")
DATATYPES = {int: DOUBLE, float: DOUBLE, bool: BOOLEAN, str: STRING, list: DOUBLE_ARRAY}
REBIRTHS, REBIRTH_EVERY = 5, 10_000_000  # at once, and microseconds until one more is granted
EARLIEST = (None, 0, None, 0)
Definition = tuple[int, str | None]  # datatype, unit
Measured = tuple[str, int, str | None, Any]  # metric name, datatype, unit, value


class SparkplugOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of format `sparkplug`."""

    group_id: Annotated[Level, Described(description="the group of the edge node")] = "Gatepost"
    edge_node_id: Annotated[Level | None, Described(description="name of the edge node; default the gateway's id")] = (
        None
    )
    primary_host: Annotated[
        Level | None, Described(description="host id of the SCADA: readings wait while it is not online")
    ] = None
    aliases: Annotated[bool, Described(description="send numbers in place of names after the birth")] = False


class SparkplugFormat(PayloadFormat):
    """One edge node: the gateway. One device of it: a device. Readings ride in DDATA at QoS 0."""

    name: ClassVar[str] = "sparkplug"
    summary: ClassVar[str] = "Sparkplug B 3.0 edge node: Ignition, HiveMQ, SCADA"
    options_type: ClassVar[type[msgspec.Struct]] = SparkplugOptions
    reading_qos: ClassVar[int | None] = 0
    contract_commands: ClassVar[bool] = False
    batches: ClassVar[bool] = True
    acknowledged_by_ping: ClassVar[bool] = True
    carried: ClassVar[bool] = False

    def __init__(self, context: FormatContext) -> None:
        super().__init__(context)
        options = context.options
        self._root = f"spBv1.0/{options.group_id}"
        self._node = options.edge_node_id or context.gateway
        self._state_topic = f"spBv1.0/STATE/{options.primary_host}" if options.primary_host else ""
        self._aliases = bool(options.aliases)
        self._seq = 0
        self._alive = False  # between NBIRTH and NDEATH
        self._host_time = -1
        self._hang_up = ""
        self._historical_before = 0
        self._born: dict[str, dict[str, Definition]] = {}
        self._newest: dict[tuple[str, str], tuple[Any, int, str | None, int]] = {}  # value, timestamp, unit, number
        self._offered: dict[str, dict[str, int]] = {}  # controls in the last birth of a device
        self._waiting: dict[str, None] = {}  # devices that were online before the node was born
        self._rebirths = REBIRTHS
        self._rebirth_at = 0

    # --- the node

    def will(self, now: int) -> OutgoingMessage:
        state = self.context.state
        state[BDSEQ] = (state[BDSEQ] + 1) % 256 if BDSEQ in state else 0
        return self._death(now)

    def _death(self, now: int) -> OutgoingMessage:
        ms = now // 1000
        payload = encode_payload(ms, [self._bdseq(ms)], None)
        return OutgoingMessage(f"{self._root}/NDEATH/{self._node}", payload, 1, False)

    def _bdseq(self, ms: int) -> SparkplugMetric:
        return SparkplugMetric("bdSeq", INT64, self.context.state.get(BDSEQ, 0), ms)

    def subscriptions(self) -> Mapping[str, int]:
        filters = {f"{self._root}/NCMD/{self._node}": 1, f"{self._root}/DCMD/{self._node}/+": 1}
        return {**filters, **({self._state_topic: 1} if self._state_topic else {})}

    def connected(self, now: int) -> Iterable[OutgoingMessage]:
        return () if self._state_topic else self._birth(now)

    @property
    def ready(self) -> bool:
        return self._alive

    @property
    def hang_up(self) -> str:
        return self._hang_up

    def _birth(self, now: int) -> list[OutgoingMessage]:
        """NBIRTH, and DBIRTH of every device that is born."""
        ms = now // 1000
        self._alive = True
        self._seq = 0
        alias = self._alias(EVENT)
        metrics = [
            self._bdseq(ms),
            SparkplugMetric(REBIRTH, BOOLEAN, False, ms),
            SparkplugMetric(EVENT, STRING, None, ms, alias),
        ]
        born = [device for device in self._waiting if device not in self._born]
        self._waiting.clear()
        return [
            self._message("NBIRTH", None, metrics, ms),
            *(self._device_birth(device, now) for device in self._born),
            *(self._bear(device, {}, now) for device in born),
        ]

    def _message(self, kind: str, device: str | None, metrics: Iterable[SparkplugMetric], ms: int) -> OutgoingMessage:
        topic = f"{self._root}/{kind}/{self._node}" + (f"/{device}" if device is not None else "")
        payload = encode_payload(ms, metrics, self._seq)
        self._seq = (self._seq + 1) % 256
        return OutgoingMessage(topic, payload, 0, False)

    def _alias(self, name: str, device: str = "") -> int | None:
        if not self._aliases:
            return None
        known: dict[str, int] = self.context.state.get(ALIASES, {})
        key = f"{device}/{name}" if device else name
        if key not in known:
            known = {**known, key: len(known) + 1}
            self.context.state[ALIASES] = known
        return known[key]

    def event(self, event: Mapping[str, Any], now: int) -> Sequence[OutgoingMessage]:
        alias = self._alias(EVENT)
        text = orjson.dumps(event).decode()
        metric = SparkplugMetric(None if alias else EVENT, STRING, text, now // 1000, alias)
        return [self._message("NDATA", None, [metric], now // 1000)]

    def disconnecting(self, now: int, why: str = "stopped") -> Iterable[OutgoingMessage]:
        if self._alive:
            self._alive = False
            yield self._death(now)

    # --- devices

    def device_status(self, device: str, status: Mapping[str, Any], now: int) -> Iterable[OutgoingMessage]:
        if status["status"] == "online" and device in self.context.devices:
            if not self._alive:
                self._waiting[device] = None
            elif device not in self._born:
                yield self._bear(device, {}, now)
        else:
            yield from self.removed(device, now)

    def profile_changed(self, device: str, now: int) -> Iterable[OutgoingMessage]:
        if self._alive and device in self._born and self._offered.get(device) != self._controls(device):
            yield self._device_birth(device, now)

    def removed(self, device: str, now: int) -> Iterable[OutgoingMessage]:
        self._waiting.pop(device, None)
        if self._born.pop(device, None) is not None and self._alive:
            yield self._message("DDEATH", device, (), now // 1000)

    def _bear(self, device: str, new: Mapping[str, Definition], now: int) -> OutgoingMessage:
        kept: dict[str, list[Any]] = self.context.state.get(METRICS + device, {})
        known = {**{name: (each[0], each[1]) for name, each in kept.items()}, **new}
        for name, (datatype, _) in new.items():
            if name in kept and kept[name][0] != datatype:
                self._newest.pop((device, name), None)  # a value of its former type
        if new:
            self.context.state[METRICS + device] = {name: list(each) for name, each in known.items()}
        self._born[device] = known
        return self._device_birth(device, now)

    def _device_birth(self, device: str, now: int) -> OutgoingMessage:
        ms = now // 1000
        metrics = []
        for name, (datatype, unit) in self._born[device].items():
            value, at, measured_in, _ = self._newest.get((device, name), EARLIEST)
            if value is None:
                at = ms
            else:
                unit = measured_in
            units: tuple[Property, ...] = (("engUnit", STRING, unit),) if unit is not None else ()
            metrics.append(SparkplugMetric(name, datatype, value, at, self._alias(name, device), False, units))
        controls = self._offered[device] = self._controls(device)
        for name, datatype in controls.items():
            value = False if datatype == BOOLEAN else None
            metrics.append(SparkplugMetric(name, datatype, value, ms, self._alias(name, device)))
        return self._message("DBIRTH", device, metrics, ms)

    def _controls(self, device: str) -> dict[str, int]:
        profile = self.context.devices.get(device)
        if profile is None or profile.token or not profile.commands:
            return {}
        kinds = {CONTROL + name: DOUBLE if name == "set_interval" else BOOLEAN for name in profile.commands}
        return {**kinds, RESPONSE: STRING}

    # --- readings

    @property
    def carries_flags(self) -> bool:
        return True

    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        return self.batch([reading], now)

    def batch(self, readings: Sequence[StoredReading], now: int) -> Sequence[OutgoingMessage]:
        if len(readings) == 1:
            return self._of_device(readings[0].device, readings, now)
        by_device: dict[str, list[StoredReading]] = {}
        for reading in sorted(readings, key=lambda each: each.time):
            by_device.setdefault(reading.device, []).append(reading)
        messages: list[OutgoingMessage] = []
        for device, some in by_device.items():
            messages += self._of_device(device, some, now)
        return messages

    def _of_device(self, device: str, some: Sequence[StoredReading], now: int) -> list[OutgoingMessage]:
        """One DDATA, a birth before it where one is needed; one more for each value that changes its datatype."""
        born = self._born.get(device)
        room = MOST_VALUES - len(self.context.state.get(METRICS + device, ()) if born is None else born)
        new: dict[str, Definition] = {}
        measured = []
        for at, reading in enumerate(some):
            values = _metrics_of(reading)
            if room < len(values):
                values = self._within(device, values, new, room)
            for name, datatype, unit, _ in values:
                if born is None or name not in born or born[name][0] != datatype:
                    if new.get(name, (datatype,))[0] != datatype:
                        return [*self._of_device(device, some[:at], now), *self._of_device(device, some[at:], now)]
                    new[name] = (datatype, unit)
            measured.append((reading, values))
        messages = []
        if born is None or new:
            messages.append(self._bear(device, new, now))
        metrics = [metric for reading, values in measured for metric in self._data(reading, values)]
        if metrics:
            messages.append(self._message("DDATA", device, metrics, now // 1000))
        if born is None and device not in self.context.devices:  # what was owed of a device that was removed
            messages += self.removed(device, now)
        return messages

    def _within(self, device: str, values: list[Measured], new: Mapping[str, Definition], room: int) -> list[Measured]:
        """Without those whose names are one too many."""
        kept = self.context.state.get(METRICS + device, ())
        names = [*new]
        names += [name for name in dict.fromkeys(each[0] for each in values) if name not in kept and name not in new]
        return [each for each in values if each[0] in kept or each[0] in names[:room]]

    def _data(self, reading: StoredReading, values: list[Measured]) -> Iterable[SparkplugMetric]:
        ms, device, newest = reading.time // 1000, reading.device, self._newest
        historical = reading.replayed or reading.seq < self._historical_before
        bad = reading.quality != "good"
        doubtful = bad or bool(reading.flags)
        for name, datatype, unit, value in values:
            if not historical and datatype != INT32_ARRAY:
                key = (device, name)
                held = newest.get(key)
                if held is None or reading.seq >= held[3]:  # an urgent reading may have overtaken this one
                    newest[key] = (value, ms, unit, reading.seq)
            properties: tuple[Property, ...] = () if unit is None else (("engUnit", STRING, unit),)
            if datatype == INT32_ARRAY:
                wave = reading.members
                properties += tuple((each, DOUBLE, float(wave[each])) for each in SCALING if each in wave)
            if doubtful:
                reasons = reading.reasons.get(name.partition("/")[2], [])
                properties += _quality(bad or bool(reasons), [*reasons, *reading.general_flags])
            yield self._metric(device, name, datatype, value, ms, historical, properties)
        if not reading.flags:
            return
        seen = {name for name, *_ in values}
        for value_name, reasons in reading.reasons.items():
            name = f"{reading.metric}/{value_name}"
            if name not in seen and name in self._born[device]:
                if not historical and reading.seq >= newest.get((device, name), EARLIEST)[3]:
                    newest[device, name] = (None, ms, None, reading.seq)
                datatype = self._born[device][name][0]
                yield self._metric(
                    device, name, datatype, None, ms, historical, _quality(True, [*reasons, *reading.general_flags])
                )

    def _metric(
        self,
        device: str,
        name: str,
        datatype: int,
        value: Any,
        ms: int,
        historical: bool,
        properties: tuple[Property, ...],
    ) -> SparkplugMetric:
        alias = self._alias(name, device) if self._aliases else None
        return SparkplugMetric(None if alias else name, datatype, value, ms, alias, historical, properties)

    # --- commands and the primary host

    def incoming(self, topic: str, payload: bytes, retain: bool, now: int) -> Iterable[Outcome]:
        if topic == self._state_topic:
            yield from self._host(payload, now)
            return
        decoded = decode_payload(payload)
        if decoded is None or not self._alive:
            return
        timestamp, metrics = decoded
        if topic == f"{self._root}/NCMD/{self._node}":
            wanted = any(each.name == REBIRTH and each.value is True for each in metrics)
            if wanted and self._may_rebirth(now):
                yield from self._birth(now)
        elif topic.startswith(f"{self._root}/DCMD/{self._node}/"):
            device = topic.rpartition("/")[2]
            for metric in metrics:
                at = timestamp if metric.timestamp is None else metric.timestamp
                yield from self._command(device, metric, now // 1000 if at is None else at)

    def _host(self, payload: bytes, now: int) -> Iterable[OutgoingMessage]:
        try:
            body = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return
        online, at = (body.get("online"), body.get("timestamp")) if isinstance(body, dict) else (None, None)
        if not isinstance(online, bool) or isinstance(at, bool) or not isinstance(at, int) or at < self._host_time:
            return
        self._host_time = at
        if online and not self._alive and not self._hang_up:
            self._historical_before = self.context.head()
            yield from self._birth(now)
        elif not online and self._alive:
            self._hang_up = "the primary host is offline"
            yield from self.disconnecting(now)

    def _may_rebirth(self, now: int) -> bool:
        granted = (now - self._rebirth_at) // REBIRTH_EVERY
        if granted > 0:
            self._rebirths = min(REBIRTHS, self._rebirths + granted)
            self._rebirth_at = now
        if self._rebirths <= 0:
            return False
        self._rebirths -= 1
        return True

    def _command(self, device: str, metric: ReceivedMetric, ms: int) -> Iterable[IncomingCommand]:
        controls = self._controls(device)
        name = metric.name
        if name is None:
            name = next((each for each in controls if self._alias(each, device) == metric.alias), None)
        if name is None or name == RESPONSE or not name.startswith(CONTROL):
            return
        command, value = name.removeprefix(CONTROL), metric.value
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if command == "set_interval" and number:
            parameters = {"interval": value}
        elif value is True:
            parameters = {}
        else:
            return
        identity = f"sp-{ms}-{device}-{command}"
        body = {"id": identity, "command": command, "parameters": parameters}
        yield IncomingCommand(device, orjson.dumps(body), device)

    def response(self, response: Mapping[str, Any], reply_to: Any, now: int) -> Iterable[OutgoingMessage]:
        device: str = reply_to
        if not self._alive or RESPONSE not in self._controls(device):
            return
        if device not in self._born:
            yield self._bear(device, {}, now)
        text = orjson.dumps(response).decode()
        metric = self._metric(device, RESPONSE, STRING, text, now // 1000, False, ())
        yield self._message("DDATA", device, [metric], now // 1000)

    @classmethod
    def channels(cls, options: Any, topics: Mapping[str, str], qos: int) -> Iterable[FormatChannel]:
        root, kind = f"spBv1.0/{options.group_id}", "application/x-protobuf"
        node = options.edge_node_id or "{gateway}"
        for name, title in (("NBIRTH", "Birth of the node"), ("NDATA", "Data of the node"), ("NDEATH", "Its death")):
            death = name == "NDEATH"
            yield FormatChannel(name, f"{root}/{name}/{node}", "send", title, int(death), False, kind, will=death)
        for name, title in (("DBIRTH", "Birth of a device"), ("DDATA", "A reading"), ("DDEATH", "Death of a device")):
            yield FormatChannel(name, f"{root}/{name}/{node}/{{device}}", "send", title, 0, False, kind)
        yield FormatChannel("NCMD", f"{root}/NCMD/{node}", "receive", "Rebirth", 1, False, kind)
        yield FormatChannel(
            "DCMD", f"{root}/DCMD/{node}/{{device}}", "receive", "A command", 1, False, kind, command=True
        )
        if options.primary_host:
            address = f"spBv1.0/STATE/{options.primary_host}"
            yield FormatChannel("STATE", address, "receive", "State of the host", 1, True, schema={"type": "object"})

    @classmethod
    def warnings(cls, options: Any, devices: Mapping[str, DeviceProfile]) -> Iterable[tuple[str, str, str]]:
        if options.primary_host is None:
            sentence = "without a primary host readings are sent whether or not anybody takes them"
            yield "options.primary_host", sentence, "the host id of your SCADA"


def _metrics_of(reading: StoredReading) -> list[Measured]:
    """(metric name, datatype, unit, value) of each value, then of the waveform."""
    metric, units = reading.metric, reading.units
    found: list[Measured] = []
    for name, value in reading.values.items():
        kind = DATATYPES.get(value.__class__, STRING)
        if kind == DOUBLE_ARRAY and not all(each.__class__ in (int, float) for each in value):
            kind, value = STRING, orjson.dumps(value).decode()
        found.append((f"{metric}/{name}", kind, units.get(name), value))
    if reading.samples is not None:
        found.append((f"{metric}/{reading.channel}", INT32_ARRAY, reading.members.get("unit"), reading.samples))
    return found


def _quality(bad: bool, flags: Sequence[str]) -> tuple[Property, ...]:
    quality: tuple[Property, ...] = (("Quality", INT32, 0),) if bad else ()
    return (*quality, ("flags", STRING, " ".join(flags))) if flags else quality
