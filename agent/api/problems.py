"""Errors on their way out: the HTTP status of each, and its body `{"error": {"key", "message", "hint"}}`."""

from __future__ import annotations

from typing import Any

from agent.errors import (
    DeviceBusy,
    DeviceError,
    GatepostError,
    NotFound,
    Rejected,
    SettingsWrong,
    StoreError,
    UplinkError,
)

# The first class that fits; a class of the tree that is not here is our own fault: 500.
STATUS: tuple[tuple[type[GatepostError], int], ...] = (
    (NotFound, 404),
    (DeviceBusy, 409),
    (DeviceError, 503),
    (UplinkError, 503),
    (StoreError, 503),
    (SettingsWrong, 422),
)

# Commands that the desk refused, by the key of the rejection.
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


class BadInput(GatepostError):
    """The request itself is wrong: a query parameter, the body."""

    key = "bad-input"


class TooLarge(GatepostError):
    key = "too-large"


class NoSuchMethod(GatepostError):
    """`allowed`: the methods that this path has."""

    key = "method-not-allowed"

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(f"{method} is not possible here", f"this path takes {', '.join(allowed)}")
        self.allowed = allowed


class Unavailable(GatepostError):
    """Not now: the agent stops, or it took too long."""

    key = "unavailable"


class Unauthenticated(GatepostError):
    """No token, or one that does not hold."""

    key = "unauthenticated"


class Forbidden(GatepostError):
    """Known, but not allowed to."""

    key = "forbidden"


class TooMany(GatepostError):
    """Too many requests, or too many failed attempts; `wait` seconds."""

    key = "too-many-requests"

    def __init__(self, message: str, hint: str, wait: float, key: str = "") -> None:
        super().__init__(message, hint, key)
        self.wait = wait


class Conflict(GatepostError):
    """Not in this state."""

    key = "conflict"


class PreconditionFailed(GatepostError):
    """`If-Match` names another state than the one there is."""

    key = "precondition-failed"


def status_of(error: GatepostError) -> int:
    if isinstance(error, Rejected):
        return REJECTED.get(error.kind, 409)
    for kind, status in (*OWN, *STATUS):
        if isinstance(error, kind):
            return status
    return 500


def body_of(error: GatepostError) -> dict[str, Any]:
    return {"error": error.as_dict()}


OWN: tuple[tuple[type[GatepostError], int], ...] = (
    (BadInput, 422),
    (TooLarge, 413),
    (NoSuchMethod, 405),
    (Unavailable, 503),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (TooMany, 429),
    (Conflict, 409),
    (PreconditionFailed, 412),
)
INTERNAL = GatepostError("the agent could not answer this", "its log says why", key="internal")
