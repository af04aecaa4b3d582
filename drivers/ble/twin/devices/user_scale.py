"""A simulated scale that knows its users (User Data Service 1.0): it tells nothing before one of them has consented."""

from __future__ import annotations

import struct
from typing import Any

from gatepost.drivers.ble.peripheral import GattError
from gatepost.drivers.ble.twin.devices.scale import WeightScaleTwin
from gatepost.drivers.ble.twin.peripheral import CCC_IMPROPER, TwinCharacteristic, TwinService

REGISTER, CONSENT, DELETE, RESPONSE = 0x01, 0x02, 0x03, 0x20
SUCCESS, NO_OP, BAD_PARAMETER, FAILED, NOT_AUTHORISED = range(1, 6)
UNKNOWN = 0xFF


class UserScaleTwin(WeightScaleTwin):
    """Simulated scale with users. `user` consents with `consent`."""

    kind = 0x1C
    model = "User Scale"

    def __init__(self, seed: int = 0, user: int = 1, consent: int = 1234, **settings: Any) -> None:
        self.user = user
        self.consent = consent
        self.consented = False
        self.deleted = 0
        self._answers: list[bytes] = []
        super().__init__(seed, **settings)

    def _common(self) -> tuple[TwinService, ...]:
        self._control = TwinCharacteristic(0x2A9F, "write indicate", on_write=self._told)
        index = TwinCharacteristic(0x2A9A, "read", lambda: bytes([self.user if self.consented else UNKNOWN]))
        change = TwinCharacteristic(0x2A99, "read write notify", struct.pack("<I", 1))
        return (TwinService(0x181C, [index, change, self._control]), *super()._common())

    def _told(self, data: bytes) -> None:
        if not self._control.subscribed:
            raise GattError("subscribe first", CCC_IMPROPER)
        op = data[0] if data else 0
        if op == CONSENT and len(data) == 4:
            self.consented = data[1] == self.user and int.from_bytes(data[2:4], "little") == self.consent
            code = SUCCESS if self.consented else NOT_AUTHORISED
        elif op == DELETE:
            code = SUCCESS if self.consented else NOT_AUTHORISED
            self.deleted += self.consented
        else:
            code = NO_OP if op not in (REGISTER, CONSENT) else BAD_PARAMETER
        self._answers.append(bytes((RESPONSE, op, code)))

    def on_disconnect(self) -> None:
        self.consented = False
        self._answers.clear()

    def live(self) -> None:
        if self._answers:
            self.send(self._control, self._answers.pop(0))
        super().live()

    def tells(self) -> bool:
        return self.consented
