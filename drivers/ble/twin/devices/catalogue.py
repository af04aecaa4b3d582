"""The simulated devices by name: those of the drivers, and each broadcaster by its own."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from gatepost.drivers.ble.twin.peripheral import TwinPeripheral
from gatepost.drivers.ble.uuids import uuid

PACKAGE = "gatepost.drivers.ble.twin.devices."
DEVICES = {
    "ble": "monitor:MonitorTwin",
    "ble-blood-pressure": "blood_pressure:BloodPressureTwin",
    "ble-cgm": "cgm:CgmTwin",
    "ble-environment": "environment:EnvironmentTwin",
    "ble-glucose": "glucose:GlucoseTwin",
    "ble-heart-rate": "heart_rate:HeartRateTwin",
    "ble-airthings": "airthings:AirthingsTwin",
    "ble-aranet": "aranet:AranetTwin",
    "ble-inkbird": "meat_thermometer:MeatThermometerTwin",
    "ble-microlife": "microlife:MicrolifeTwin",
    "ble-movesense": "movesense:MovesenseTwin",
    "ble-omron": "omron:OmronTwin",
    "ble-oximeter": "fingertip:FingertipTwin",
    "ble-polar-h10": "polar:PolarH10Twin",
    "ble-pulse-oximeter": "oximeter:PulseOximeterTwin",
    "ble-thermometer": "thermometer:ThermometerTwin",
    "ble-scale": "makers_scale:MakersScaleTwin",
    "ble-viatom-bp2": "cuff_file:CuffFileTwin",
    "ble-viatom-o2": "ring:RingTwin",
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
    "mibeacon": "sealed_beacons:MiBeaconTwin",
    "victron": "sealed_beacons:VictronTwin",
    "ibeacon": "beacons:IBeaconTwin",
    "eddystone": "beacons:EddystoneTwin",
}
SEALED = ("bthome", "mibeacon", "victron")  # broadcasters that take a key
ADVERTISEMENT = "ble-advertisement"  # any of the broadcasters; by itself the first
# Devices of a driver that has another one for its name.
OTHERS = {
    "nonin-3230": ("nonin:NoninBleTwin", "ble-pulse-oximeter"),
    "user-scale": ("user_scale:UserScaleTwin", "ble-weight-scale"),
}
# Every name that is not that of a driver -> its driver.
VARIANTS = {**dict.fromkeys(BROADCASTERS, ADVERTISEMENT), **{name: driver for name, (_, driver) in OTHERS.items()}}
OPEN = frozenset(map(uuid, (0x180A, 0x180F, 0x1805)))  # what a device shows to everybody
NAMES = (*DEVICES, ADVERTISEMENT, *VARIANTS)


def make(name: str, seed: int = 0, **settings: Any) -> TwinPeripheral:
    """The device of this name; another seed is another individual. Raises KeyError."""
    places = {**DEVICES, **BROADCASTERS, ADVERTISEMENT: BROADCASTERS["bthome"]}
    place = OTHERS[name][0] if name in OTHERS else places.get(name, "")
    if not place:
        from gatepost.drivers.ble.twin.devices.table_beacon import TableBeaconTwin

        return TableBeaconTwin(name, seed)
    module, _, kind = place.partition(":")
    made: TwinPeripheral = getattr(import_module(PACKAGE + module), kind)(seed=seed, **settings)
    return made


def variant(name: str, seed: int, options: Any) -> TwinPeripheral:
    """One of VARIANTS that goes by the options of its driver."""
    key, user, consent = (getattr(options, each, None) for each in ("key", "user_index", "consent"))
    if name in SEALED and key:
        return make(name, seed, key=bytes.fromhex(key))
    if name == "user-scale" and user is not None and consent not in (None, ""):
        return make(name, seed, user=int(user), consent=int(consent))
    return make(name, seed)


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
    return VARIANTS.get(name, name)
