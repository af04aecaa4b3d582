"""Last good settings: those that were last applied, kept in the state directory for a start with broken files.

Secret references stay references. What came out of an environment variable is kept as a reference to it; a password in
plain text in a settings file is kept as it is, in a file that only the agent can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gatepost.agent.core.atomic_file import write_atomic
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.settings.model import Secret, SecretRef, Settings
from gatepost.agent.settings.problem import Origin
from gatepost.agent.settings.problem import Path as Key
from gatepost.agent.settings.secret import secrets_of

FILE = "last-good.json"
SCHEMA = 1
_VARIABLE = "environment variable "


class _Snapshot(msgspec.Struct, frozen=True):
    schema: int
    settings: Settings


class LastGood:
    """One snapshot in `state_dir`; written only when the settings differ from it."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / FILE

    def save(self, settings: Settings, origins: Mapping[Key, Origin]) -> bool:
        """True = written, False = it was there already; raises OSError."""
        kept = settings
        for key, secret in secrets_of(settings):
            place = origins.get(key, Origin("")).file
            if isinstance(secret, str) and place.startswith(_VARIABLE):
                kept = _with(kept, key, SecretRef(env=place.removeprefix(_VARIABLE)))
        data = msgspec.json.encode(_Snapshot(SCHEMA, kept))
        try:
            if read_regular(self.path) == data:
                return False
        except OSError:
            pass
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(self.path, data, 0o600)
        return True

    def read(self) -> Settings | None:
        """The snapshot, or None when there is none that this version can use."""
        try:
            snapshot = msgspec.json.decode(read_regular(self.path), type=_Snapshot)
        except (OSError, msgspec.DecodeError):  # a ValidationError is one too
            return None
        return snapshot.settings if snapshot.schema == SCHEMA else None


def _with(value: Any, key: Key, secret: Secret) -> Any:
    """A copy with the secret at the key replaced."""
    if not key:
        return secret
    if isinstance(value, dict):
        return {**value, key[0]: _with(value[key[0]], key[1:], secret)}
    return msgspec.structs.replace(value, **{key[0]: _with(getattr(value, key[0]), key[1:], secret)})
