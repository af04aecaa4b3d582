"""The formats of advertisements: which service data and which company's data each is found in.

A format's module is loaded when its first advertisement is heard. `recognise` says what a scan has found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid

KEY_WANTED = "put its 32 hex digits here"  # no valid key, so that nobody overlooks it


class AdvertFormat(NamedTuple):
    """One place where a payload is found. `name` is the driver's option; more than one place may have the same.

    `presence`: it says who is there, and is left to itself while a sensor speaks.
    """

    name: str
    title: str
    module: str
    key: str | int  # UUID of the service data, or company id of the manufacturer data
    presence: bool = False
    fits_with: str = "fits"
    interpret_with: str = "interpret"
    seals: bool = False  # it has an encrypted form
    company: bool = False  # the decoder wants to know the company id
    varies: bool = False  # it sends different things in turn, each repeated on its own

    def interpret(self, data: bytes, sender: AdvertSender) -> DecodedAdvert:
        """Decode the payload; FrameError."""
        module = load(self.module)
        more = (self.key,) if self.company else ()
        interpret: Callable[..., DecodedAdvert] = getattr(module, self.interpret_with)
        return interpret(data, sender, *more)

    def fits(self, data: bytes) -> bool:
        """True if it can be this format at all; says nothing of its content."""
        module = load(self.module)
        more = (self.key,) if self.company else ()
        return bool(getattr(module, self.fits_with)(data, *more))

    def variant(self, data: bytes) -> int:
        """Which of the things that it sends in turn."""
        return int(load(self.module).variant(data)) if self.varies else 0

    def sealed(self, data: bytes) -> bool:
        """True if this payload is encrypted."""
        return self.seals and bool(load(self.module).sealed(data))


@cache
def load(module: str) -> ModuleType:
    return import_module(f"gatepost.drivers.ble.adverts.{module}")


def _formats() -> Iterator[AdvertFormat]:
    yield AdvertFormat("bthome", "BTHome v2 sensor", "bthome", uuid(0xFCD2), seals=True, varies=True)
    yield AdvertFormat("ruuvi", "RuuviTag", "ruuvi", 0x0499)
    yield AdvertFormat("atc", "Xiaomi thermometer with custom firmware", "atc", uuid(0x181A), seals=True)
    for company in (0xEC88, 0x0001, 0x8801):
        yield AdvertFormat("govee", "Govee thermometer", "govee", company, company=True, varies=company == 0x0001)
    yield AdvertFormat("mi-scale", "Mi Smart Scale", "mi_scale", uuid(0x181D))
    yield AdvertFormat(
        "mi-scale",
        "Mi Body Composition Scale",
        "mi_scale",
        uuid(0x181B),
        fits_with="fits_body",
        interpret_with="interpret_body",
    )
    yield AdvertFormat("eddystone", "Eddystone beacon", "eddystone", uuid(0xFEAA), presence=True, varies=True)
    yield AdvertFormat("ibeacon", "iBeacon", "ibeacon", 0x004C, presence=True)


FORMATS = tuple(_formats())
NAMES = tuple(dict.fromkeys(form.name for form in FORMATS))


class AdvertPayload(NamedTuple):
    """A payload in a place that some format has."""

    form: AdvertFormat
    data: bytes


class RecognisedAdvert(NamedTuple):
    """A format that a scan has found, and the options of the driver `ble-advertisement` for it."""

    format: str
    title: str
    options: dict[str, Any]


class AdvertFilter:
    """The cheap first look: adverts without a place of a wanted format cost two dictionary walks and nothing else."""

    def __init__(self, wanted: str = "auto") -> None:
        """`wanted`: a name of NAMES, or auto for all."""
        chosen = [form for form in FORMATS if wanted in ("auto", form.name)]
        self._places: dict[str | int, AdvertFormat] = {form.key: form for form in chosen}

    def payloads(self, advert: ReceivedAdvert) -> list[AdvertPayload]:
        """Payloads in a place of a wanted format; not yet checked to fit it."""
        find = self._places.get
        payloads: list[AdvertPayload] = []
        for service, data in advert.service_data.items():
            if (form := find(service)) is not None:
                payloads.append(AdvertPayload(form, data))
        for company, data in advert.manufacturer_data.items():
            if (form := find(company)) is not None:
                payloads.append(AdvertPayload(form, data))
        return payloads


_ALL = AdvertFilter()


def recognise(advert: ReceivedAdvert) -> list[RecognisedAdvert]:
    """Formats that `ble-advertisement` can decode, sensors before beacons; empty for everything else."""
    fitting = [payload for payload in _ALL.payloads(advert) if payload.form.fits(payload.data)]
    fitting.sort(key=lambda payload: payload.form.presence)
    recognised: dict[str, RecognisedAdvert] = {}
    for form, data in fitting:
        if form.sealed(data):
            title, options = f"{form.title}, encrypted", {"format": form.name, "key": KEY_WANTED}
        else:
            title, options = form.title, {"format": form.name}
        recognised.setdefault(form.name, RecognisedAdvert(form.name, title, options))
    return list(recognised.values())
