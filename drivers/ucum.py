"""Units in UCUM (ucum.org): whether a text can be one, and what people write in their place."""

from __future__ import annotations

from collections.abc import Iterator

from gatepost.drivers.options import OptionProblem

# As on a display or a data sheet -> the code that is meant. `C` and `F` are codes, of coulomb and farad.
MEANT = {
    "°C": "Cel",
    "℃": "Cel",
    "C": "Cel",
    "degC": "Cel",
    "celsius": "Cel",
    "Celsius": "Cel",
    "°F": "[degF]",
    "℉": "[degF]",
    "F": "[degF]",
    "degF": "[degF]",
    "°": "deg",
    "mmHg": "mm[Hg]",
    "cmH2O": "cm[H2O]",
    "inHg": "[in_i'Hg]",
    "psi": "[psi]",
    "bpm": "/min",
    "rpm": "/min",
    "ppm": "[ppm]",
    "ppb": "[ppb]",
    "percent": "%",
    "lb": "[lb_av]",
    "lbs": "[lb_av]",
    "oz": "[oz_av]",
    "in": "[in_i]",
    "ft": "[ft_i]",
    "mph": "[mi_i]/h",
    "kn": "[kn_i]",
    "kt": "[kn_i]",
    "kph": "km/h",
    "kWh": "kW.h",
    "Wh": "W.h",
    "mAh": "mA.h",
    "Ah": "A.h",
    "dBm": "dB[mW]",
    "lux": "lx",
    "ohm": "Ohm",
    "sec": "s",
}
# Micro sign and Greek mu, ohm sign and Greek omega: keyboards have either.
LETTERS = str.maketrans({"\u00b5": "u", "\u03bc": "u", "²": "2", "³": "3", "\u03a9": "Ohm", "\u2126": "Ohm"})


def is_code(unit: str) -> bool:
    """Whether it is written as codes are: ASCII, without blanks."""
    return unit.isascii() and unit.isprintable() and " " not in unit


def unit_problem(unit: str | None, path: tuple[str, ...]) -> Iterator[OptionProblem]:
    """A warning where a unit of the settings is no code, or hardly the one that is meant."""
    if not unit:
        return
    code = MEANT.get(unit, unit.translate(LETTERS))
    if code == unit and is_code(unit):
        return
    hint = f"write {code}" if is_code(code) else "ucum.org lists them: Cel, %, mm[Hg], /min"
    yield OptionProblem(f"{unit} is not the UCUM code of a unit", path, path[:1], hint, warning=True)
