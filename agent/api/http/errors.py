"""HTTP errors: the status of each, and its body `{"error": {"key", "message", "hint"}}`."""

from __future__ import annotations

from typing import Any

from gatepost.agent.core.errors import (
    BadInput,
    Conflict,
    DeviceBusy,
    DeviceError,
    Forbidden,
    GatepostError,
    NoSuchMethod,
    NotFound,
    PreconditionFailed,
    Rejected,
    SettingsWrong,
    StoreError,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    UplinkError,
)

# The first class that fits; a class of the tree that is not here is our own fault: 500.
STATUS: tuple[tuple[type[GatepostError], int], ...] = (
    (NotFound, 404),
    (BadInput, 422),
    (TooLarge, 413),
    (NoSuchMethod, 405),
    (Unavailable, 503),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (TooMany, 429),
    (Conflict, 409),
    (PreconditionFailed, 412),
    (DeviceBusy, 409),
    (DeviceError, 503),
    (UplinkError, 503),
    (StoreError, 503),
    (SettingsWrong, 422),
)

# Commands that the dispatcher refused, by the key of the rejection.
REJECTED = {
    "malformed": 422,
    "retained": 409,
    "expired": 409,
    "duplicate": 409,
    "unauthenticated": 401,
    "not-allowed": 403,
    "unknown-device": 404,
    "unknown-command": 422,
    "bad-parameters": 422,
    "busy": 409,
    "device-offline": 503,
}


def status_of(error: GatepostError) -> int:
    if isinstance(error, Rejected):
        return REJECTED.get(error.kind, 409)
    for kind, status in STATUS:
        if isinstance(error, kind):
            return status
    return 500


def body_of(error: GatepostError) -> dict[str, Any]:
    return {"error": error.as_dict()}


INTERNAL = GatepostError("the agent could not answer this", "its log says why", key="internal")
