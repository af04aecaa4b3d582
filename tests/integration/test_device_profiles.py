"""Profiles of devices for formats: a token on a share that hangs holds up nobody."""

from __future__ import annotations

import threading
from typing import Any

from gatepost.agent.core.errors import SettingsWrong
from gatepost.agent.device_profiles import DeviceProfiles
from gatepost.agent.settings.model import CommandSettings, DeviceSettings, SecretRef, Settings
from gatepost.drivers.driver import Registry


class SomeDevices:
    def driver_of(self, name: str) -> Any:
        return Registry.installed().get("lines")

    def identity(self, name: str) -> dict[str, Any]:
        return {}


async def test_a_token_that_cannot_be_read_takes_the_commands_and_not_the_loop() -> None:
    threads = set[int]()

    def resolve(secret: Any) -> str | None:
        threads.add(threading.get_ident())
        if secret.file == "/gone":
            raise SettingsWrong("it is not there")
        if secret.file == "/share":
            raise TimeoutError("it hangs")
        return "words"

    tokens = {"a": None, "b": SecretRef(file="/good"), "c": SecretRef(file="/gone"), "d": SecretRef(file="/share")}
    devices = {name: DeviceSettings(driver="lines", token=token) for name, token in tokens.items()}
    settings = Settings(devices=devices, commands=CommandSettings(allow={"*": ["*"]}))
    profiles = DeviceProfiles(lambda: settings, SomeDevices(), resolve)  # type: ignore[arg-type]
    await profiles.read_tokens()
    found = dict(profiles)
    assert threading.get_ident() not in threads
    assert {name: each.token for name, each in found.items()} == {"a": None, "b": "words", "c": None, "d": None}
    assert {name for name, each in found.items() if each.commands} == {"a", "b"}
