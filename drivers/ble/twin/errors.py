"""Errors as bluetoothd spells them."""

from __future__ import annotations

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.dbus_objects import BusError

PREFIX = "org.bluez.Error."
TEXTS = {
    "AlreadyExists": "Already Exists",
    "AuthenticationCanceled": "Authentication Canceled",
    "AuthenticationFailed": "Authentication Failed",
    "AuthenticationRejected": "Authentication Rejected",
    "AuthenticationTimeout": "Authentication Timeout",
    "Blocked": "Blocked through rfkill",
    "DoesNotExist": "Does Not Exist",
    "InProgress": "Operation already in progress",
    "InvalidArguments": "Invalid arguments in method call",
    "NotAuthorized": "Operation Not Authorized",
    "NotReady": "Resource Not Ready",
    "NotSupported": "Operation is not supported",
}
NOT_PAIRED = (0x05, 0x0C, 0x0F)  # authentication, key size, encryption


def failure(name: str, text: str = "") -> BusError:
    """`org.bluez.Error.<name>`, with the text that goes with it where none is given."""
    return BusError(PREFIX + name, text or TEXTS.get(name, name))


def failed(text: str) -> BusError:
    return failure("Failed", text)


def att(error: GattError) -> BusError:
    """An ATT error as the daemon hands it on to its clients."""
    code = error.code or 0x0E
    if code == 0x02:
        return failure("NotPermitted", "Read not permitted")
    if code == 0x03:
        return failure("NotPermitted", "Write not permitted")
    if code in NOT_PAIRED:
        return failure("NotPermitted", "Not paired")
    if code == 0x06:
        return failure("NotSupported")
    if code == 0x07:
        return failure("InvalidArguments", "Invalid offset")
    if code == 0x08:
        return failure("NotAuthorized")
    if code == 0x0D:
        return failure("InvalidArguments", "Invalid Length")
    return failed(f"Operation failed with ATT error: 0x{code:02x}")
