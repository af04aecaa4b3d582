"""Test of a device before it is configured: opened with the given settings, first readings shown, nothing stored."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from random import Random
from typing import Any, cast

import orjson

from gatepost.agent.core.clock import Clock, Stamp, rfc3339
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import DeviceSettings, Secret
from gatepost.agent.store.key_value import KeyValueStore
from gatepost.drivers.driver import Registry

log = logging.getLogger(__name__)

ENOUGH = 20  # readings
WAITING = 100  # lines that wait for a slow client
CLOSE = 3.0


class DeviceTest:
    """Test of one device. `lines` are dicts for JSON: states and readings as they come, an end."""

    def __init__(
        self,
        device: str,
        settings: DeviceSettings,
        registry: Registry,
        clock: Clock,
        resolve: Callable[[Secret | None], str | None],
    ) -> None:
        self._device = device
        self._settings = settings
        self._clock = clock
        self._lines: deque[dict[str, Any]] = deque(maxlen=WAITING)
        self._more = asyncio.Event()
        self._readings = 0
        store = UnkeptReadings(device, self._take)
        self._manager = DeviceManager(registry, store, clock, EventBus(), Random(), log, resolve=resolve)  # noqa: S311
        self._manager.on_status = self._tell_state

    async def lines(self, seconds: float) -> AsyncGenerator[dict[str, Any], None]:
        """Ends after so many seconds or ENOUGH readings; the device is closed again however it ends."""
        try:
            yield {"state": "opening"}
            try:
                await self._manager.apply({self._device: self._settings})
            except GatepostError as error:
                yield self._end(error.kind, error.message, error.hint)
                return
            give_up = self._clock.monotonic() + seconds
            while self._readings < ENOUGH and (left := give_up - self._clock.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left):
                        await self._more.wait()
                except TimeoutError:
                    break
                self._more.clear()
                while self._lines:
                    yield self._lines.popleft()
            view = self._manager.get(self._device)
            if self._readings or view is None:
                yield self._end("enough" if self._readings >= ENOUGH else "time")
            else:
                yield self._end(view["reason"] or "time", view["message"], view["hint"])
        finally:
            try:
                async with asyncio.timeout(CLOSE):
                    await self._manager.close()
            except TimeoutError:
                log.error("%s did not close after its test", self._device)

    def _end(self, reason: str, message: str = "", hint: str = "") -> dict[str, Any]:
        return {"end": True, "readings": self._readings, "reason": reason, "message": message, "hint": hint}

    def _take(self, reading: dict[str, Any]) -> None:
        self._readings += 1
        if self._readings <= ENOUGH:
            self._push({"reading": {**reading, "timestamp": rfc3339(self._clock.now().wall)}})

    def _tell_state(self, device: str, payload: dict[str, Any]) -> None:
        view = self._manager.get(device)
        line: dict[str, Any] = {"state": payload["status"]}
        line |= {key: payload[key] for key in ("battery", "reason") if key in payload}
        if view is not None and view["message"]:
            line |= {"message": view["message"], "hint": view["hint"]}
        self._push(line)

    def _push(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        self._more.set()


class UnkeptReadings:
    """Store of a test: shows each reading, and keeps none."""

    def __init__(self, device: str, show: Callable[[dict[str, Any]], None]) -> None:
        self.key_value = cast(KeyValueStore, UnkeptState())
        self._device = device
        self._show = show
        self._common: list[dict[str, Any]] = []
        self._seq = 0

    def series(self, device: str, patient: str | None, common: dict[str, Any]) -> int:
        if common not in self._common:
            self._common.append(common)
        return self._common.index(common) + 1

    def append(
        self, series: int, stamp: Stamp, body: bytes, urgent: bool = False, mark: tuple[str, Any] | None = None
    ) -> int:
        self._seq += 1
        values = orjson.loads(body)
        values.pop("samples", None)  # a curve says little here
        self._show({"device_id": self._device, **self._common[series - 1], **values, "urgent": urgent})
        return self._seq

    def append_all(self, stamp: Stamp, rows: Sequence[tuple[int, bytes]]) -> int:
        return sum(self.append(series, stamp, body) > 0 for series, body in rows)

    def lost(self, device: str, count: int, reason: str) -> None:
        return None

    async def wait_until_writable(self) -> None:
        return None

    async def stored(self, seq: int, hurry: bool = False) -> None:
        return None

    def reading_id(self, seq: int) -> str:
        return f"test:{seq}"


class UnkeptState:
    """Small state of a test, as KeyValueStore gives it, gone at its end."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    async def get(self, key: str) -> Any | None:
        return self._kept.get(key)

    async def with_prefix(self, prefix: str) -> dict[str, Any]:
        return {key.removeprefix(prefix): value for key, value in self._kept.items() if key.startswith(prefix)}

    async def put(self, key: str, value: Any) -> None:
        if value is None:
            self._kept.pop(key, None)
        else:
            self._kept[key] = value

    async def update(self, key: str, change: Callable[[Any | None], Any]) -> Any:
        new = change(await self.get(key))
        await self.put(key, new)
        return new
