"""The simulated devices by name: those of the drivers, and each broadcaster by its own."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from drivers.ble.twin.peripheral import TwinPeripheral
from drivers.ble.uuids import uuid

HERE = "drivers.ble.twin.devices."
DEVICES = {
    "ble": "monitor:MonitorTwin",
    "ble-blood-pressure": "blood_pressure:BloodPressureTwin",
    "ble-cgm": "cgm:CgmTwin",
    "ble-environment": "environment:EnvironmentTwin",
    "ble-glucose": "glucose:GlucoseTwin",
    "ble-heart-rate": "heart_rate:HeartRateTwin",
    "ble-polar-h10": "polar:PolarH10Twin",
    "ble-pulse-oximeter": "oximeter:PulseOximeterTwin",
    "ble-thermometer": "thermometer:ThermometerTwin",
    "ble-weight-scale": "scale:WeightScaleTwin",
}
BROADCASTERS = {
    "bthome": "beacons:BTHomeTwin",
    "ruuvi": "beacons:RuuviTwin",
    "atc": "beacons:AtcTwin",
    "pvvx": "beacons:PvvxTwin",
    "govee": "beacons:GoveeTwin",
    "mi-scale": "beacons:MiScaleTwin",
    "mi-body-scale": "beacons:MiBodyScaleTwin",
    "ibeacon": "beacons:IBeaconTwin",
    "eddystone": "beacons:EddystoneTwin",
}
ADVERTISEMENT = "ble-advertisement"  # any of the broadcasters; by itself the first
OPEN = frozenset(map(uuid, (0x180A, 0x180F, 0x1805)))  # what a device shows to everybody
NAMES = (*DEVICES, ADVERTISEMENT, *BROADCASTERS)


def make(name: str, seed: int = 0, **settings: Any) -> TwinPeripheral:
    """The device of this name; another seed is another individual. Raises KeyError."""
    place = {**DEVICES, **BROADCASTERS, ADVERTISEMENT: BROADCASTERS["bthome"]}[name]
    module, _, kind = place.partition(":")
    made: TwinPeripheral = getattr(import_module(HERE + module), kind)(seed=seed, **settings)
    return made


def secure(device: TwinPeripheral, passkey: int | None = None) -> TwinPeripheral:
    """Its own services need an encrypted link; bonding by Just Works, or by the passkey on its label."""
    if passkey is not None:
        device.pairing, device.passkey = "passkey", passkey
    for service in device.services:
        for characteristic in service.characteristics:
            characteristic.encrypted = service.uuid not in OPEN
    return device


def driver_of(name: str) -> str:
    """The driver that speaks to it."""
    return ADVERTISEMENT if name in BROADCASTERS else name
