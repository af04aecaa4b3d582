"""Weight readings: a number with the unit of the display -> a reading, for scales of all makes."""

from __future__ import annotations

from collections.abc import Iterable

from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reading

MASSES = {  # UCUM; everything else is never a weight
    "g": "g",
    "kg": "kg",
    "mg": "mg",
    "ug": "ug",
    "t": "t",
    "lb": "[lb_av]",
    "oz": "[oz_av]",
    "ozt": "[oz_tr]",
    "st": "[stone_av]",
}
PIECES, CARAT = ("count", "{pieces}"), ("carat", "[car_m]")
OTHERS = {"PC": PIECES, "PCS": PIECES, "pcs": PIECES, "%": ("percent", "%"), "ct": CARAT}


def weight_reading(
    metric: str,
    value: float | int | None,
    unit: str | None,
    *,
    why: str = "over-range",
    unstable: bool = False,
    remarks: Iterable[str] = (),
) -> Reading:
    """A weight under `metric` in its unit; anything that is no mass under metric `reading`. Without a value `why` says
    why there is none."""
    known = unit is None and value is None
    if known or unit in MASSES:
        name, ucum = "weight", MASSES.get(unit or "", "")
    else:
        metric = "reading"
        name, ucum = OTHERS.get(unit or "", ("value", ""))
    if value is None:
        return Reading(metric, {}, {}, (f"{name}:{why}", *remarks), BAD)
    flags = [f"{name}:unstable"] if unstable else []
    if name == "value":
        flags.append("unit-unknown")
    return Reading(
        metric, {name: value}, {name: ucum} if ucum else {}, (*flags, *remarks), UNCERTAIN if unstable else GOOD
    )


def number(text: str) -> int | float | None:
    """A number as scales print it: sign and blanks before it, point or comma; None when it is none."""
    text = text.strip()
    sign, digits = (text[0], text[1:].lstrip()) if text[:1] in ("+", "-") else ("", text)
    digits = digits.replace(",", ".", 1)
    whole, point, part = digits.partition(".")
    if not (whole + part).isascii() or not (whole + part).isdigit():
        return None
    signed = ("-" if sign == "-" else "") + digits
    return float(signed) if point else int(signed)
