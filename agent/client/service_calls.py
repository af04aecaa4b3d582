"""Calls of setting up and service: settings on trial, scans and tests, log, backup, access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gatepost.client.answers import Json
from gatepost.client.methods import StreamCall, stream, verb
from gatepost.client.wire import CHANGE_TIME, V1, ApiCall, get, part

DOWNLOAD_TIME = 960.0  # seconds until the first octet: the file is made first


class ServiceCalls:
    """The part of GatewayCalls for who looks after the gateway."""

    @verb
    def settings(self) -> ApiCall[Json]:
        return get("/settings")

    @verb
    def doctor(self) -> ApiCall[Json]:
        return get("/doctor")

    @verb
    def reload(self) -> ApiCall[Json]:
        return ApiCall("POST", f"{V1}/reload", timeout=CHANGE_TIME)

    @verb
    def settings_schema(self) -> ApiCall[Json]:
        return get("/settings/schema")

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
        return get("/settings/trial")

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
        return get("/scan")

    @verb
    def cancel_scan(self) -> ApiCall[Json]:
        return ApiCall("DELETE", f"{V1}/scan", timeout=CHANGE_TIME)

    @verb
    def test_broker(self, broker: str | None = None, settings: Mapping[str, Any] | None = None) -> ApiCall[Json]:
        """Step by step: a saved one by its name, or settings that are not saved yet."""
        body = {"broker": broker, "settings": None if settings is None else dict(settings)}
        return ApiCall("POST", f"{V1}/broker-test", body=body, timeout=CHANGE_TIME)

    @stream
    def test_device(
        self, settings: Mapping[str, Any], *, device: str | None = None, seconds: float = 15.0
    ) -> StreamCall[Json]:
        """A device that is not saved yet, opened: its states, first readings (not stored), and `{"end": true}`. With
        `device` the kept secrets are those of a saved one."""
        body = {"settings": dict(settings), "device": device, "seconds": seconds}
        return StreamCall(ApiCall("POST", f"{V1}/device-test", body=body, timeout=CHANGE_TIME), orjson.loads)

    # log, backup, support bundle

    @verb
    def logs(self, /, **query: Any) -> ApiCall[Json]:
        """The agent's own log, oldest first: level, device, grep, limit."""
        return get("/logs", **query)

    @stream
    def follow_logs(self, /, **query: Any) -> StreamCall[Json]:
        """The agent's own log as it is written, after the newest `limit` lines: level, device, grep; `{"lost": n}`
        where this client was too slow."""
        return StreamCall(get("/logs", **query, follow="true"), orjson.loads)

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
        return get("/tokens")

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
        return get("/sessions")

    @verb
    def end_session(self, ident: str) -> ApiCall[Json]:
        return ApiCall("DELETE", f"{V1}/sessions/{part(ident)}")
