"""How far apart ports are looked at, by the commits that readings wait for and by the devices that there are."""

from __future__ import annotations

import logging
import random
from typing import Any

import pytest

from gatepost.agent.devices.link_factory import HardwareLinks
from gatepost.agent.settings.model import DeviceSettings, ThresholdSettings
from gatepost.drivers.driver import Registry
from gatepost.drivers.link import LinkEvents
from gatepost.drivers.serial.port.port_watch import STEP
from tests.devices.fakes import Commits


def nothing(*_: Any) -> None:
    return None


def links_of(commits: Commits | None, **settings: Any) -> Any:
    links = HardwareLinks(random.Random(1), logging.getLogger("test"), commits=commits)
    device = DeviceSettings(driver="lines", port="/dev/ttyX", **settings)
    connect, kind = links.get("serial"), Registry.installed().get("lines")
    assert connect is not None
    connect(device, kind(kind.options_type()), LinkEvents(nothing, nothing, nothing, nothing, None, nothing))
    links.adjust({"d": device})
    return links


def width(links: Any) -> float:
    return max(STEP, links._ports._wide())


@pytest.mark.parametrize(("interval", "wide"), [(0.0, STEP), (0.02, STEP), (0.05, 0.05), (0.1, 0.1), (1.0, STEP)])
def test_ports_are_read_with_the_commits_where_these_are_often_enough(interval: float, wide: float) -> None:
    commits = Commits(interval)
    links = links_of(commits)
    assert width(links) == wide
    assert len(commits.on_turn) == 1
    commits.interval = commits.left = 0.08  # the settings change while it runs
    assert width(links) == 0.08
    commits.left = 0.0  # what comes now would be written down at once
    assert width(links) == STEP


def test_where_a_reading_may_be_urgent_it_is_read_as_soon_as_ever() -> None:
    links = links_of(Commits(0.1), thresholds={"t": ThresholdSettings(max=1.0)})
    assert width(links) == STEP
    links.adjust({})
    assert width(links) == 0.1


def test_without_commits_to_wait_for_steps_are_as_ever() -> None:
    assert links_of(None)._ports._wide is None
