"""Calls of the API, declared once for both clients."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatepost.agent.core.views import BrokerView, DeviceView
from gatepost.client.answers import BrokersAnswer, DevicesAnswer, Json, ReadingDict, ReadingPage, ResponseDict, page
from gatepost.client.methods import StreamCall, stream, verb
from gatepost.client.service_calls import ServiceCalls
from gatepost.client.wire import CHANGE_TIME, V1, ApiCall, get, part

CARRY_TIME = 60.0  # seconds: the broker acknowledges every message


def _reading(line: bytes) -> ReadingDict:
    return ReadingDict(orjson.loads(line))


def _put(path: str, settings: Mapping[str, Any], etag: str | None) -> ApiCall[Any]:
    return ApiCall("PUT", V1 + path, body=dict(settings), timeout=CHANGE_TIME, headers=_matching(etag))


def _matching(etag: str | None) -> dict[str, str]:
    return {} if etag is None else {"If-Match": etag}


class GatewayCalls(ServiceCalls):
    """Answers are the JSON of the API (docs/interfaces.md) as dicts and lists."""

    @verb
    def health(self) -> ApiCall[Json]:
        """Whether the agent answers; needs no token."""
        return ApiCall("GET", "/health")

    @verb
    def health_detailed(self) -> ApiCall[Json]:
        return ApiCall("GET", "/health/detailed")

    @verb
    def metrics(self) -> ApiCall[str]:
        """The text that Prometheus scrapes."""
        return ApiCall("GET", "/metrics", text=True)

    @verb
    def openapi(self) -> ApiCall[Json]:
        return ApiCall("GET", "/openapi.json")

    @verb
    def status(self) -> ApiCall[Json]:
        return get("/status")

    @verb
    def stats(self) -> ApiCall[Json]:
        return get("/stats")

    # brokers

    @verb
    def brokers(self) -> ApiCall[BrokersAnswer]:
        return get("/brokers")

    @verb
    def brokers_status(self) -> ApiCall[BrokersAnswer]:
        return get("/brokers/status")

    @verb
    def discovered_brokers(self) -> ApiCall[Json]:
        """Brokers that announce themselves in the local network."""
        return get("/brokers/discovered")

    @verb
    def broker(self, name: str) -> ApiCall[BrokerView]:
        return get(f"/brokers/{part(name)}")

    @verb
    def add_broker(self, name: str, settings: Mapping[str, Any]) -> ApiCall[BrokerView]:
        """Settings as in a settings file; Conflict when there is one of that name."""
        return ApiCall("POST", f"{V1}/brokers", body={**settings, "name": name}, timeout=CHANGE_TIME)

    @verb
    def replace_broker(self, name: str, settings: Mapping[str, Any], *, etag: str | None = None) -> ApiCall[BrokerView]:
        """All of its settings; with the `etag` of what you saw, EtagChanged when it is no longer so."""
        return _put(f"/brokers/{part(name)}", settings, etag)

    @verb
    def remove_broker(self, name: str, *, etag: str | None = None) -> ApiCall[Json]:
        """What it was owed is not sent any more."""
        return ApiCall("DELETE", f"{V1}/brokers/{part(name)}", timeout=CHANGE_TIME, headers=_matching(etag))

    @verb
    def connect_broker(self, name: str) -> ApiCall[BrokerView]:
        return ApiCall("POST", f"{V1}/brokers/{part(name)}/control", body={"action": "connect"})

    @verb
    def disconnect_broker(self, name: str) -> ApiCall[BrokerView]:
        return ApiCall("POST", f"{V1}/brokers/{part(name)}/control", body={"action": "disconnect"})

    # readings carried on a stick (docs/operations.md)

    @verb
    def owed(self, broker: str) -> ApiCall[Json]:
        """What a broker is owed, for an export: ranges of the log, and the key of its receipts."""
        return get(f"/brokers/{part(broker)}/owed")

    @verb
    def owed_messages(self, broker: str, lo: int, hi: int, *, urgent: bool = False, limit: int = 500) -> ApiCall[Json]:
        """The messages of rows [lo, upto) of the log."""
        query = {"lo": lo, "hi": hi, "urgent": "true" if urgent else "false", "limit": limit}
        return get(f"/brokers/{part(broker)}/owed/messages", **query)

    @verb
    def carry(self, broker: str, parcel: str, start: int, readings: Sequence[Any]) -> ApiCall[Json]:
        """Send readings `start` and following of a parcel through a broker; what is done of it."""
        body = {"parcel": parcel, "start": start, "readings": readings}
        return ApiCall("POST", f"{V1}/brokers/{part(broker)}/carried", body=body, timeout=CARRY_TIME)

    @verb
    def take_receipt(self, broker: str, receipt: Mapping[str, Any]) -> ApiCall[Json]:
        """What the receipt names is delivered."""
        return ApiCall("POST", f"{V1}/brokers/{part(broker)}/receipts", body=dict(receipt))

    # devices

    @verb
    def devices(self) -> ApiCall[DevicesAnswer]:
        return get("/devices")

    @verb
    def device(self, device: str) -> ApiCall[DeviceView]:
        return get(f"/devices/{part(device)}")

    @verb
    def add_device(self, device: str, settings: Mapping[str, Any]) -> ApiCall[DeviceView]:
        """Settings as in a settings file; Conflict when there is one of that id."""
        return ApiCall("POST", f"{V1}/devices", body={**settings, "device_id": device}, timeout=CHANGE_TIME)

    @verb
    def replace_device(
        self, device: str, settings: Mapping[str, Any], *, etag: str | None = None
    ) -> ApiCall[DeviceView]:
        """All of its settings; with the `etag` of what you saw, EtagChanged when it is no longer so."""
        return _put(f"/devices/{part(device)}", settings, etag)

    @verb
    def remove_device(self, device: str, *, etag: str | None = None) -> ApiCall[Json]:
        """Its readings are kept."""
        return ApiCall("DELETE", f"{V1}/devices/{part(device)}", timeout=CHANGE_TIME, headers=_matching(etag))

    @verb
    def data(self, /, device: str, **query: Any) -> ApiCall[ReadingPage]:
        """Stored readings of a device, newest first: since, until (datetime or RFC 3339), metric, limit, cursor."""
        return get(f"/devices/{part(device)}/data", **query)._replace(shape=page)

    @verb
    def curves(self, /, device: str, resolution: str = "auto", **query: Any) -> ApiCall[Json]:
        """Least, most, mean and last of each bucket of time: since, until, metric, values (such as spo2,heart_rate)."""
        return get(f"/devices/{part(device)}/data", resolution=resolution, **query)

    @verb
    def readings(self, /, **query: Any) -> ApiCall[ReadingPage]:
        """Stored readings, newest first: as `data`, and device."""
        return get("/readings", **query)._replace(shape=page)

    # drivers, formats, devices that speak MQTT

    @verb
    def drivers(self) -> ApiCall[Json]:
        return get("/drivers")

    @verb
    def driver(self, name: str) -> ApiCall[Json]:
        """Its options as JSON Schema, and its commands."""
        return get(f"/drivers/{part(name)}")

    @verb
    def formats(self) -> ApiCall[Json]:
        return get("/formats")

    @verb
    def format(self, name: str) -> ApiCall[Json]:
        """Its options as JSON Schema."""
        return get(f"/formats/{part(name)}")

    @verb
    def listener(self) -> ApiCall[Json]:
        """Devices that speak MQTT to the gateway."""
        return get("/listener")

    @verb
    def refused_messages(self) -> ApiCall[Json]:
        """The newest messages of such devices that were not taken, and why."""
        return get("/listener/refused")

    @verb
    def hang_up(self, device: str) -> ApiCall[Json]:
        """End its connections to the listener."""
        return ApiCall("DELETE", f"{V1}/listener/clients/{part(device)}")

    # commands

    @verb
    def send(
        self,
        /,
        device: str | None,
        command: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        **members: Any,
    ) -> ApiCall[ResponseDict]:
        """A command for a device, None = for the gateway; `members` such as id, token, expires_at go with it.

        The answer is the command's response; a rejected one raises GatewayError with the rejection's key.
        """
        path = f"{V1}/gateway/command" if device is None else f"{V1}/devices/{part(device)}/command"
        body = {"command": command, "parameters": dict(parameters or {}), **members}
        return ApiCall("POST", path, body=body, timeout=timeout)

    @verb
    def commands(self, device: str | None = None, limit: int = 100, cursor: int | None = None) -> ApiCall[Json]:
        """The ledger of a device's commands, or of all, newest first."""
        path = "/commands" if device is None else f"/devices/{part(device)}/commands"
        return get(path, limit=limit, cursor=cursor)

    # messages

    @verb
    def publish(
        self, broker: str | None, topic: str, payload: Any, *, qos: int = 1, retain: bool = False
    ) -> ApiCall[Json]:
        """A message through a broker, None = the only one there is: text and octets as they are, anything else as JSON.

        Unavailable when it is not connected.
        """
        body = {"broker": broker, "topic": topic, "payload": payload, "qos": qos, "retain": retain}
        if isinstance(payload, bytes):
            body |= {"payload": b64encode(payload).decode(), "encoding": "base64"}
        return ApiCall("POST", f"{V1}/publish", body=body)

    @verb
    def broadcast(self, payload: Mapping[str, Any], *, broker: str | None = None) -> ApiCall[Json]:
        """A command (docs/commands.md) for every gateway of the organization, through every connected broker."""
        return ApiCall("POST", f"{V1}/broadcast", body={"payload": dict(payload), "broker": broker})

    @verb
    def subscriptions(self) -> ApiCall[Json]:
        return get("/subscriptions")

    @verb
    def subscribe(self, broker: str | None, topic: str, *, qos: int = 0) -> ApiCall[Json]:
        """Its messages are then in `messages` and among the events; kept until `unsubscribe`."""
        return ApiCall("POST", f"{V1}/subscriptions", body={"broker": broker, "topic": topic, "qos": qos})

    @verb
    def unsubscribe(self, topic: str, *, broker: str | None = None) -> ApiCall[Json]:
        return ApiCall("DELETE", f"{V1}/subscriptions/{part(topic)}", {"broker": broker})

    @verb
    def messages(self, /, **query: Any) -> ApiCall[Json]:
        """Messages heard or published, newest first: broker, topic, direction (in, out), since, limit, cursor."""
        return get("/messages", **query)

    @verb
    def topics(self, /, **query: Any) -> ApiCall[Json]:
        """Topics seen: broker, topic, limit."""
        return get("/topics", **query)

    # what is owed, lost, refused, done

    @verb
    def backlog(self) -> ApiCall[Json]:
        return get("/backlog")

    @verb
    def gaps(self, limit: int = 100) -> ApiCall[Json]:
        return get("/gaps", limit=limit)

    @verb
    def gaps_seen(self) -> ApiCall[Json]:
        """A loss of stored readings was seen."""
        return ApiCall("POST", f"{V1}/gaps/seen")

    @verb
    def dead_letters(self, limit: int = 100, broker: str | None = None) -> ApiCall[Json]:
        return get("/dead-letters", limit=limit, broker=broker)

    @verb
    def audit(self, limit: int = 100, cursor: int | None = None, what: str | None = None) -> ApiCall[Json]:
        return get("/audit", limit=limit, cursor=cursor, what=what)

    # answers that come piece by piece

    @stream
    def follow(self, device: str | None = None, metric: str | None = None, last: int = 0) -> StreamCall[ReadingDict]:
        """Live readings after the `last` stored ones, until you stop or the agent does; `{"lost": n}` where this
        client was too slow."""
        return StreamCall(get("/readings/follow", device=device, metric=metric, last=last), _reading)

    @stream
    def raw(self, device: str) -> StreamCall[bytes]:
        """A recording of a device, line by line (drivers/recording.py), until you stop or the agent does."""
        return StreamCall(get(f"/devices/{part(device)}/raw"), lambda line: line + b"\n")


def history(device: str | None, query: Mapping[str, Any], size: int, cursor: int | None) -> ApiCall[ReadingPage]:
    path = "/readings" if device is None else f"/devices/{part(device)}/data"
    return get(path, **query, limit=size, cursor=cursor)._replace(shape=page)
