"""Tree of errors. Each has a stable key, a sentence for a person, and a hint; command line, log and API share it.

GatepostError
├── CertificateUnusable      tls-wrong               a certificate or its key cannot be used
├── SettingsWrong            settings-wrong          the settings cannot be used
│   └── InvalidSettings      settings-wrong          those of a change; carries all problems
├── StateDirInUse            state-dir-taken         another agent uses the state directory
├── BackupWrong              backup-wrong            the file is no backup, or not as it was written
├── StickWrong               stick-wrong             what lies on a stick is damaged, or is not for this gateway
├── StoreError               store-error             the log could not do it
│   └── StoreFull            store-full              no room, and `when_full: refuse`
├── UplinkError              broker-error            a broker could not be reached or refused
│   ├── NotConnected         broker-not-connected    nothing can be sent to it now
│   ├── ConnectFailed        broker-<reason>         no connection came about
│   ├── NotTaken             broker-refused-message  it refused a message, and would again
│   └── WindowFull           broker-window-full      its receive maximum is reached
├── DeviceError              device-error            a device could not do it
│   ├── DeviceOffline        device-offline          it is not there now
│   ├── DeviceBusy           busy                    it is doing something else
│   └── OutcomeUnknown       outcome-unknown         it was told, and has not said what came of it
├── Rejected                 (its own key)           a command that was refused
├── NotFound                 not-found               no such device, broker, ...
├── BadInput                 bad-input               a request is wrong: a parameter, its body
├── TooLarge                 too-large               its body is too large
├── NoSuchMethod             method-not-allowed      the path has no such method
├── HandshakeWrong           upgrade-required        the request is not a WebSocket handshake
├── Unavailable              unavailable             not now: the agent stops, or it took too long
├── Unauthenticated          unauthenticated         no token, or an invalid one
├── Forbidden                forbidden               known, but not allowed to
│   └── NotEditable          not-editable            keys that only the settings files may change
├── TooMany                  too-many-requests       too many requests or failed attempts
├── Conflict                 conflict                not in this state
├── PreconditionFailed       precondition-failed     `If-Match` names another state
├── ListenWrong              listen-failed           an address cannot be listened at, or not with its certificate
├── SocketTaken              socket-taken            another process answers at `api.socket`
├── SocketWrong              socket-wrong            the socket cannot be made at `api.socket`
└── JwtWrong                 jwt-wrong               `api.jwt` cannot be used: its key, its file, its library

A driver's errors (CommandFailed, LinkFailed, WrongDevice) are its own: gatepost.drivers knows nothing of the agent. The
client's are GatewayError and below, in gatepost.client.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

Retry = Literal["soon", "later", "protocol"]
ConnectReason = Literal[
    "unknown-host",
    "unreachable",
    "timeout",
    "tls",
    "websocket",
    "closed",
    "refused",
    "malformed",
    "settings",
]


class GatepostError(Exception):
    """Root: `key` is stable, `message` a sentence without secrets or patient data, `hint` what to do."""

    key: ClassVar[str] = "failed"

    def __init__(self, message: str, hint: str = "", key: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = key or type(self).key

    def as_dict(self) -> dict[str, Any]:
        return {"key": self.kind, "message": self.message, "hint": self.hint}


class CertificateUnusable(GatepostError):
    """`part` of the settings of TLS that is to be mended: `cert` or `key`."""

    key = "tls-wrong"

    def __init__(self, part: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.part = part


class SettingsWrong(GatepostError):
    key = "settings-wrong"


class InvalidSettings(SettingsWrong):
    """Settings of a change that cannot be used: `problems` are all of them as {"where", "message", "hint"}."""

    def __init__(self, problems: list[dict[str, str]]) -> None:
        first = problems[0]
        super().__init__(f"{first['where']}: {first['message']}" if first["where"] else first["message"], first["hint"])
        self.problems = problems

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "where": self.problems[0]["where"], "problems": self.problems}


class StateDirInUse(GatepostError):
    key = "state-dir-taken"


class BackupWrong(GatepostError):
    key = "backup-wrong"


class StickWrong(GatepostError):
    key = "stick-wrong"


class StoreError(GatepostError):
    key = "store-error"


class StoreFull(StoreError):
    key = "store-full"


class UplinkError(GatepostError):
    key = "broker-error"


class NotConnected(UplinkError):
    key = "broker-not-connected"


class ConnectFailed(UplinkError):
    """No connection came about: `reason`, the broker's `code` if it gave one, and when to try again.

    `soon`: the usual backoff; `later`: a person must change something first; `protocol`: try the other version.
    `reached`: the broker was there, and did not take the connection.
    """

    def __init__(
        self,
        reason: ConnectReason,
        message: str,
        hint: str = "",
        retry: Retry = "soon",
        code: int | None = None,
        reached: bool = False,
    ) -> None:
        super().__init__(message, hint, key=f"broker-{reason}")
        self.reason = reason
        self.code = code
        self.retry = retry
        self.reached = reached


class NotTaken(UplinkError):
    """The broker refused a message, and would again."""

    key = "broker-refused-message"


class WindowFull(UplinkError):
    """The broker's receive maximum is reached; the sender's window should not be wider than it."""

    key = "broker-window-full"


class DeviceError(GatepostError):
    key = "device-error"


class DeviceOffline(DeviceError):
    key = "device-offline"


class DeviceBusy(DeviceError):
    key = "busy"


class OutcomeUnknown(DeviceError):
    """A command was sent to a device, and whether it carried it out is not known."""

    key = "outcome-unknown"


class Rejected(GatepostError):
    """A command that was refused; the key is one of the contract's rejection keys."""

    key = "rejected"


class NotFound(GatepostError):
    key = "not-found"


class BadInput(GatepostError):
    """The request itself is wrong: a query parameter, the body."""

    key = "bad-input"


class TooLarge(GatepostError):
    key = "too-large"


class NoSuchMethod(GatepostError):
    """`allowed`: the methods that this path has."""

    key = "method-not-allowed"

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(f"{method} is not allowed for this path", f"this path takes {', '.join(allowed)}")
        self.allowed = allowed


class Unavailable(GatepostError):
    """Not now: the agent stops, or it took too long."""

    key = "unavailable"


class Unauthenticated(GatepostError):
    """No token, or an invalid one."""

    key = "unauthenticated"


class Forbidden(GatepostError):
    """Known, but not allowed to."""

    key = "forbidden"


class NotEditable(Forbidden):
    """Keys that the API may not change: `problems` names them."""

    key = "not-editable"

    def __init__(self, keys: list[str]) -> None:
        hint = "edit the file, then `gatepost reload`"
        super().__init__(f"{keys[0]} can only be changed in the settings files", hint)
        self.problems = [
            {"where": key, "message": "can only be changed in the settings files", "hint": "edit the file"}
            for key in keys
        ]

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "where": self.problems[0]["where"], "problems": self.problems}


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


class HandshakeWrong(GatepostError):
    """The request is not a WebSocket handshake."""

    key = "upgrade-required"


class ListenWrong(GatepostError):
    """An address cannot be listened at, or not with its certificate."""

    key = "listen-failed"


class SocketTaken(GatepostError):
    """Another process answers at the socket."""

    key = "socket-taken"


class SocketWrong(GatepostError):
    """The socket cannot be made at this path."""

    key = "socket-wrong"


class JwtWrong(GatepostError):
    """`api.jwt` cannot be used: its key, its file, its library."""

    key = "jwt-wrong"
