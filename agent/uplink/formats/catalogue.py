"""Catalogue of payload formats: built-in ones and those that other packages bring, loaded when a broker uses them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from gatepost.agent.core.errors import NotFound
from gatepost.agent.uplink.formats.interface import PayloadFormat

GROUP = "gatepost.formats"  # entry points of other packages
DEVICES = "devices"  # the contract's own format, which needs no class of this kind: devices.py is its hot path
DEVICES_SUMMARY = "one JSON object a reading: your own programs (docs/interfaces.md)"
BUILT_IN: Mapping[str, str] = {
    "homeassistant": "gatepost.agent.uplink.formats.homeassistant:HomeAssistantFormat",
    "sparkplug": "gatepost.agent.uplink.formats.sparkplug:SparkplugFormat",
    "fhir": "gatepost.agent.uplink.formats.fhir:FhirFormat",
    "thingsboard": "gatepost.agent.uplink.formats.thingsboard:ThingsboardFormat",
    "senml": "gatepost.agent.uplink.formats.senml:SenmlFormat",
    "scalar": "gatepost.agent.uplink.formats.scalar:ScalarFormat",
    "datastream": "gatepost.agent.uplink.formats.datastream:DatastreamFormat",
}


def _installed() -> dict[str, str]:
    """Formats of other packages; importlib.metadata is loaded for them only."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """Every format that there is, the contract's own first."""
    return [DEVICES, *BUILT_IN, *sorted(name for name in _installed() if name not in BUILT_IN and name != DEVICES)]


def load(name: str) -> type[PayloadFormat]:
    """The class of a format other than `devices`; NotFound."""
    place = BUILT_IN.get(name) or _installed().get(name)
    if place is None:
        raise NotFound(f"there is no format {name}", "`gatepost formats` lists them")
    module, _, attribute = place.partition(":")
    kind: type[PayloadFormat] = getattr(import_module(module), attribute)
    return kind
