"""Fixtures of desired state: a broker, and an agent in a fleet that looks often."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gatepost.agent.fleet import desired_settings
from tests.desired.box import Fleet, fleet, settings
from tests.uplink.broker import Mosquitto
from tests.uplink.broker import running as serving


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gp-") as directory:
        yield Path(directory)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desired_settings, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(desired_settings, "WELL_FOR", 0.1)


@pytest.fixture
async def broker(folder: Path) -> AsyncIterator[Mosquitto]:
    async with serving(Mosquitto(folder / "broker")) as one:
        yield one


@pytest.fixture
async def box(folder: Path, broker: Mosquitto) -> AsyncIterator[Fleet]:
    async with fleet(settings(folder, broker), broker) as one:
        yield one
