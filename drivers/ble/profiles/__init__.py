"""The profiles by the service that they are for; each is loaded when a device shows it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from gatepost.drivers.ble.gatt import nonin, pmd
from gatepost.drivers.ble.profile import GattProfile
from gatepost.drivers.ble.uuids import uuid

# In the order in which they are asked: who may see what, live values, stored records.
BY_SERVICE = {
    uuid(0x180F): "battery:BatteryProfile",
    uuid(0x181C): "user_data:UserDataProfile",
    uuid(0x180D): "heart_rate:HeartRateProfile",
    uuid(0x1810): "blood_pressure:BloodPressureProfile",
    uuid(0x1809): "thermometer:ThermometerProfile",
    uuid(0x181D): "weight_scale:WeightScaleProfile",
    uuid(0x181B): "body_composition:BodyCompositionProfile",
    nonin.SERVICE: "nonin:NoninProfile",
    uuid(0x1822): "pulse_oximeter:PulseOximeterProfile",
    uuid(0x181A): "environment:EnvironmentProfile",
    pmd.SERVICE: "polar:PolarProfile",
    uuid(0x1808): "glucose:GlucoseProfile",
    uuid(0x181F): "cgm:CgmProfile",
}


def profile(service: str) -> type[GattProfile] | None:
    """The profile of a service (full UUID); None = there is none."""
    place = BY_SERVICE.get(service)
    if place is None:
        return None
    module, _, name = place.partition(":")
    profile_class: type[GattProfile] = getattr(import_module(f"gatepost.drivers.ble.profiles.{module}"), name)
    return profile_class


def profiles(services: Iterable[str], brought: Iterable[type[GattProfile]] = ()) -> list[type[GattProfile]]:
    """Profiles of a device that shows these services, in their order; without those that another one replaces.
    `brought`: profiles that a driver has of its own, which come first."""
    shown = set(services)
    classes = [kind for kind in brought if kind.service in shown]
    shown -= {kind.service for kind in classes}
    classes += [kind for service in BY_SERVICE if service in shown and (kind := profile(service)) is not None]
    poorer = {service for kind in classes for service in kind.instead_of}
    return [kind for kind in classes if kind.service not in poorer]
