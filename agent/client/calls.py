"""Calls of the API, declared once for both clients."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatepost.agent.core.views import BrokerView, DeviceView
from gatepost.client.answers import (
    BrokersAnswer,
    DevicesAnswer,
    Json,
    ReadingDict,
    ReadingPage,
    ResponseDict,
    page,
)
from gatepost.client.methods import StreamCall, stream, verb
from gatepost.client.wire import ApiCall, part

V1 = "/api/v1"
CARRY_TIME = 60.0  # seconds: the broker acknowledges every message
DOWNLOAD_TIME = 960.0  # seconds until the first octet: the file is made first
CHANGE_TIME = 60.0  # seconds: a change of the settings is tried before it is kept


def _reading(line: bytes) -> ReadingDict:
    return ReadingDict(orjson.loads(line))


def _get(path: str, **query: Any) -> ApiCall[Any]:
    return ApiCall("GET", V1 + path, query)


def _put(path: str, settings: Mapping[str, Any], etag: str | None) -> ApiCall[Any]:
    return ApiCall("PUT", V1 + path, body=dict(settings), timeout=CHANGE_TIME, headers=_matching(etag))


def _matching(etag: str | None) -> dict[str, str]:
    return {} if etag is None else {"If-Match": etag}


class GatewayCalls:
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
        return _get("/status")

    @verb
    def stats(self) -> ApiCall[Json]:
        return _get("/stats")

    @verb
    def settings(self) -> ApiCall[Json]:
        return _get("/settings")

    @verb
    def doctor(self) -> ApiCall[Json]:
        return _get("/doctor")

    @verb
    def reload(self) -> ApiCall[Json]:
        return ApiCall("POST", f"{V1}/reload", timeout=CHANGE_TIME)

    @verb
    def settings_schema(self) -> ApiCall[Json]:
        return _get("/settings/schema")

    @verb
    def preview_settings(self, /, **change: Any) -> ApiCall[Json]:
        """What a change would make of the agent's own drop: settings or yaml, unset."""
        return ApiCall("POST", f"{V1}/settings/preview", body=change, timeout=CHANGE_TIME)

    @verb
    def apply_settings(self, /, confirm: str | None = None, **change: Any) -> ApiCall[Json]:
        """As `preview_settings`, into force. With `confirm`, such as 2m, it is undone unless `confirm_settings` comes
        in that time."""
        body = {**change, "confirm": confirm}
        return ApiCall("POST", f"{V1}/settings/apply", body=body, timeout=CHANGE_TIME)

    @verb
    def settings_trial(self) -> ApiCall[Json]:
        """The change on trial, and how the last one ended."""
        return _get("/settings/trial")

    @verb
    def confirm_settings(self) -> ApiCall[Json]:
        return ApiCall("POST", f"{V1}/settings/confirm")

    @verb
    def revert_settings(self) -> ApiCall[Json]:
        return ApiCall("POST", f"{V1}/settings/revert", timeout=CHANGE_TIME)

    # scans and tests

    @verb
    def start_scan(self, kind: str, seconds: float | None = None, *, ask: bool = False) -> ApiCall[Json]:
        """Of `serial` or `ble`; it goes on, `scan` tells how."""
        return ApiCall("POST", f"{V1}/scan", body={"kind": kind, "seconds": seconds, "ask": ask})

    @verb
    def scan(self) -> ApiCall[Json]:
        return _get("/scan")

    @verb
    def cancel_scan(self) -> ApiCall[Json]:
        return ApiCall("DELETE", f"{V1}/scan", timeout=CHANGE_TIME)

    @verb
    def test_broker(self, broker: str | None = None, settings: Mapping[str, Any] | None = None) -> ApiCall[Json]:
        """Step by step: a saved one by its name, or settings that are not saved yet."""
        body = {"broker": broker, "settings": None if settings is None else dict(settings)}
        return ApiCall("POST", f"{V1}/broker-test", body=body, timeout=CHANGE_TIME)

    # brokers

    @verb
    def brokers(self) -> ApiCall[BrokersAnswer]:
        return _get("/brokers")

    @verb
    def brokers_status(self) -> ApiCall[BrokersAnswer]:
        return _get("/brokers/status")

    @verb
    def discovered_brokers(self) -> ApiCall[Json]:
        """Brokers that announce themselves in the local network."""
        return _get("/brokers/discovered")

    @verb
    def broker(self, name: str) -> ApiCall[BrokerView]:
        return _get(f"/brokers/{part(name)}")

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
        return _get(f"/brokers/{part(broker)}/owed")

    @verb
    def owed_messages(self, broker: str, lo: int, hi: int, *, urgent: bool = False, limit: int = 500) -> ApiCall[Json]:
        """The messages of rows [lo, upto) of the log."""
        query = {"lo": lo, "hi": hi, "urgent": "true" if urgent else "false", "limit": limit}
        return _get(f"/brokers/{part(broker)}/owed/messages", **query)

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
        return _get("/devices")

    @verb
    def device(self, device: str) -> ApiCall[DeviceView]:
        return _get(f"/devices/{part(device)}")

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
        return _get(f"/devices/{part(device)}/data", **query)._replace(shape=page)

    @verb
    def curves(self, /, device: str, resolution: str = "auto", **query: Any) -> ApiCall[Json]:
        """Least, most, mean and last of each bucket of time: since, until, metric, values (such as spo2,heart_rate)."""
        return _get(f"/devices/{part(device)}/data", resolution=resolution, **query)

    @verb
    def readings(self, /, **query: Any) -> ApiCall[ReadingPage]:
        """Stored readings, newest first: as `data`, and device."""
        return _get("/readings", **query)._replace(shape=page)

    # drivers, formats, devices that speak MQTT

    @verb
    def drivers(self) -> ApiCall[Json]:
        return _get("/drivers")

    @verb
    def driver(self, name: str) -> ApiCall[Json]:
        """Its options as JSON Schema, and its commands."""
        return _get(f"/drivers/{part(name)}")

    @verb
    def formats(self) -> ApiCall[Json]:
        return _get("/formats")

    @verb
    def format(self, name: str) -> ApiCall[Json]:
        """Its options as JSON Schema."""
        return _get(f"/formats/{part(name)}")

    @verb
    def listener(self) -> ApiCall[Json]:
        """Devices that speak MQTT to the gateway."""
        return _get("/listener")

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
        return _get(path, limit=limit, cursor=cursor)

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
        return _get("/subscriptions")

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
        return _get("/messages", **query)

    @verb
    def topics(self, /, **query: Any) -> ApiCall[Json]:
        """Topics seen: broker, topic, limit."""
        return _get("/topics", **query)

    # what is owed, lost, refused, done

    @verb
    def backlog(self) -> ApiCall[Json]:
        return _get("/backlog")

    @verb
    def gaps(self, limit: int = 100) -> ApiCall[Json]:
        return _get("/gaps", limit=limit)

    @verb
    def gaps_seen(self) -> ApiCall[Json]:
        """A loss of stored readings was seen."""
        return ApiCall("POST", f"{V1}/gaps/seen")

    @verb
    def dead_letters(self, limit: int = 100, broker: str | None = None) -> ApiCall[Json]:
        return _get("/dead-letters", limit=limit, broker=broker)

    @verb
    def audit(self, limit: int = 100, cursor: int | None = None, what: str | None = None) -> ApiCall[Json]:
        return _get("/audit", limit=limit, cursor=cursor, what=what)

    @verb
    def logs(self, /, **query: Any) -> ApiCall[Json]:
        """The agent's own log, oldest first: level, device, grep, limit."""
        return _get("/logs", **query)

    # answers that come piece by piece

    @stream
    def follow(self, device: str | None = None, metric: str | None = None, last: int = 0) -> StreamCall[ReadingDict]:
        """Live readings after the `last` stored ones, until you stop or the agent does; `{"lost": n}` where this
        client was too slow."""
        return StreamCall(_get("/readings/follow", device=device, metric=metric, last=last), _reading)

    @stream
    def follow_logs(self, /, **query: Any) -> StreamCall[Json]:
        """The agent's own log as it is written, after the newest `limit` lines: level, device, grep; `{"lost": n}`
        where this client was too slow."""
        return StreamCall(_get("/logs", **query, follow="true"), orjson.loads)

    @stream
    def raw(self, device: str) -> StreamCall[bytes]:
        """A recording of a device, line by line (drivers/recording.py), until you stop or the agent does."""
        return StreamCall(_get(f"/devices/{part(device)}/raw"), lambda line: line + b"\n")

    @stream
    def test_device(
        self, settings: Mapping[str, Any], *, device: str | None = None, seconds: float = 15.0
    ) -> StreamCall[Json]:
        """A device that is not saved yet, opened: its states, first readings (not stored), and `{"end": true}`. With
        `device` the kept secrets are those of a saved one."""
        body = {"settings": dict(settings), "device": device, "seconds": seconds}
        return StreamCall(ApiCall("POST", f"{V1}/device-test", body=body, timeout=CHANGE_TIME), orjson.loads)

    @stream
    def backup(self) -> StreamCall[bytes]:
        """The octets of a backup (`gatepost restore`), piece by piece; it holds secrets."""
        return StreamCall(ApiCall("GET", f"{V1}/backup", timeout=DOWNLOAD_TIME))

    @stream
    def support_bundle(self) -> StreamCall[bytes]:
        """The octets of a support bundle, piece by piece; without secrets and patients' data."""
        return StreamCall(ApiCall("GET", f"{V1}/support-bundle", timeout=DOWNLOAD_TIME))

    # tokens

    @verb
    def tokens(self) -> ApiCall[Json]:
        return _get("/tokens")

    @verb
    def create_token(
        self,
        role: str,
        *,
        name: str | None = None,
        expires: str | None = None,
        publish: Sequence[str] | None = None,
        subscribe: Sequence[str] | None = None,
        kiosk: bool | None = None,
    ) -> ApiCall[Json]:
        """The answer's `token` is told this once; `expires` such as 30d, topics as MQTT filters. That of a
        board (`kiosk`) is a viewer's, and its browser keeps it."""
        body: dict[str, Any] = {"role": role, "name": name, "expires": expires, "kiosk": kiosk}
        body |= {"publish": publish, "subscribe": subscribe}
        return ApiCall("POST", f"{V1}/tokens", body={key: value for key, value in body.items() if value is not None})

    @verb
    def revoke_token(self, ident: str) -> ApiCall[Json]:
        return ApiCall("DELETE", f"{V1}/tokens/{part(ident)}")

    @verb
    def sessions(self) -> ApiCall[Json]:
        """Who is signed in with a browser."""
        return _get("/sessions")

    @verb
    def end_session(self, ident: str) -> ApiCall[Json]:
        return ApiCall("DELETE", f"{V1}/sessions/{part(ident)}")


def history(device: str | None, query: Mapping[str, Any], size: int, cursor: int | None) -> ApiCall[ReadingPage]:
    path = "/readings" if device is None else f"/devices/{part(device)}/data"
    return _get(path, **query, limit=size, cursor=cursor)._replace(shape=page)
