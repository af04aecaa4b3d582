"""The objects of BTHome v2: what each id means, its size and factor, and where it belongs (bthome.io/format).

A number is value = raw * times / per, which is exactly the decimal that is meant.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

AIR = "environment"  # the metrics
OTHER = "reading"
STATE, EVENT, STATUS, TIME = "state", "event", "told", "time"  # handled on their own

TEXT, RAW, VERSION = "text", "raw", "version"  # forms that are no numbers


class BtHomeKind(NamedTuple):
    """Kind of object, by its id. `name` is its own; `value` and `unit` (UCUM) are those of the reading."""

    name: str
    size: int
    per: int
    unit: str
    value: str
    place: str = OTHER
    signed: bool = False
    times: int = 1
    form: str = ""


def _state(name: str, value: str) -> BtHomeKind:
    return BtHomeKind(name, 1, 1, "", value, STATE)


KINDS = MappingProxyType(
    {
        0x00: BtHomeKind("packet_id", 1, 1, "", "packet_id", STATUS),
        0x01: BtHomeKind("battery", 1, 1, "%", "battery", STATUS),
        0x02: BtHomeKind("temperature", 2, 100, "Cel", "temperature", AIR, signed=True),
        0x03: BtHomeKind("humidity", 2, 100, "%", "humidity", AIR),
        0x04: BtHomeKind("pressure_hpa", 3, 100, "hPa", "pressure", AIR),
        0x05: BtHomeKind("illuminance", 3, 100, "lx", "illuminance", AIR),
        0x06: BtHomeKind("mass_kg", 2, 100, "kg", "mass"),
        0x07: BtHomeKind("mass_lb", 2, 100, "[lb_av]", "mass"),
        0x08: BtHomeKind("dew_point", 2, 100, "Cel", "dew_point", AIR, signed=True),
        0x09: BtHomeKind("count", 1, 1, "", "count"),
        0x0A: BtHomeKind("energy_kwh", 3, 1000, "kW.h", "energy"),
        0x0B: BtHomeKind("power_w", 3, 100, "W", "power"),
        0x0C: BtHomeKind("voltage_v", 2, 1000, "V", "voltage"),
        0x0D: BtHomeKind("pm25", 2, 1, "ug/m3", "pm25", AIR),
        0x0E: BtHomeKind("pm10", 2, 1, "ug/m3", "pm10", AIR),
        0x0F: _state("generic", "on"),
        0x10: _state("power", "power_on"),
        0x11: _state("opening", "open"),
        0x12: BtHomeKind("co2", 2, 1, "[ppm]", "co2", AIR),
        0x13: BtHomeKind("tvoc", 2, 1, "ug/m3", "tvoc", AIR),
        0x14: BtHomeKind("moisture", 2, 100, "%", "moisture", AIR),
        0x15: _state("battery_low", "battery_low"),
        0x16: _state("battery_charging", "battery_charging"),
        0x17: _state("carbon_monoxide", "carbon_monoxide"),
        0x18: _state("cold", "cold"),
        0x19: _state("connectivity", "connected"),
        0x1A: _state("door", "door_open"),
        0x1B: _state("garage_door", "garage_door_open"),
        0x1C: _state("gas", "gas_detected"),
        0x1D: _state("heat", "hot"),
        0x1E: _state("light", "light_detected"),
        0x1F: _state("lock", "unlocked"),
        0x20: _state("moisture", "wet"),
        0x21: _state("motion", "motion"),
        0x22: _state("moving", "moving"),
        0x23: _state("occupancy", "occupied"),
        0x24: _state("plug", "plugged_in"),
        0x25: _state("presence", "present"),
        0x26: _state("problem", "problem"),
        0x27: _state("running", "running"),
        0x28: _state("safety", "safe"),
        0x29: _state("smoke", "smoke"),
        0x2A: _state("sound", "sound"),
        0x2B: _state("tamper", "tampered"),
        0x2C: _state("vibration", "vibration"),
        0x2D: _state("window", "window_open"),
        0x2E: BtHomeKind("humidity", 1, 1, "%", "humidity", AIR),
        0x2F: BtHomeKind("moisture", 1, 1, "%", "moisture", AIR),
        0x3A: BtHomeKind("button", 1, 1, "", "button", EVENT),
        0x3C: BtHomeKind("dimmer", 2, 1, "", "dimmer", EVENT),
        0x3D: BtHomeKind("count", 2, 1, "", "count"),
        0x3E: BtHomeKind("count", 4, 1, "", "count"),
        0x3F: BtHomeKind("rotation", 2, 10, "deg", "rotation", signed=True),
        0x40: BtHomeKind("distance_mm", 2, 1, "mm", "distance"),
        0x41: BtHomeKind("distance_m", 2, 10, "m", "distance"),
        0x42: BtHomeKind("duration_s", 3, 1000, "s", "duration"),
        0x43: BtHomeKind("current_a", 2, 1000, "A", "current"),
        0x44: BtHomeKind("speed", 2, 100, "m/s", "speed"),
        0x45: BtHomeKind("temperature", 2, 10, "Cel", "temperature", AIR, signed=True),
        0x46: BtHomeKind("uv_index", 1, 10, "", "uv_index", AIR),
        0x47: BtHomeKind("volume_l", 2, 10, "L", "volume"),
        0x48: BtHomeKind("volume_ml", 2, 1, "mL", "volume"),
        0x49: BtHomeKind("flow_m3_h", 2, 1000, "m3/h", "flow"),
        0x4A: BtHomeKind("voltage_v", 2, 10, "V", "voltage"),
        0x4B: BtHomeKind("gas_m3", 3, 1000, "m3", "gas"),
        0x4C: BtHomeKind("gas_m3", 4, 1000, "m3", "gas"),
        0x4D: BtHomeKind("energy_kwh", 4, 1000, "kW.h", "energy"),
        0x4E: BtHomeKind("volume_l", 4, 1000, "L", "volume"),
        0x4F: BtHomeKind("water_l", 4, 1000, "L", "water"),
        0x50: BtHomeKind("timestamp", 4, 1, "", "timestamp", TIME),
        0x51: BtHomeKind("acceleration", 2, 1000, "m/s2", "acceleration"),
        0x52: BtHomeKind("gyroscope", 2, 1000, "deg/s", "gyroscope"),
        0x53: BtHomeKind("text", 0, 1, "", "text", form=TEXT),
        0x54: BtHomeKind("raw", 0, 1, "", "raw", form=RAW),
        0x55: BtHomeKind("volume_storage_l", 4, 1000, "L", "volume_storage"),
        0x56: BtHomeKind("conductivity", 2, 1, "uS/cm", "conductivity", AIR),
        0x57: BtHomeKind("temperature", 1, 1, "Cel", "temperature", AIR, signed=True),
        0x58: BtHomeKind("temperature", 1, 100, "Cel", "temperature", AIR, signed=True, times=35),
        0x59: BtHomeKind("count", 1, 1, "", "count", signed=True),
        0x5A: BtHomeKind("count", 2, 1, "", "count", signed=True),
        0x5B: BtHomeKind("count", 4, 1, "", "count", signed=True),
        0x5C: BtHomeKind("power_w", 4, 100, "W", "power", signed=True),
        0x5D: BtHomeKind("current_a", 2, 1000, "A", "current", signed=True),
        0x5E: BtHomeKind("direction", 2, 100, "deg", "direction", AIR),
        0x5F: BtHomeKind("precipitation", 2, 10, "mm", "precipitation", AIR),
        0x60: BtHomeKind("channel", 1, 1, "", "channel"),
        0x61: BtHomeKind("rotational_speed", 2, 1, "/min", "rotational_speed"),
        0x62: BtHomeKind("speed", 4, 1_000_000, "m/s", "speed", signed=True),
        0x63: BtHomeKind("acceleration", 4, 1_000_000, "m/s2", "acceleration", signed=True),
        0x64: BtHomeKind("light_level", 1, 1, "", "light_level", AIR),
        0x65: BtHomeKind("settings_revision", 1, 1, "", "settings_revision", STATUS),
        0xF0: BtHomeKind("device_type", 2, 1, "", "device_type", STATUS),
        0xF1: BtHomeKind("firmware_version", 4, 1, "", "firmware", STATUS, form=VERSION),
        0xF2: BtHomeKind("firmware_version", 3, 1, "", "firmware", STATUS, form=VERSION),
    }
)

BUTTON = MappingProxyType(
    {
        0x01: "press",
        0x02: "double-press",
        0x03: "triple-press",
        0x04: "long-press",
        0x05: "long-double-press",
        0x06: "long-triple-press",
        0x80: "hold",
        0x81: "hold-release",
    }
)
DIMMER = MappingProxyType({0x01: "rotate-left", 0x02: "rotate-right"})
