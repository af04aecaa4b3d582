"""Errors of the client.

GatewayError
├── NoAgent            nothing answers there
├── GatewayTimeout     it did not answer in time
├── NotTrusted         its certificate is not trusted
├── NotAuthenticated   401: no token, or an invalid one
├── NotAllowed         403: the role or the topics of the token do not cover it
├── NotFound           404
├── Conflict           409: not in this state
│   └── EtagChanged    412: somebody else changed it since (`etag=`)
├── BadInput           422, 413, 405
├── RateLimited        429: `retry_after` seconds
└── Unavailable        503: a broker, a device or the store cannot be reached
"""

from __future__ import annotations

from typing import Any

PLAIN = 5.0  # seconds to wait where the agent did not say how many


class GatewayError(Exception):
    """The agent said no: `key` is stable, `message` a sentence, `hint` what to do, `status` the HTTP status.

    `answer` is the whole answer: for a command that was rejected its response.
    """

    def __init__(self, key: str, message: str, hint: str = "", status: int = 0, answer: Any = None) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.hint = hint
        self.status = status
        self.answer = answer


class NoAgent(GatewayError):
    """Nothing answers at the socket or address; `why`: absent, permission."""

    def __init__(self, place: str, why: str) -> None:
        hint = (
            "is the service running? `systemctl status gatepost`; without systemd: `gatepost run` starts an agent, "
            "--socket or --config names another one"
        )
        if why == "permission":
            hint = "your user may not use this socket: use sudo, or join the group gatepost"
        elif "://" in place:
            hint = "is the service running, and does api.listen of its settings name this address?"
        super().__init__("no-agent", f"no agent answers at {place}", hint)
        self.why = why


class GatewayTimeout(GatewayError):
    """The agent is there and did not answer in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__("timeout", f"the agent did not answer within {seconds:g} s", "it may be busy: try again")


class NotTrusted(GatewayError):
    """The certificate of the agent is not trusted."""

    def __init__(self, place: str, why: str) -> None:
        hint = "`ca` is the PEM file of its authority, or its own certificate"
        super().__init__("not-trusted", f"{place} cannot be trusted: {why}", hint)


def broke(place: str, error: Exception) -> GatewayError:
    """What an exception of a connection means."""
    if isinstance(error, FileNotFoundError | ConnectionRefusedError) or type(error).__name__ == "gaierror":
        return NoAgent(place, "absent")
    if isinstance(error, PermissionError):
        return NoAgent(place, "permission")
    if why := getattr(error, "verify_message", ""):  # ssl.SSLCertVerificationError
        return NotTrusted(place, why)
    return GatewayError("connection-lost", f"the connection to the agent broke: {error}")


class NotAuthenticated(GatewayError):
    """401."""


class NotAllowed(GatewayError):
    """403."""


class NotFound(GatewayError):
    """404."""


class Conflict(GatewayError):
    """409."""


class EtagChanged(Conflict):
    """412: it is no longer as `etag` says."""


class BadInput(GatewayError):
    """422, 413, 405."""


class RateLimited(GatewayError):
    """429; ask again after `retry_after` seconds."""

    retry_after = PLAIN


class Unavailable(GatewayError):
    """503."""


KINDS: dict[int, type[GatewayError]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    405: BadInput,
    409: Conflict,
    412: EtagChanged,
    413: BadInput,
    422: BadInput,
    429: RateLimited,
    503: Unavailable,
}


def refused(status: int, answer: Any, retry_after: str | None = None) -> GatewayError:
    """The error that a bad answer stands for."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return GatewayError("bad-answer", f"the agent answered {status}", status=status)
    kind = KINDS.get(status, GatewayError)
    found = kind(str(error.get("key")), str(error.get("message")), str(error.get("hint") or ""), status, answer)
    if isinstance(found, RateLimited) and retry_after is not None and retry_after.isdigit():
        found.retry_after = float(retry_after)
    return found
