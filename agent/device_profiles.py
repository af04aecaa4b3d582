"""Device profiles: the configured devices as payload formats see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gatepost.agent.commands.authorization import permitted
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.devices.command_executor import commands_of
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import Secret, Settings
from gatepost.agent.uplink.formats.interface import DeviceProfile

INFO = {  # what a device tells of itself -> the formats' word
    "manufacturer": ("manufacturer", "manufacturer_name"),
    "model": ("model", "model_number"),
    "serial": ("serial_number", "serial"),
    "firmware": ("firmware", "firmware_revision"),
    "hardware": ("hardware", "hardware_revision"),
}


def device_profiles(
    settings: Settings, devices: DeviceManager, resolve: Callable[[Secret | None], str | None]
) -> Mapping[str, DeviceProfile]:
    """By device id. Commands are those that anybody at a broker may give: none where they must be signed."""
    profiles = {}
    for name, device in settings.devices.items():
        driver = devices.driver_of(name)
        commands = commands_of(driver) if driver is not None else {}
        allowed = [each for each in commands if permitted(settings.commands.allow, name, each)]
        if settings.commands.signing.required:
            allowed = []
        try:
            token = resolve(device.token)
        except GatepostError:
            token, allowed = None, []  # commands for it are refused until the token can be read
        identity = devices.identity(name)
        info = {word: str(next(identity[key] for key in keys if identity.get(key)))
                for word, keys in INFO.items() if any(identity.get(key) for key in keys)}  # fmt: skip
        thresholds = {value: set_limits(limits) for value, limits in (device.thresholds or {}).items()}
        profiles[name] = DeviceProfile(
            driver=device.driver,
            label=device.label or "",
            address=device.address,
            token=token,
            thresholds=thresholds,
            commands=tuple(allowed),
            parameters={each: _parameters(commands[each].parameters) for each in allowed},
            info=info,
        )
    return profiles


def set_limits(limits: msgspec.Struct) -> dict[str, float]:
    """Those of `min` and `max` that the settings name."""
    return {name: value for name, value in msgspec.structs.asdict(limits).items() if value is not None}


def _parameters(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """Parameter name -> whether it is required."""
    return {field.encode_name: field.required for field in msgspec.structs.fields(kind)}
