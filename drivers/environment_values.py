"""Values of the metric catalogue that are not about the body: air, weather, motion, presence."""

from __future__ import annotations

from gatepost.drivers.catalogue import COUNT, PROCEDURE, SURROUNDINGS, TEXT, Metric, MetricValue, count, value, waveform

_TEMPERATURE = ("Cel", "[degF]")
_ACCELERATION = ("m[g]", "[g]", "m/s2")
_SPEED = ("m/s", "[kn_i]", "km/h", "[mi_i]/h")
_GASES = {
    "ammonia": "ammonia",
    "carbon_monoxide": "carbon monoxide",
    "nitrogen_dioxide": "nitrogen dioxide",
    "non_methane_voc": "volatile organic compounds without methane",
    "ozone": "ozone",
    "sulfur_dioxide": "sulfur dioxide",
    "sulfur_hexafluoride": "sulfur hexafluoride",
}

AIR = (
    value("temperature", "temperature", _TEMPERATURE, (), 188508, "MDC_TEMP_ROOM"),
    value("humidity", "relative humidity", "%"),
    value("pressure", "air pressure", ("hPa", "Pa", "bar", "[in_i'Hg]")),
    value("pressure_trend", "where the air pressure goes", kind=TEXT),
    value("dew_point", "dew point", _TEMPERATURE),
    value("heat_index", "heat index", _TEMPERATURE),
    value("wind_chill", "wind chill", _TEMPERATURE),
    value("co2", "carbon dioxide", "[ppm]"),
    value("tvoc", "volatile organic compounds", ("ug/m3", "[ppb]")),
    value("pm1", "particles up to 1 um", "ug/m3"),
    value("pm25", "particles up to 2.5 um", "ug/m3"),
    value("pm10", "particles up to 10 um", "ug/m3"),
    *(value(name, title, "ug/m3") for name, title in _GASES.items()),
    value("methane", "methane", "[ppb]"),
    value("noise", "loudness", "dB[SPL]"),
    value("pollen", "pollen", "/m3"),
)
WEATHER = (
    value("illuminance", "illuminance", "lx"),
    value("light_level", "level of light", kind=COUNT),
    value("irradiance", "irradiance", "W/m2"),
    value("uv_index", "UV index"),
    value("water_temperature", "temperature of the water", _TEMPERATURE),
    value("absolute_humidity", "absolute humidity", "%"),
    value("wind_speed", "wind speed", _SPEED),
    value("wind_angle", "wind from the bow or mark of the instrument", "deg"),
    value("wind_direction", "wind direction", "deg"),
    value("wind_direction_magnetic", "wind direction from magnetic north", "deg"),
    value("apparent_wind_speed", "apparent wind speed", _SPEED),
    value("apparent_wind_angle", "apparent wind from the bow or mark of the instrument", "deg"),
    value("apparent_wind_direction", "apparent wind direction", "deg"),
    value("gust_factor", "gust factor"),
    value("direction", "direction", "deg"),
    value("rainfall", "rainfall", "mm"),
    value("precipitation", "precipitation", "mm"),
    value("elevation", "elevation", "m"),
    value("magnetic_declination", "magnetic declination", "deg"),
    value("moisture", "moisture", "%"),
    value("conductivity", "conductivity", "uS/cm"),
)
SENSOR = (
    value("battery", "battery", "%", (), 67996, "MDC_ATTR_VAL_BATT_CHARGE"),
    value("battery_voltage", "voltage of the battery", ("V", "mV")),
    value("voltage", "voltage", ("V", "mV")),
    value("temperature_remote", "temperature of a second sensor", _TEMPERATURE),
    value("humidity_remote", "relative humidity of a second sensor", "%"),
    value("battery_remote", "battery of a second sensor", "%"),
    *(value(f"acceleration_{axis}", f"acceleration, {axis} axis", _ACCELERATION) for axis in "xyz"),
    count("movement", "movements counted"),
    count("sequence", "number of the measurement"),
    count("adverts", "advertisements since the start"),
    value("uptime", "time since the start", "s"),
)


def _axis(name: str) -> MetricValue:
    return waveform(name, f"{name} axis", _ACCELERATION)


SURROUNDING_METRICS = (
    Metric(
        "temperature",
        "temperature",
        (value("temperature", "temperature", _TEMPERATURE, (), 150344, "MDC_TEMP"),),
        kind=SURROUNDINGS,
    ),
    Metric("environment", "environment", (*AIR, *WEATHER, *SENSOR), kind=SURROUNDINGS),
    Metric(
        "acceleration",
        "acceleration",
        (count("lost_samples", "samples lost before this block"),),
        (_axis("x"), _axis("y"), _axis("z")),
        kind=PROCEDURE,
    ),
    Metric(
        "position",
        "position on the earth",
        (
            value("latitude", "latitude, north positive", "deg"),
            value("longitude", "longitude, east positive", "deg"),
            value("altitude", "altitude above mean sea level", "m"),
            value("speed", "speed over ground", ("[kn_i]", "m/s", "km/h")),
            value("course", "course over ground", "deg"),
            count("satellites", "satellites in use"),
            value("hdop", "dilution of precision"),
        ),
        kind=SURROUNDINGS,
    ),
    Metric(
        "presence",
        "a beacon is here",
        (
            value("signal_strength", "strength of the signal as heard", "dB[mW]"),
            value("tx_power", "strength of the signal at the distance of its format", "dB[mW]"),
            value("uuid", "identity of an iBeacon", kind=TEXT),
            count("major", "first number of an iBeacon"),
            count("minor", "second number of an iBeacon"),
            value("namespace", "namespace of an Eddystone", kind=TEXT),
            value("instance", "instance of an Eddystone", kind=TEXT),
            value("url", "address that an Eddystone tells", kind=TEXT),
        ),
        kind=SURROUNDINGS,
    ),
    Metric("event", "something happened", (), kind=SURROUNDINGS, momentary=True),
    Metric("state", "something changed", (), kind=SURROUNDINGS, momentary=True),
)
