"""A running agent in a fleet, over a real broker: what the fleet sends it, and hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gatepost.agent.app import App
from gatepost.agent.fleet.signature import VALID, check
from tests.api.real import running, written
from tests.desired.signing import GATEWAY, FleetSigner
from tests.support.waiting import until
from tests.uplink.broker import Mosquitto
from tests.uplink.gateway import Listener, listening

SIGNER = FleetSigner()
ROOT = f"gateways/{GATEWAY}"
LONG = 30.0  # seconds for anything that should come about soon


async def signed(*question: str) -> bool:
    """In this process: the one of its own is tested by itself."""
    return check(*question) == VALID


class Fleet:
    """What the fleet says and hears."""

    def __init__(self, app: App, listener: Listener, http: Any) -> None:
        self.app = app
        self.http = http
        self.listener = listener

    def send(self, message: bytes, retain: bool = False) -> None:
        self.listener.publish(f"{ROOT}/desired", message, retain)

    async def sent(self, status: str, version: int, wanted: dict[str, Any], **members: Any) -> dict[str, Any]:
        """Desired state is sent; the report that it is of this status."""
        self.send(SIGNER.document(version, wanted, **members))
        return await self.report(version, status)

    def reports(self, version: int | None) -> list[dict[str, Any]]:
        return [each for each in self.listener.on(f"{ROOT}/reported") if each["version"] == version]

    def statuses(self, version: int | None) -> list[str]:
        return list(dict.fromkeys(each["status"] for each in self.reports(version)))

    async def report(self, version: int | None, status: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [each for each in self.reports(version) if each["status"] == status]

        try:
            await until(found, LONG)
        except TimeoutError:
            raise AssertionError(f"{version} is not {status}: {self.listener.on(f'{ROOT}/reported')}") from None
        return found()[-1]

    @property
    def level(self) -> str:
        return self.app.current.settings.logging.level


def settings(folder: Path, broker: Mosquitto, **more: Any) -> Path:
    sections: dict[str, Any] = {
        "gateway": {"id": GATEWAY, "state_dir": str(folder / "state")},
        "brokers": {"a": {"url": broker.url, "layout": "gateway"}},
        "fleet": {"broker": "a", "keys": [SIGNER.settings]},
        **more,
    }
    return written(folder, **sections)


@asynccontextmanager
async def fleet(config: Path, broker: Mosquitto) -> AsyncIterator[Fleet]:
    async with listening(broker.url, (f"{ROOT}/#",)) as listener, running(config) as (app, http):
        assert app.fleet.running is not None
        app.fleet.running.desired._admission._is_signed = signed
        await until(lambda: listener.on(f"{ROOT}/desired/get"), LONG)
        yield Fleet(app, listener, http)


def level(name: str) -> dict[str, Any]:
    return {"logging": {"level": name}}
