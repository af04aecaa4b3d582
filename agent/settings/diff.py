"""Differences between two settings, so that only what changed is touched."""

from __future__ import annotations

from typing import Any

import msgspec

from gatepost.agent.settings.model import Settings

SECTIONS = ("gateway", "store", "commands", "listener", "fleet", "api", "bluetooth", "logging")
AT_START = (  # what a running agent cannot change
    ("gateway", "id"),
    ("gateway", "state_dir"),
    ("api", "socket"),
    ("bluetooth", "connections"),
    ("bluetooth", "turn"),
)


class NameDiff(msgspec.Struct, frozen=True):
    """Names that came, went, and stayed with other settings."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class SettingsDiff(msgspec.Struct, frozen=True):
    """`sections` are those of one piece that differ; `at_start` dotted keys that wait for the next start."""

    devices: NameDiff = NameDiff()
    brokers: NameDiff = NameDiff()
    sections: tuple[str, ...] = ()
    at_start: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.devices or self.brokers or self.sections)

    def keys(self) -> list[str]:
        """For people and events: `store`, `devices.probe-2 added`, `brokers.a changed`."""
        found = list(self.sections)
        for section, difference in (("brokers", self.brokers), ("devices", self.devices)):
            for word in ("added", "removed", "changed"):
                found += [f"{section}.{name} {word}" for name in getattr(difference, word)]
        return found


def changes(old: Settings, new: Settings) -> SettingsDiff:
    """From `old` to `new`; names in the order of the settings."""
    return SettingsDiff(
        devices=_difference(old.devices, new.devices),
        brokers=_difference(old.brokers, new.brokers),
        sections=tuple(name for name in SECTIONS if getattr(old, name) != getattr(new, name)),
        at_start=tuple(
            f"{section}.{key}"
            for section, key in AT_START
            if getattr(getattr(old, section), key) != getattr(getattr(new, section), key)
        ),
    )


def _difference(old: dict[str, Any], new: dict[str, Any]) -> NameDiff:
    return NameDiff(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=tuple(name for name in new if name in old and new[name] != old[name]),
    )
