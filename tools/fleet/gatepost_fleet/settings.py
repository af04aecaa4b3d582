"""Settings of the fleet side: one YAML file; passwords by reference to a file or a variable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta

from gatepost.agent.core.named_files import read_given

KEY_ID, DEFAULT_KEY_ID = "^[a-zA-Z0-9_.-]{1,64}$", "fleet"


class FleetSettingsWrong(Exception):
    """The file cannot be used, for a reason in words."""


class FleetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`source` and `sink` are addresses; `${NAME}` in them is a variable, `${file:PATH}` the contents of a file."""

    source: str  # nats://, amqp://, amqp+stream://, mqtt://; several with commas between them
    sink: str  # postgresql://, sqlite:// for trials
    group: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,32}$")] = "ingest"  # workers of one group share the messages
    worker: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{0,32}$")] = ""  # mqtt: keeps its session over restarts
    metrics: str | None = None  # host:port for Prometheus, of a worker
    broker: str = ""  # mqtt://, mqtts://: where desired state is published; several with commas between them
    page: str | None = None  # host:port of the page and the metrics of the fleet
    rate: Annotated[float, Meta(gt=0, le=1000)] = 20.0  # gateways in a second that are sent their desired state
    keep_days: Annotated[int, Meta(ge=1, le=36_500)] = 90  # of ended rollouts and of accounts of earlier starts
    key: str | None = None  # file of the key that signs desired state; only where people do that
    key_id: Annotated[str, Meta(pattern=KEY_ID)] = DEFAULT_KEY_ID  # its name, as gateways know it


def load(path: Path) -> FleetSettings:
    """Raises FleetSettingsWrong."""
    try:
        tree = yaml.safe_load(read_given(path))
        settings = msgspec.convert(tree, FleetSettings)
        addresses = {name: filled(getattr(settings, name)) for name in ("source", "sink", "broker")}
        return msgspec.structs.replace(settings, **addresses)
    except OSError as error:
        raise FleetSettingsWrong(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise FleetSettingsWrong(f"{path}: {error}") from None


def filled(text: str) -> str:
    """With secrets in their places. Raises FleetSettingsWrong."""
    head, *parts = text.split("${")
    for part in parts:
        name, end, rest = part.partition("}")
        if not end:
            raise FleetSettingsWrong("`${` without `}` in an address")
        head += _secret(name) + rest
    return head


def _secret(name: str) -> str:
    if name.startswith("file:"):
        try:
            return read_given(name.removeprefix("file:")).decode().strip()
        except OSError as error:
            raise FleetSettingsWrong(f"{name.removeprefix('file:')}: {error.strerror}") from None
    if name not in os.environ:
        raise FleetSettingsWrong(f"the variable {name} is not set")
    return os.environ[name]
