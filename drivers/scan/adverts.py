"""One BLE advertisement -> what it is, which driver is for it, and with which options. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from gatepost.drivers.ble.adverts.formats import FORMATS, KEY_WANTED, RecognisedAdvert, recognise
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.profiles import profiles
from gatepost.drivers.ble.uuids import short, uuid
from gatepost.drivers.driver import Driver, Registry

ADVERTISEMENT, ANY = "ble-advertisement", "ble"
GENERIC = frozenset(map(uuid, (0x1800, 0x1801, 0x180A)))  # what every device shows
# Services that modules of many makers show, whatever they are in.
SHARED = frozenset((*map(uuid, (0xFFB0, 0xFFE0, 0xFFF0, 0xFF12)), "6e400001-b5a3-f393-e0a9-e50e24dcca9e"))
PRESENCE = frozenset(form.name for form in FORMATS if form.presence)


class SeenAdvert(NamedTuple):
    """`driver` is None where none fits; `needs` is what a person must add to the options."""

    what: str
    driver: str | None = None
    options: dict[str, Any] = {}  # noqa: RUF012  # a NamedTuple, never changed
    needs: str = ""


def describe(advert: ReceivedAdvert, registry: Registry) -> SeenAdvert:
    """Sensors that broadcast before profiles that want a connection, those before beacons."""
    broadcast = recognise(advert) if ADVERTISEMENT in registry else []
    sensors = [one for one in broadcast if one.format not in PRESENCE]
    if sensors:
        return _broadcast(sensors[0])
    kinds = [kind for kind in profiles(advert.services) if not kind.helper]
    named = _by_name(advert.name, registry)
    if named is not None and kinds and not _handled(named) & set(advert.services):
        named = None  # a maker's name on a device that shows a standard service
    if named is None and not kinds:
        named = _by_own_service(advert.services, registry)
    if kinds or named is not None:
        titles = ", ".join(kind.title for kind in kinds) if kinds else named.title if named else ""
        driver = named.name if named is not None else _for({kind.service for kind in kinds}, registry)
        return SeenAdvert(titles, driver)
    if broadcast:
        return _broadcast(broadcast[0])
    return SeenAdvert(_unknown(advert))


def _broadcast(found: RecognisedAdvert) -> SeenAdvert:
    options = {name: value for name, value in found.options.items() if value != KEY_WANTED}
    needs = "key" if len(options) < len(found.options) else ""
    return SeenAdvert(found.title, ADVERTISEMENT, options, needs)


def _by_name(name: str, registry: Registry) -> type[Driver] | None:
    """For devices that do not say in their advertisements what they are."""
    for driver in _ble_drivers(registry):
        if name and any(name.startswith(start) for start in driver.scan_hints.names):
            return driver
    return None


def _by_own_service(services: Iterable[str], registry: Registry) -> type[Driver] | None:
    """The driver that alone handles a service of a maker; none for services that many makers use."""
    for service in services:
        fitting = [driver for driver in _ble_drivers(registry) if service in getattr(driver, "services", ())]
        if len(fitting) == 1 and service not in SHARED:
            return fitting[0]
    return None


def _for(services: set[str], registry: Registry) -> str | None:
    """The driver that handles all of them, the most special one; `ble` where none does."""
    fitting = []
    for driver in _ble_drivers(registry):
        handled = _handled(driver)
        if services & set(getattr(driver, "services", ())) and services <= handled:
            fitting.append((len(handled), driver.name))
    if fitting:
        return min(fitting)[1]
    return ANY if ANY in registry else None


def _handled(driver: type[Driver]) -> set[str]:
    return {*getattr(driver, "services", ()), *getattr(driver, "companions", ())}


def _ble_drivers(registry: Registry) -> list[type[Driver]]:
    found = []
    for name in registry.names:
        try:
            driver = registry.get(name)
        except Exception:  # noqa: S112  # a driver of another package that cannot be loaded fits nothing
            continue
        if driver.transport == "ble":
            found.append(driver)
    return found


def _unknown(advert: ReceivedAdvert) -> str:
    shown = [short(service) for service in advert.services if service not in GENERIC]
    shown += [short(service) for service in advert.service_data if short(service) not in shown]
    if shown:
        return f"services {', '.join(shown[:4])}" + (", ..." if len(shown) > 4 else "")
    companies = [f"{company:04x}" for company in advert.manufacturer_data]
    return f"data of company {', '.join(companies[:2])}" if companies else ""
