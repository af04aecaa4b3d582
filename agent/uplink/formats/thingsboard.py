"""Format `thingsboard`: ThingsBoard's gateway and device MQTT API, RPC both ways."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import orjson

from gatepost.agent.core.command_names import GatewayCommandName
from gatepost.agent.uplink.formats.interface import (
    JSON,
    RESPONSE_SCHEMA,
    DeviceProfile,
    FormatChannel,
    FormatContext,
    IncomingCommand,
    Outcome,
    OutgoingMessage,
    PayloadFormat,
)
from gatepost.agent.uplink.formats.scalar import metric_name
from gatepost.agent.uplink.formats.stored_reading import StoredReading

Described = msgspec.Meta
ME = "v1/devices/me"
RPC, OWN_RPC = "v1/gateway/rpc", f"{ME}/rpc/request/"
STAMP = ("id", "schema", "gateway_id", "timestamp", "event")  # of an event: not repeated in its details
LARGEST = 64 * 1024  # octets of a payload, by default: above it ThingsBoard cuts the connection, again and again
WAVEFORM = ("samples", "rate_hz", "scale", "offset", "unit")
GATEWAY_PARAMETERS: Mapping[str, Mapping[str, bool]] = {
    GatewayCommandName.SET_LOG_LEVEL: {"level": True},
    GatewayCommandName.CONNECT_BROKER: {"broker": True},
    GatewayCommandName.DISCONNECT_BROKER: {"broker": True},
}
INFO = ("manufacturer", "model", "serial", "firmware")


class ThingsboardOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of format `thingsboard`."""

    mode: Annotated[
        Literal["gateway", "device"],
        Described(description="gateway: the token is of a device marked `is gateway`; device: of the only device"),
    ] = "gateway"
    keys: Annotated[
        Literal["short", "full"], Described(description="short: `systolic`; full: `blood_pressure_systolic`")
    ] = "short"
    waveforms: Annotated[bool, Described(description="send waveforms, as one telemetry value a block")] = False


class ThingsboardFormat(PayloadFormat):
    """Telemetry in milliseconds, units as attributes, RPC to commands."""

    name: ClassVar[str] = "thingsboard"
    summary: ClassVar[str] = "ThingsBoard's gateway API: telemetry, attributes, RPC"
    options_type: ClassVar[type[msgspec.Struct]] = ThingsboardOptions
    reading_qos: ClassVar[int | None] = 1
    contract_commands: ClassVar[bool] = False
    batches: ClassVar[bool] = True
    batch_octets: ClassVar[int] = 60 * 1024  # ThingsBoard cuts connections at 64 KiB by default

    def __init__(self, context: FormatContext) -> None:
        super().__init__(context)
        self._gateway_mode = context.options.mode == "gateway"
        self._full = context.options.keys == "full"
        self._units: dict[tuple[str, str], str] = {}  # (device, key) -> unit told on this connection
        self._connected: set[str] = set()
        self._since_ms = 0

    def will(self, now: int) -> None:
        """None: ThingsBoard itself tells when a session ends."""

    def subscriptions(self) -> Mapping[str, int]:
        return {f"{OWN_RPC}+": 1, **({RPC: 1} if self._gateway_mode else {})}

    def connected(self, now: int) -> Iterable[OutgoingMessage]:
        self._since_ms = now // 1000
        for device in self.context.devices:
            yield from self._connect(device)

    def _connect(self, device: str) -> Iterable[OutgoingMessage]:
        profile = self.context.devices.get(device)
        driver = profile.driver if profile is not None else "mqtt"
        self._connected.add(device)
        if self._gateway_mode:
            yield _message("v1/gateway/connect", {"device": device, "type": driver})
        yield self._about(device, profile)

    def _about(self, device: str, profile: DeviceProfile | None) -> OutgoingMessage:
        driver, info = ("mqtt", {}) if profile is None else (profile.driver, profile.info)
        known = {name: info[name] for name in INFO if name in info}
        return self._attributes(device, {"gateway": self.context.gateway, "driver": driver, **known})

    def profile_changed(self, device: str, now: int) -> Iterable[OutgoingMessage]:
        if device in self._connected:
            yield self._about(device, self.context.devices.get(device))

    @property
    def carries_flags(self) -> bool:
        return True

    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        return self.batch([reading], now)

    def batch(self, readings: Sequence[StoredReading], now: int) -> Sequence[OutgoingMessage]:
        rows: dict[str, list[dict[str, Any]]] = {}
        for reading in readings:
            values = self._values(reading)
            if values:
                rows.setdefault(reading.device, []).append({"ts": reading.time // 1000, "values": values})
        if rows and self._gateway_mode:
            telemetry = [_message("v1/gateway/telemetry", rows)]
        else:
            telemetry = [_message(f"{ME}/telemetry", one) for one in rows.values()]
        for message in telemetry:
            if len(message.payload) > LARGEST:
                raise ValueError(f"{len(message.payload)} octets, ThingsBoard takes at most {LARGEST}")
        units = [(reading.device, news) for reading in readings if (news := self._new_units(reading))]
        return [*(self._attributes(device, news) for device, news in units), *telemetry]

    def _values(self, reading: StoredReading) -> dict[str, Any]:
        values = {self._key(reading.metric, name): value for name, value in reading.values.items()}
        members = reading.members
        if reading.samples is not None and self.context.options.waveforms:
            wave = {name: members[name] for name in WAVEFORM if name in members}
            values[reading.channel] = wave
        if not values:
            return values
        if reading.urgent:
            values["urgent"] = True
        if reading.quality != "good":
            values["quality"] = reading.quality
        if reading.flags:
            values["flags"] = ",".join(reading.flags)
        return values

    def _key(self, metric: str, name: str) -> str:
        return metric_name(metric, name, "_") if self._full else name

    def _new_units(self, reading: StoredReading) -> dict[str, str]:
        news = {}
        for name in reading.values:
            key, unit = self._key(reading.metric, name), reading.units.get(name)
            if unit is not None and self._units.get((reading.device, key)) != unit:
                self._units[reading.device, key] = news[f"unit_{key}"] = unit
        return news

    def _attributes(self, device: str, attributes: Mapping[str, Any]) -> OutgoingMessage:
        if self._gateway_mode:
            return _message("v1/gateway/attributes", {device: attributes})
        return _message(f"{ME}/attributes", attributes)

    def _telemetry(self, rows: list[dict[str, Any]], device: str | None = None) -> OutgoingMessage:
        """Rows of a device behind the gateway, or of the gateway itself."""
        if device is not None and self._gateway_mode:
            return _message("v1/gateway/telemetry", {device: rows})
        return _message(f"{ME}/telemetry", rows)

    def event(self, event: Mapping[str, Any], now: int) -> Sequence[OutgoingMessage]:
        details = {name: value for name, value in event.items() if name not in STAMP}
        ts = StoredReading.time_of(event["timestamp"]) // 1000
        return [self._telemetry([{"ts": ts, "values": {"event": event.get("event"), "event_details": details}}])]

    def device_status(self, device: str, status: Mapping[str, Any], now: int) -> Iterable[OutgoingMessage]:
        if device not in self.context.devices and device not in self._connected:
            return
        online = status["status"] == "online"
        if online and device not in self._connected:
            yield from self._connect(device)
        names = ("status", "battery", "signal_strength", "reason")
        values = {name: status[name] for name in names if status.get(name) is not None}
        yield self._telemetry([{"ts": StoredReading.time_of(status["timestamp"]) // 1000, "values": values}], device)
        if status["status"] == "offline":
            yield from self.removed(device, now)

    def removed(self, device: str, now: int) -> Iterable[OutgoingMessage]:
        if device in self._connected:
            self._connected.discard(device)
            if self._gateway_mode:
                yield _message("v1/gateway/disconnect", {"device": device})

    def disconnecting(self, now: int, why: str = "stopped") -> Iterable[OutgoingMessage]:
        return ()

    def incoming(self, topic: str, payload: bytes, retain: bool, now: int) -> Iterable[Outcome]:
        try:
            body = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return
        if not isinstance(body, dict):
            return
        own = re.fullmatch(re.escape(OWN_RPC) + r"(\d{1,18})", topic)
        if own is not None:
            device = None if self._gateway_mode else next(iter(self.context.devices), None)
            yield from self._command(device, body, int(own[1]), ("own", int(own[1])))
        elif topic == RPC and isinstance(body.get("device"), str) and isinstance(body.get("data"), dict):
            number = body["data"].get("id")
            yield from self._command(body["device"], body["data"], number, (body["device"], number))

    def _command(
        self, device: str | None, data: dict[str, Any], number: Any, reply_to: Any
    ) -> Iterable[IncomingCommand]:
        method, params = data.get("method"), data.get("params")
        if not isinstance(method, str):
            return
        if params is not None and not isinstance(params, dict):
            profile = self.context.devices.get(device or "")
            known = GATEWAY_PARAMETERS if device is None else profile.parameters if profile is not None else {}
            params = {_only(known.get(method, {})): params}
        identity = f"tb-{self._since_ms}-{device or 'gateway'}-{number}"
        command = {"id": identity, "command": method, "parameters": params or {}}
        yield IncomingCommand(device, orjson.dumps(command), reply_to)

    def response(self, response: Mapping[str, Any], reply_to: Any, now: int) -> Iterable[OutgoingMessage]:
        device, number = reply_to
        if device == "own":
            yield _message(f"{ME}/rpc/response/{number}", response)
        else:
            yield _message(RPC, {"device": device, "id": number, "data": response})

    @classmethod
    def channels(cls, options: Any, topics: Mapping[str, str], qos: int) -> Iterable[FormatChannel]:
        mode = options.mode == "gateway"
        schema = {"type": "object"}
        own, calls, answers = f"{ME}/telemetry", f"{OWN_RPC}{{request}}", f"{ME}/rpc/response/{{request}}"
        call, answer = "A remote procedure call", "The outcome of a call"
        yield FormatChannel("own_telemetry", own, "send", "Telemetry of the login itself", 1, schema={"type": "array"})
        yield FormatChannel("own_rpc", calls, "receive", call, 1, schema=schema, command=True)
        yield FormatChannel("own_rpc_responses", answers, "send", answer, 1, schema=RESPONSE_SCHEMA, command=True)
        attributes = "v1/gateway/attributes" if mode else f"{ME}/attributes"
        yield FormatChannel("attributes", attributes, "send", "Attributes and units", 1, schema=schema)
        if mode:
            yield FormatChannel("telemetry", "v1/gateway/telemetry", "send", "Telemetry", 1, schema=schema)
            yield FormatChannel("rpc", RPC, "receive", call, 1, schema=schema, command=True)
            yield FormatChannel("rpc_responses", RPC, "send", answer, 1, schema=schema, command=True)
            yield FormatChannel("connect", "v1/gateway/connect", "send", "A device is there", 1, schema=schema)
            yield FormatChannel("disconnect", "v1/gateway/disconnect", "send", "A device is gone", 1, schema=schema)

    @classmethod
    def warnings(cls, options: Any, devices: Mapping[str, DeviceProfile]) -> Iterable[tuple[str, str, str]]:
        if options.mode == "device" and len(devices) != 1:
            yield "options.mode", f"mode device speaks for one device, but {len(devices)} report here", "mode: gateway"


def _only(parameters: Mapping[str, bool]) -> str:
    """The parameter that a bare value is: the only one, or the only one that must be given."""
    required = [name for name, needed in parameters.items() if needed]
    names = required or list(parameters)
    return names[0] if len(names) == 1 else "value"


def _message(topic: str, body: Any) -> OutgoingMessage:
    return OutgoingMessage(topic, orjson.dumps(body), 1, False, JSON)
