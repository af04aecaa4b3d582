"""Settings for display: each key as YAML spells it, with its origin; secrets and patients hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gatepost.agent.settings.bare_type import bare_type
from gatepost.agent.settings.model import DeviceSettings, SecretRef, Settings
from gatepost.agent.settings.secret import HIDDEN

if TYPE_CHECKING:
    from gatepost.agent.settings import Origin
    from gatepost.drivers.driver import Registry

PATIENT = ".patient"  # subject references are shown with their readings only


def shown(settings: Settings, origins: Mapping[tuple[str, ...], Origin]) -> list[dict[str, str]]:
    """Each effective key: {"key": "brokers.hospital.url", "value", "origin": "file:line:column" or "default"}."""
    from gatepost.agent.settings.effective import effective

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


def configured(found: msgspec.Struct, registry: Registry) -> dict[str, Any]:
    """A broker or device as its section of a settings file, ready to be changed and sent back: no defaults, secrets
    as references or `***`, the patient as `***`."""
    from gatepost.agent.settings.effective import secret_words

    settings: dict[str, Any] = _plain(found, msgspec.inspect.type_info(type(found)))
    if isinstance(found, DeviceSettings):
        if found.patient is not None:
            settings["patient"] = HIDDEN
        if options := settings.get("options"):
            kind = registry.get(found.driver).options_type if found.driver in registry else msgspec.Struct
            secret = secret_words(found.options, kind)
            settings["options"] = {name: HIDDEN if name in secret else value for name, value in options.items()}
    return settings


def shown_drop(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A drop as plain data, without secrets in plain text and patients."""
    from gatepost.agent.settings.effective import SECRET_WORDS

    return {
        name: shown_drop(value)
        if isinstance(value, Mapping)
        else HIDDEN
        if value is not None and (name.lower() in SECRET_WORDS or name == "patient")
        else value
        for name, value in settings.items()
    }


def _plain(value: Any, kind: Any) -> Any:
    from gatepost.agent.settings.units import UNITS

    kind, extra = bare_type(kind)
    if isinstance(value, SecretRef):
        return msgspec.to_builtins(value)
    if isinstance(kind, msgspec.inspect.UnionType) and value is not None:
        inner = [part for part in kind.types if not isinstance(part, msgspec.inspect.NoneType)]
        if len(inner) > 1:  # a secret, in plain text
            return HIDDEN
        return _plain(value, msgspec.inspect.Metadata(inner[0], extra=extra))
    if isinstance(kind, msgspec.inspect.StructType):
        shown = [(field, getattr(value, field.name)) for field in kind.fields]
        return {f.encode_name: _plain(found, f.type) for f, found in shown if f.required or found != _default(f)}
    if isinstance(kind, msgspec.inspect.DictType):
        return {name: _plain(item, kind.value_type) for name, item in value.items()}
    if isinstance(kind, msgspec.inspect.ListType):
        return [_plain(item, kind.item_type) for item in value]
    return UNITS[extra["unit"]].show(value) if extra.get("unit") and value is not None else value


def _default(field: msgspec.inspect.Field) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _private(key: str, value: str) -> bool:
    return key.startswith("devices.") and key.endswith(PATIENT) and value != "null"
