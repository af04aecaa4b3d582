"""Device profiles: the configured devices as payload formats see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from gatepost.agent.commands.authorization import permitted
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.core.named_files import off_loop
from gatepost.agent.devices.command_executor import commands_of
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import Secret, SecretRef, Settings
from gatepost.agent.uplink.formats.interface import DeviceProfile

INFO = {  # what a device tells of itself -> the formats' word
    "manufacturer": ("manufacturer", "manufacturer_name"),
    "model": ("model", "model_number"),
    "serial": ("serial_number", "serial"),
    "firmware": ("firmware", "firmware_revision"),
    "hardware": ("hardware", "hardware_revision"),
}


class DeviceProfiles(Mapping[str, DeviceProfile]):
    """Profiles of the devices that are configured now, each made when asked for. Tokens are those that were read last:
    a file of one may lie on a share that hangs."""

    def __init__(
        self, settings: Callable[[], Settings], devices: DeviceManager, resolve: Callable[[Secret | None], str | None]
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._resolve = resolve
        self._tokens: dict[str, tuple[Secret, str]] = {}

    async def read_tokens(self) -> None:
        """Off the loop, all at once, and with a time limit."""
        devices = self._settings().devices
        for gone in self._tokens.keys() - devices.keys():
            del self._tokens[gone]
        await asyncio.gather(*(self._read(name, each.token) for name, each in devices.items()))

    async def _read(self, name: str, secret: Secret | None) -> None:
        token = secret if isinstance(secret, str) else None
        if isinstance(secret, SecretRef):
            with suppress(GatepostError, OSError):
                token = await off_loop(f"the token of {name}", partial(self._resolve, secret))
        self._tokens.pop(name, None)
        if secret is not None and token is not None:
            self._tokens[name] = secret, token

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings().devices)

    def __len__(self) -> int:
        return len(self._settings().devices)

    def __getitem__(self, name: str) -> DeviceProfile:
        """Commands are those that anybody at a broker may give: none where they must be signed."""
        settings, devices = self._settings(), self._devices
        device = settings.devices[name]
        driver = devices.driver_of(name)
        commands = commands_of(driver) if driver is not None else {}
        allowed = [each for each in commands if permitted(settings.commands.allow, name, each)]
        if settings.commands.signing.required:
            allowed = []
        secret, token = self._tokens.get(name, (None, None))
        if device.token != secret:
            token = None
            allowed = [] if device.token is not None else allowed  # refused until the token can be read
        identity = devices.identity(name)
        info = {word: str(next(identity[key] for key in keys if identity.get(key)))
                for word, keys in INFO.items() if any(identity.get(key) for key in keys)}  # fmt: skip
        return DeviceProfile(
            driver=device.driver,
            label=device.label or "",
            address=device.address,
            token=token,
            thresholds={value: set_limits(limits) for value, limits in (device.thresholds or {}).items()},
            commands=tuple(allowed),
            parameters={each: _parameters(commands[each].parameters) for each in allowed},
            info=info,
        )


def set_limits(limits: msgspec.Struct) -> dict[str, float]:
    """Those of `min` and `max` that the settings name."""
    return {name: value for name, value in msgspec.structs.asdict(limits).items() if value is not None}


def _parameters(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """Parameter name -> whether it is required."""
    return {field.encode_name: field.required for field in msgspec.structs.fields(kind)}
