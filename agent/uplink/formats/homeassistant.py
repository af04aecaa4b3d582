"""Format `homeassistant`: MQTT device discovery of Home Assistant, retained states, buttons for commands."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar

import msgspec
import orjson

from gatepost.agent.uplink.formats.homeassistant_units import sensor_unit
from gatepost.agent.uplink.formats.interface import (
    COMMAND_TOPICS,
    JSON,
    MOST_VALUES,
    READING_SCHEMA,
    STATUS_TOPICS,
    DeviceProfile,
    FormatChannel,
    FormatContext,
    LaterMessages,
    Outcome,
    OutgoingMessage,
    PayloadFormat,
    contract_channels,
)
from gatepost.agent.uplink.formats.scalar import metric_name
from gatepost.agent.uplink.formats.stored_reading import COUNTS, StoredReading

Described = msgspec.Meta
Topic = Annotated[str, Described(pattern="^[^+#]+$")]
BIRTH_SPREAD = 5.0  # seconds within which discovery is told again after Home Assistant started
COMPONENTS, LAST, STATUS, BUTTONS = "components:", "last:", "status:", "buttons:"  # keys of the kept state
ONLINE_TEMPLATE = "{{ 'ON' if value_json.status == 'online' else 'OFF' }}"
COMMAND_TEMPLATE = (
    '{"command": "%s", %s"id": "ha-{{ (now().timestamp() * 1000) | int }}", "issued_at": "{{ utcnow().isoformat() }}"}'
)
STATUS_SENSORS = {"battery": ("battery", "%"), "signal_strength": ("signal_strength", "dBm")}
INFO = {"manufacturer": "manufacturer", "model": "model", "serial": "serial_number", "firmware": "sw_version"}


class HomeAssistantOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of format `homeassistant`."""

    discovery_prefix: Annotated[Topic, Described(description="of Home Assistant")] = "homeassistant"
    birth_topic: Annotated[
        Topic | None, Described(description="where Home Assistant says that it started; default <prefix>/status")
    ] = None
    retain: Annotated[bool, Described(description="keep the last state at the broker; without it some are missed")] = (
        True
    )
    expire_after: Annotated[
        dict[str, Annotated[float, Described(ge=0, extra={"unit": "duration"})]],
        Described(description="by device pattern: the silence after which a value is unavailable"),
    ] = {}


def slug(text: str) -> str:
    """Only what Home Assistant takes in ids; what was changed is told apart by 6 hex digits of SHA-256."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", text)
    return plain if plain == text else f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


class HomeAssistantFormat(PayloadFormat):
    """A device of Home Assistant for the gateway and for each device; values become entities when first seen."""

    name: ClassVar[str] = "homeassistant"
    summary: ClassVar[str] = "MQTT device discovery: Home Assistant, openHAB, Domoticz"
    options_type: ClassVar[type[msgspec.Struct]] = HomeAssistantOptions
    topic_keys: ClassVar[frozenset[str]] = STATUS_TOPICS | COMMAND_TOPICS | {"data"}
    default_topics: ClassVar[Mapping[str, str]] = {"data": "gatepost/{gateway}/{device}/{metric}"}
    waveforms: ClassVar[bool] = False
    carried: ClassVar[bool] = False

    def __init__(self, context: FormatContext) -> None:
        super().__init__(context)
        self._gateway_id = f"gatepost_{slug(context.gateway)}"
        self._origin = {"name": "gatepost", "sw_version": context.version}
        self._birth = context.options.birth_topic or f"{context.options.discovery_prefix}/status"
        self._repeating = False  # discovery will be said again soon
        self._metrics: dict[str, int] = {}  # how many metrics of a device the state holds, where that was asked

    def subscriptions(self) -> Mapping[str, int]:
        return {self._birth: 1}

    def connected(self, now: int) -> Iterable[OutgoingMessage]:
        yield from self._discovery()
        yield self.gateway_status("online", now)

    def _discovery(self) -> Iterable[OutgoingMessage]:
        yield self._gateway_discovery()
        for device in self.context.devices:
            yield self._device_discovery(device)

    def incoming(self, topic: str, payload: bytes, retain: bool, now: int) -> Iterable[Outcome]:
        if topic == self._birth and payload == b"online" and not self._repeating:
            self._repeating = True
            yield LaterMessages(self.context.random.uniform(0.0, BIRTH_SPREAD), self._repeat)

    def _repeat(self) -> Iterable[OutgoingMessage]:
        self._repeating = False
        yield from self._discovery()

    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        if reading.device not in self.context.devices:  # or it would appear again for ever
            return ()
        if not reading.values and not self._shows(reading):
            return ()
        state = self.context.state
        last = f"{LAST}{reading.device}/{reading.metric}"
        if reading.replayed and reading.time < state.get(last, 0) <= now:  # one ahead is of a clock that was set back
            return ()
        if last in state:
            state[last] = reading.time
        elif (count := self._metrics_of(reading.device)) < MOST_VALUES:
            state[last] = reading.time
            self._metrics[reading.device] = count + 1
        expiry = self._expire_after(reading.device)
        message = self.message(
            reading, orjson.dumps(reading.as_json()), retain=self.context.options.retain, expiry=expiry
        )
        return [*self._learn(reading), message]

    def _metrics_of(self, device: str) -> int:
        if device not in self._metrics:
            self._metrics[device] = sum(key.startswith(f"{LAST}{device}/") for key in self.context.state)
        return self._metrics[device]

    def _shows(self, reading: StoredReading) -> bool:
        """Whether a reading without values takes a number away that Home Assistant shows: it becomes unknown."""
        known = self.context.state.get(COMPONENTS + reading.device, ())
        return reading.samples is None and any(f"{reading.metric}/{name}" in known for name in reading.reasons)

    def _learn(self, reading: StoredReading) -> Iterable[OutgoingMessage]:
        """Discovery, where the reading has values that none has told of yet."""
        key = COMPONENTS + reading.device
        known: dict[str, list[Any]] = self.context.state.get(key, {})
        new: dict[str, list[Any]] = {}
        for name, value in reading.values.items():
            if isinstance(value, list):
                continue
            kind = "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
            told = [kind, reading.units.get(name)]
            full = f"{reading.metric}/{name}"
            if known.get(full) != told and (full in known or len(known) + len(new) < MOST_VALUES):
                new[full] = told
        if new:
            others = {full for full, (kind, _) in new.items() if full in known and not _becomes(known[full][0], kind)}
            if others:
                yield self._device_discovery(reading.device, others)
            self.context.state[key] = {**known, **new}
            yield self._device_discovery(reading.device)

    def device_status(self, device: str, status: Mapping[str, Any], now: int) -> Iterable[OutgoingMessage]:
        if device not in self.context.devices:
            return
        key = STATUS + device
        known: list[str] = self.context.state.get(key, [])
        new = [name for name in STATUS_SENSORS if status.get(name) is not None and name not in known]
        if new:
            self.context.state[key] = [*known, *new]
            yield self._device_discovery(device)
        yield from super().device_status(device, status, now)

    def profile_changed(self, device: str, now: int) -> Iterable[OutgoingMessage]:
        if device in self.context.devices:
            yield self._device_discovery(device)

    def removed(self, device: str, now: int) -> Iterable[OutgoingMessage]:
        config, *states = self._kept(device)
        for topic in (config, self.context.topics("device_status", device), *states):
            yield OutgoingMessage(topic, b"", 1, True)

    def leaving(self, now: int) -> Iterable[OutgoingMessage]:
        """Statuses stay: they are the contract's, and another program's too."""
        devices = dict.fromkeys((*self.context.devices, *self._devices_of_state()))
        topics = [topic for device in devices for topic in self._kept(device)]
        for topic in (*topics, self._config_topic(self._gateway_id)):
            yield OutgoingMessage(topic, b"", 1, True)

    @property
    def place(self) -> tuple[str, ...]:
        return self._config_topic(self._gateway_id), self.context.topics("data", "d", "m")

    def _devices_of_state(self) -> Iterable[str]:
        return [key.removeprefix(COMPONENTS) for key in self.context.state if key.startswith(COMPONENTS)]

    def _kept(self, device: str) -> list[str]:
        """Topics on which the broker keeps discovery and states of a device; all is forgotten of it."""
        state, last = self.context.state, f"{LAST}{device}/"
        for key in (COMPONENTS, STATUS, BUTTONS):
            state.pop(key + device, None)
        metrics = [key.removeprefix(last) for key in state if key.startswith(last)]
        for metric in metrics:
            state.pop(last + metric)
        self._metrics.pop(device, None)
        states = [self.context.topics("data", device, metric) for metric in metrics]
        return [self._config_topic(self._object_id(device)), *states]

    # --- discovery

    def _object_id(self, device: str) -> str:
        return f"{self._gateway_id}_{slug(device)}"

    def _config_topic(self, object_id: str) -> str:
        return f"{self.context.options.discovery_prefix}/device/{object_id}/config"

    def _gateway_discovery(self) -> OutgoingMessage:
        topic = self.context.topics("gateway_status")
        device = {
            "identifiers": [self._gateway_id],
            "name": f"Gatepost {self.context.gateway}",
            "manufacturer": "Gatepost",
            "sw_version": self.context.version,
        }
        components = {"status": _connectivity(self._gateway_id, topic)}
        return self._config(self._gateway_id, {"device": device, "origin": self._origin, "components": components})

    def _config(self, object_id: str, body: Mapping[str, Any]) -> OutgoingMessage:
        return OutgoingMessage(self._config_topic(object_id), orjson.dumps(body), 1, True, JSON)

    def _device_discovery(self, device: str, without: Collection[str] = ()) -> OutgoingMessage:
        """`without`: values whose entities go. Home Assistant keeps one that is merely left out."""
        object_id = self._object_id(device)
        profile = self.context.devices.get(device) or DeviceProfile("")
        about: dict[str, Any] = {"identifiers": [object_id], "name": profile.label or device}
        about |= {new: profile.info[old] for old, new in INFO.items() if profile.info.get(old)}
        about["via_device"] = self._gateway_id
        available = {"topic": self.context.topics("gateway_status"), "value_template": "{{ value_json.status }}"}
        status_topic = self.context.topics("device_status", device)
        components = {"status": _connectivity(object_id, status_topic)}
        for name in self.context.state.get(STATUS + device, ()):
            components[name] = _status_sensor(object_id, status_topic, name)
        for full, (kind, unit) in self.context.state.get(COMPONENTS + device, {}).items():
            metric, _, name = full.partition("/")
            key = slug(metric_name(metric, name, "_"))
            if key in components:
                key = slug(full)
            if full in without:
                components[key] = {"platform": _platform(kind)}
                continue
            components[key] = self._value(device, f"{object_id}_{key}", metric, name, kind, unit)
        offered = [] if profile.token else [each for each in profile.commands if _is_offered(profile, each)]
        told = [*dict.fromkeys((*self.context.state.get(BUTTONS + device, ()), *offered))]
        if told:
            self.context.state[BUTTONS + device] = told
        for command in told:
            button = self._button(device, object_id, command)
            components[f"command_{command}"] = button if command in offered else {"platform": button["platform"]}
        body = {"device": about, "origin": self._origin, "availability": [available], "components": components}
        return self._config(object_id, body)

    def _value(
        self, device: str, unique_id: str, metric: str, name: str, kind: str, unit: str | None
    ) -> dict[str, Any]:
        plain = name.isidentifier() and not hasattr(dict, name)  # `value_json.items` is a method
        path = f"value_json.{name}" if plain else f"value_json[{name!r}]"
        component: dict[str, Any] = {
            "platform": _platform(kind),
            "unique_id": unique_id,
            "name": _title(name),
            "state_topic": self.context.topics("data", device, metric),
            "value_template": f"{{{{ {path} | default(None) }}}}",
            "force_update": True,
        }
        if kind == "bool":
            # An absent value must not read as `off`: None makes the state unknown.
            template = f"{{{{ 'None' if {path} is not defined else 'ON' if {path} else 'OFF' }}}}"
            component["value_template"] = template
        elif kind == "number":
            unit_text, device_class = sensor_unit(name, unit)
            if metric == "cuff_pressure":
                device_class = ""  # of the cuff, not of the air
            if unit_text:
                component["unit_of_measurement"] = unit_text
            if device_class:
                component["device_class"] = device_class
            if name in COUNTS:
                component["entity_category"] = "diagnostic"
            else:
                component["state_class"] = "measurement"
        expiry = self._expire_after(device)
        if expiry is not None:
            component["expire_after"] = expiry
        return component

    def _button(self, device: str, object_id: str, command: str) -> dict[str, Any]:
        number = command == "set_interval"
        component: dict[str, Any] = {
            "platform": "number" if number else "button",
            "unique_id": f"{object_id}_command_{command}",
            "name": _title(command),
            "command_topic": self.context.topics("commands", device),
            "command_template": COMMAND_TEMPLATE % (command, '"interval": {{ value }}, ' if number else ""),
        }
        if number:
            component |= {"min": 0, "max": 86400, "step": 1, "mode": "box", "unit_of_measurement": "s"}
            component |= {"device_class": "duration", "entity_category": "config"}
        return component

    def _expire_after(self, device: str) -> int | None:
        """Whole seconds; None = never, which is what 0 means to Home Assistant."""
        for pattern, seconds in self.context.options.expire_after.items():
            if fnmatchcase(device, pattern):
                return math.ceil(seconds) or None
        return None

    @classmethod
    def channels(cls, options: Any, topics: Mapping[str, str], qos: int) -> Iterable[FormatChannel]:
        prefix = options.discovery_prefix
        yield FormatChannel("data", topics["data"], "send", "A reading", qos, options.retain, schema=READING_SCHEMA)
        schema = {"type": "object", "required": ["device", "origin", "components"]}
        address = f"{prefix}/device/{{object_id}}/config"
        yield FormatChannel("discovery", address, "send", "Discovery of a device", 1, True, schema=schema)
        birth = options.birth_topic or f"{prefix}/status"
        yield FormatChannel("birth", birth, "receive", "Home Assistant started", 1, False, "text/plain")
        yield from contract_channels(topics)

    @classmethod
    def warnings(cls, options: Any, devices: Mapping[str, DeviceProfile]) -> Iterable[tuple[str, str, str]]:
        if options.retain and any(profile.has_patient for profile in devices.values()):
            sentence = "the last reading of each device, its patient reference included, stays at the broker"
            yield "options.retain", sentence, "retain: false, or no `patient` where the broker is not trusted with it"


def _platform(kind: str) -> str:
    return "binary_sensor" if kind == "bool" else "sensor"


def _becomes(old: str, new: str) -> bool:
    """Whether Home Assistant can make the one entity of the other: it writes the state that it has anew."""
    return _platform(old) == _platform(new) and (old, new) != ("text", "number")


def _is_offered(profile: DeviceProfile, command: str) -> bool:
    return command == "set_interval" or not any(profile.parameters.get(command, {}).values())


def _connectivity(object_id: str, topic: str) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "unique_id": f"{object_id}_status",
        "name": "Connected",
        "state_topic": topic,
        "value_template": ONLINE_TEMPLATE,
        "device_class": "connectivity",
        "entity_category": "diagnostic",
    }


def _status_sensor(object_id: str, topic: str, name: str) -> dict[str, Any]:
    device_class, unit = STATUS_SENSORS[name]
    return {
        "platform": "sensor",
        "unique_id": f"{object_id}_{name}",
        "name": _title(name),
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{name} | default(None) }}}}",
        "device_class": device_class,
        "unit_of_measurement": unit,
        "state_class": "measurement",
        "entity_category": "diagnostic",
    }


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
