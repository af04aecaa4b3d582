"""Explanation of what bleak, dbus-fast and the system raise, as a LinkFailed with a reason, a sentence and a hint."""

from __future__ import annotations

from typing import NamedTuple

from gatepost.drivers.link import LinkFailed, Reason

# The device can be caught at its next advertisement: no reason to give up the search for it.
PASSING = frozenset(
    {Reason.TIMEOUT, Reason.GONE, Reason.DROPPED, Reason.IN_PROGRESS, Reason.BOND_LOST, Reason.RADIO, Reason.IO}
)


class _Case(NamedTuple):
    reason: Reason
    sentence: str
    hint: str
    detail: bool = False  # whether the error's own words help


_NO_SERVICE = _Case(
    Reason.NO_SERVICE,
    "the Bluetooth service is not running",
    "install `bluez` and start it: `systemctl enable --now bluetooth`; a container needs the system D-Bus socket",
)
_PERMISSION = _Case(
    Reason.PERMISSION,
    "this user may not use Bluetooth",
    "add the user that runs the agent to the group `bluetooth` and start it again",
    True,
)
_OFF = _Case(Reason.ADAPTER_OFF, "the Bluetooth adapter is off", "`bluetoothctl power on`; blocked? see `rfkill`")
_GONE = _Case(Reason.GONE, "the device disappeared before it was connected", "move it nearer to the adapter")
_IN_PROGRESS = _Case(Reason.IN_PROGRESS, "the adapter is still busy with an earlier attempt", "")
_PAIRING = _Case(
    Reason.PAIRING,
    "pairing failed",
    "put the device in pairing mode; if it has a PIN or passkey, set its option `passkey`",
    True,
)
_TIMEOUT = _Case(Reason.TIMEOUT, "the device did not answer in time", "move it nearer to the adapter")
_DROPPED = _Case(Reason.DROPPED, "the device disconnected while it was being connected", "")
_DUAL = _Case(
    Reason.RADIO,
    "the system tried classic Bluetooth instead of LE",
    "set `ControllerMode = le` in /etc/bluetooth/main.conf and restart the service `bluetooth`",
)
_RADIO = _Case(Reason.RADIO, "Bluetooth failed", "see `journalctl -u bluetooth`", True)

_BY_NAME = {
    "org.freedesktop.DBus.Error.ServiceUnknown": _NO_SERVICE,
    "org.freedesktop.DBus.Error.NameHasNoOwner": _NO_SERVICE,
    "org.freedesktop.DBus.Error.NoServer": _NO_SERVICE,
    "org.freedesktop.DBus.Error.Disconnected": _NO_SERVICE,
    "org.freedesktop.DBus.Error.NoReply": _NO_SERVICE,  # it went away while it was asked
    "org.freedesktop.DBus.Error.AccessDenied": _PERMISSION,
    "org.freedesktop.DBus.Error.AuthFailed": _PERMISSION,
    "org.bluez.Error.NotAuthorized": _PERMISSION,
    "org.freedesktop.DBus.Error.UnknownObject": _GONE,
    "org.freedesktop.DBus.Error.UnknownMethod": _GONE,  # what GDBus says of an object that is gone
    "org.bluez.Error.DoesNotExist": _GONE,
    "org.bluez.Error.NotReady": _OFF,
    "org.bluez.Error.InProgress": _IN_PROGRESS,
    "org.bluez.Error.NotConnected": _DROPPED,
    "org.bluez.Error.AuthenticationFailed": _PAIRING,
    "org.bluez.Error.AuthenticationRejected": _PAIRING,
    "org.bluez.Error.AuthenticationCanceled": _PAIRING,
    "org.bluez.Error.AuthenticationTimeout": _PAIRING,
    "org.freedesktop.DBus.Error.Timeout": _TIMEOUT,
}

# What BlueZ and bleak say in words only.
_BY_WORDS = (
    ("Not Powered", _OFF),
    ("br-connection", _DUAL),
    ("device disconnected", _DROPPED),
    ("le-connection-abort-by-local", _DROPPED),
    ("not found", _GONE),
    ("Not connected", _DROPPED),
    ("already in progress", _IN_PROGRESS),
)


def explain(label: str, exc: BaseException) -> LinkFailed:
    """`label` (a device or an adapter, for a person) failed with `exc` of bleak, dbus-fast or the system."""
    if isinstance(exc, LinkFailed):
        return exc
    case = _case(exc)
    detail = f" ({str(exc) or type(exc).__name__})" if case.detail else ""
    return LinkFailed(case.reason, f"{label}: {case.sentence}{detail}", case.hint)


def no_adapter(name: str | None) -> LinkFailed:
    which = f"the adapter {name}" if name else "a Bluetooth LE adapter"
    return LinkFailed(Reason.NO_ADAPTER, f"{which} was not found", "check that it is plugged in: `bluetoothctl list`")


def adapter_off(name: str) -> LinkFailed:
    return LinkFailed(Reason.ADAPTER_OFF, f"{name}: {_OFF.sentence}", _OFF.hint)


def no_service() -> LinkFailed:
    return LinkFailed(_NO_SERVICE.reason, _NO_SERVICE.sentence, _NO_SERVICE.hint)


def timed_out(label: str, doing: str) -> LinkFailed:
    return LinkFailed(Reason.TIMEOUT, f"{label}: {doing} took too long", _TIMEOUT.hint)


def dropped(label: str) -> LinkFailed:
    return LinkFailed(Reason.DROPPED, f"{label}: {_DROPPED.sentence}", _DROPPED.hint)


def lost(label: str) -> LinkFailed:
    return LinkFailed(Reason.IO, f"{label}: the connection was lost")


def _case(exc: BaseException) -> _Case:
    named = _BY_NAME.get(error_name(exc))
    if named is not None:
        return named
    if isinstance(exc, TimeoutError):
        return _TIMEOUT
    if isinstance(exc, PermissionError) or type(exc).__name__ == "AuthError":
        return _PERMISSION
    text = str(exc)
    for words, case in _BY_WORDS:
        if words in text:
            return case
    if isinstance(exc, OSError | EOFError) or ".Spawn." in error_name(exc):
        return _NO_SERVICE
    cause = exc.__cause__
    return _RADIO if cause is None else _case(cause)


def error_name(exc: BaseException) -> str:
    """The D-Bus name of the error, from what bleak or dbus-fast raised; "" = it has none."""
    for attribute in ("dbus_error", "type"):  # bleak's and dbus-fast's word for it
        name = getattr(exc, attribute, None)
        if isinstance(name, str):
            return name
    return ""
