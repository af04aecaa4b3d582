"""The tree of errors. Each has a stable key, a sentence for a person, and a hint; command line, log and API share it.

GatepostError
├── SettingsWrong            settings-wrong          the settings do not hold; carries the problems
├── StoreError               store-error             the log could not do it
│   ├── StoreFull            store-full              no room, and `when_full: refuse`
│   └── StoreDamaged         store-damaged           the file is not a healthy log
├── UplinkError              broker-error            a broker could not be reached or refused
│   └── NotConnected         broker-not-connected    nothing can be sent to it now
├── DeviceError              device-error            a device could not do it
│   ├── DeviceOffline        device-offline          it is not there now
│   └── DeviceBusy           busy                    it is doing something else
├── Rejected                 (its own key)           a command that the desk refused
└── NotFound                 not-found               no such device, broker, ...
"""

from __future__ import annotations

from typing import Any, ClassVar


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


class SettingsWrong(GatepostError):
    key = "settings-wrong"


class StoreError(GatepostError):
    key = "store-error"


class StoreFull(StoreError):
    key = "store-full"


class StoreDamaged(StoreError):
    key = "store-damaged"


class UplinkError(GatepostError):
    key = "broker-error"


class NotConnected(UplinkError):
    key = "broker-not-connected"


class DeviceError(GatepostError):
    key = "device-error"


class DeviceOffline(DeviceError):
    key = "device-offline"


class DeviceBusy(DeviceError):
    key = "busy"


class Rejected(GatepostError):
    """A command refused by the desk; the key is one of the contract's rejection keys."""

    key = "rejected"


class NotFound(GatepostError):
    key = "not-found"
