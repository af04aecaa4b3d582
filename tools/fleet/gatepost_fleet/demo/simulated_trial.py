"""Trial of a desired state by a simulated gateway: judged, tried, confirmed or taken back, and reported."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Report = Callable[[dict[str, Any]], None]
ALLOWED = {"devices", "brokers", "logging"}


def timestamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class SimulatedTrial:
    """Desired state of one simulated gateway. Its device is well again unless the settings name a port that is not
    there. `keys` as `fleet.keys`: name -> public key in base64; `jitter` in seconds before it asks."""

    def __init__(self, gateway: str, keys: Mapping[str, str], rng: Random, jitter: float = 1.0) -> None:
        self.jitter = jitter
        self.settings: dict[str, Any] = {}
        self.have = 0
        self.decided = 0
        self._gateway = gateway
        self._keys = keys
        self._rng = rng
        self._confirmed = asyncio.Event()
        self._trying = 0

    def question(self) -> dict[str, Any]:
        """Body of `desired/get`."""
        return {"have": self.have}

    def confirm(self, octets: bytes) -> None:
        """Body of `desired/confirm`."""
        if orjson.loads(octets).get("version") == self._trying:
            self._confirmed.set()

    async def take(self, octets: bytes, report: Report) -> None:
        """A message of the topic `desired`, from its check to its outcome."""
        envelope = orjson.loads(octets)
        payload = envelope["payload"].encode()
        try:
            public = Ed25519PublicKey.from_public_bytes(b64decode(self._keys[envelope["key_id"]]))
            public.verify(b64decode(envelope["signature"]), payload)
        except (KeyError, InvalidSignature, ValueError):
            report(self._report({"version": None}, "unsigned"))
            return
        document = orjson.loads(payload)
        if document["version"] <= max(self.decided, self._trying):
            report(self._report(document, "stale"))
        elif document["gateway_id"] != self._gateway or not document["settings"].keys() <= ALLOWED:
            self.decided = document["version"]
            report(self._report(document, "refused", "not for this gateway, or more than fleet.allow"))
        else:
            self._trying = document["version"]
            report(self._report(document, "trying"))
            well = await self._try(document)
            self._trying, self.decided = 0, document["version"]
            if well:
                report(self._report(document, "applied"))
                self.have, self.settings = document["version"], document["settings"]
            else:
                report(self._report(document, "reverted", "a device did not come back"))

    async def _try(self, document: dict[str, Any]) -> bool:
        devices = document["settings"].get("devices", {}).values()
        number, unit = re.fullmatch(r"(\d+)([smh])", document["confirm"]["within"]).groups()  # type: ignore[union-attr]
        within = int(number) * {"s": 1, "m": 60, "h": 3600}[unit]
        for device in devices:
            if "port" in device and not await asyncio.to_thread(Path(device["port"]).exists):
                await asyncio.sleep(within)
                return False
        if not document["confirm"]["manual"]:
            await asyncio.sleep(self._rng.uniform(0.1, 0.5))
            return True
        self._confirmed.clear()
        try:
            async with asyncio.timeout(within):
                await self._confirmed.wait()
        except TimeoutError:
            return False
        return True

    def _report(self, document: dict[str, Any], status: str, problem: str = "") -> dict[str, Any]:
        return {
            "schema": 1,
            "gateway_id": self._gateway,
            "version": document["version"],
            "status": status,
            "previous": self.have,
            "problems": [problem] if problem else [],
            "overridden": [],
            "agent": "simulated",
            "rollout": document.get("rollout"),
            "timestamp": timestamp(),
        }
