"""Units and device classes of Home Assistant sensors, by value name and UCUM unit.

Source: Home Assistant core 2026.2, components/sensor/const.py. A class is given only where its units allow it: Home
Assistant refuses a component whose unit does not fit its class.
"""

from __future__ import annotations

# UCUM -> as Home Assistant writes it; every other unit goes as it is.
UNITS = {
    "mm[Hg]": "mmHg",
    "/min": "bpm",
    "Cel": "°C",
    "[degF]": "°F",
    "[lb_av]": "lb",
    "[oz_av]": "oz",
    "[in_i]": "in",
    "kg/m2": "kg/m²",
    "Ohm": "Ω",
    "[ppm]": "ppm",
    "[ppb]": "ppb",
    "ug/m3": "\u03bcg/m³",  # with U+03BC, as Home Assistant spells it
    "dB[mW]": "dBm",
}
BREATHS = "breaths/min"

TEMPERATURES = {"Cel", "[degF]"}
# value name -> device class, and the UCUM units with which it may stand
CLASSES: dict[str, tuple[str, set[str]]] = {
    "temperature": ("temperature", TEMPERATURES),
    "glucose": ("blood_glucose_concentration", {"mg/dL", "mmol/L"}),
    "weight": ("weight", {"kg", "g", "[lb_av]", "[oz_av]"}),
    "height": ("distance", {"cm", "m", "[in_i]"}),
    "humidity": ("humidity", {"%"}),
    "pressure": ("atmospheric_pressure", {"hPa", "kPa", "Pa"}),
    "co2": ("carbon_dioxide", {"[ppm]"}),
    "co": ("carbon_monoxide", {"[ppm]"}),
    "tvoc": ("volatile_organic_compounds_parts", {"[ppb]", "[ppm]"}),
    "pm1": ("pm1", {"ug/m3"}),
    "pm25": ("pm25", {"ug/m3"}),
    "pm10": ("pm10", {"ug/m3"}),
    "illuminance": ("illuminance", {"lx"}),
    "voltage": ("voltage", {"V", "mV"}),
    "current": ("current", {"A", "mA"}),
    "power": ("power", {"W", "kW"}),
    "moisture": ("moisture", {"%"}),
    "battery": ("battery", {"%"}),
    "signal_strength": ("signal_strength", {"dB[mW]"}),
}
MASSES = {"kg", "g", "[lb_av]", "[oz_av]"}


def sensor_unit(name: str, unit: str | None) -> tuple[str, str]:
    """(unit text, device class), "" where there is none."""
    if unit is None:
        return "", ""
    text = BREATHS if (name, unit) == ("respiration_rate", "/min") else UNITS.get(unit, unit)
    if unit == "/min" and name not in ("heart_rate", "respiration_rate"):
        text = unit
    device_class, units = CLASSES.get(name, ("", set()))
    if unit in units:
        return text, device_class
    return text, "weight" if name.endswith("_mass") and unit in MASSES else ""
