"""The options of a device as its driver takes them: secrets among them are read when the device is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agent.settings.effective import secret_options
from agent.settings.model import Secret, SecretRef
from agent.settings.secret import is_reference

Resolve = Callable[[Secret], str | None]


def options_of(written: Mapping[str, Any], kind: type[msgspec.Struct], resolve: Resolve) -> msgspec.Struct:
    """Raises msgspec.ValidationError, or SettingsWrong for a secret that cannot be had."""
    secret = secret_options(kind)
    values = {
        name: resolve(SecretRef(**value)) if name in secret and is_reference(value) else value
        for name, value in written.items()
    }
    return msgspec.convert(values, kind)
