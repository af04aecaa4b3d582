"""Ports and addresses that are configured already, from the settings and from a running agent."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import connected, load_settings
from gatepost.client import GatewayError, NoAgent

_ADDRESS = re.compile(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}")


class ConfiguredDevice(NamedTuple):
    """A configured device. `status` as the agent says it; "" = only the settings know it. `identity`: the Bluetooth
    address that the agent knows beside."""

    id: str
    driver: str
    port: str = ""
    address: str = ""
    name: str = ""
    status: str = ""
    identity: str = ""

    def __str__(self) -> str:
        return f"{self.id} ({self.status})" if self.status else self.id

    @property
    def words(self) -> dict[str, str]:
        """For JSON."""
        return {"id": self.id, "driver": self.driver, "status": self.status}


class ConfiguredDevices(NamedTuple):
    """`broken`: there are settings, and they do not hold; `agent`: one answers."""

    devices: list[ConfiguredDevice]
    broken: bool
    agent: bool
    notes: list[str]

    @property
    def ids(self) -> set[str]:
        return {device.id for device in self.devices}

    def at_port(self, path: str) -> ConfiguredDevice | None:
        """Who has this port, under whatever name."""
        real = _real(path)
        return next((device for device in self.devices if device.port and _real(device.port) == real), None)

    def in_the_air(self, address: str, name: str) -> ConfiguredDevice | None:
        """Who means this peripheral."""
        from gatepost.drivers.ble.stack.device_filter import DeviceFilter

        for device in self.devices:
            wanted = DeviceFilter.of(device.address, device.name)
            if device.identity and address.upper() == device.identity:
                return device
            if device.identity and wanted.name:
                continue  # another one of that name
            if (wanted.address or wanted.name) and wanted.matches(address, "", name):
                return device
        return None


def configured(socket: Path | None, config: Path | None) -> ConfiguredDevices:
    """The agent's word counts before that of the settings; neither needs to be there."""
    main = config or default_config()
    loaded = load_settings(main)
    found: dict[str, ConfiguredDevice] = {}
    notes: list[str] = []
    settings = loaded.settings
    if settings is None and loaded.files:
        notes.append(
            f"the settings {main} are invalid, so it is not known what they configure; `gatepost check` says why"
        )
    for name, device in (settings.devices if settings is not None else {}).items():
        found[name] = ConfiguredDevice(
            name, device.driver, device.port or "", str(device.address or ""), device.name or ""
        )
    agent = True
    try:
        views = connected(socket, config).devices()["devices"]
    except NoAgent as error:
        agent, views = False, []
        if error.why == "permission":
            notes.append(f"{error.message}: {error.hint}")
    except GatewayError as error:
        views = []
        notes.append(f"the running agent could not be asked: {error.message}")
    for view in views:
        found[view["id"]] = _running(view)
    return ConfiguredDevices(list(found.values()), settings is None and bool(loaded.files), agent, notes)


def _running(view: Mapping[str, Any]) -> ConfiguredDevice:
    place = str(view.get("port") or "")
    status = str(view.get("status") or "?")
    identity = str(view.get("address") or "")
    if _ADDRESS.fullmatch(place):
        return ConfiguredDevice(view["id"], view["driver"], "", place, "", status, identity)
    if str(view["driver"]).startswith("ble") and "/" not in place:
        return ConfiguredDevice(view["id"], view["driver"], "", "", place, status, identity)
    return ConfiguredDevice(view["id"], view["driver"], place, "", "", status)


def _real(path: str) -> str:
    if "://" in path:
        return path
    if path.startswith("/sys/bus/w1/") or "/" not in path:  # a 1-wire sensor, by any of its names
        return path.rstrip("/").removesuffix("/w1_slave").rpartition("/")[2]
    return os.path.realpath(path)
