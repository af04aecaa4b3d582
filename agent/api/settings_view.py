"""The settings to look at: each key as YAML spells it, secrets and patients hidden, with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.settings.model import Settings

if TYPE_CHECKING:
    from agent.settings import Origin

HIDDEN = "***"
PATIENT = ".patient"  # subject references are shown with their readings only


def shown(settings: Settings, origins: Mapping[tuple[str, ...], Origin]) -> list[dict[str, str]]:
    """Each effective key: {"key": "brokers.hospital.url", "value", "origin": "file:line:column" or "default"}."""
    from agent.settings.effective import effective

    return [
        {"key": key, "value": HIDDEN if _private(key, value) else value, "origin": origin}
        for key, value, origin in effective(settings, origins)
    ]


def of_broker(settings: Settings, name: str) -> dict[str, str]:
    """The effective keys of one broker, without those above them: {"url": ..., "tls.verify": ...}."""
    above = f"brokers.{name}."
    return {
        line["key"].removeprefix(above): line["value"] for line in shown(settings, {}) if line["key"].startswith(above)
    }


def _private(key: str, value: str) -> bool:
    return key.startswith("devices.") and key.endswith(PATIENT) and value != "null"
