"""Conversation with a Viatom or Lepu device: one request at a time, in pieces of twenty octets."""

from __future__ import annotations

import contextlib

from gatepost.drivers.ble.peripheral import GattCharacteristic
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.viatom.frames import ViatomFrame
from gatepost.drivers.driver import CommandFailed, DeviceIO
from gatepost.drivers.reading import Reading, Reply

PIECE = 20  # octets of one write
ANSWER_LIMIT = 5.0  # seconds
TRIES = 3
KIND = "viatom"


def answer(frame: ViatomFrame) -> Reply:
    """An answer, for a profile's decoder."""
    return Reply(KIND, {**frame._asdict(), "data": frame.data.hex()})


class ViatomConversation:
    """Requests of one session. CommandFailed `refused`, TimeoutError, GattError."""

    def __init__(self, session: ProfileSession, control: GattCharacteristic) -> None:
        self._session = session
        self._control = control

    async def say(self, request: bytes, piece: int = PIECE) -> None:
        for at in range(0, len(request), piece):
            await self._session.write(self._control, request[at : at + piece])

    async def ask(self, io: DeviceIO, request: bytes, code: int | None, number: int | None = None) -> bytes:
        """Data of the answer. `code`: the command that newer devices repeat; None = an older one, which tells whether
        it liked the request. `number`: that of the answer, where it must be this one."""
        with contextlib.suppress(TimeoutError):
            await io.wait(lambda item: None, 0)  # answers to what was asked before are none to this

        def answered(item: Reading | Reply) -> Reply | None:
            if not isinstance(item, Reply) or item.kind != KIND or not item.fields["reply"]:
                return None
            if number is not None and item.fields["number"] != number:
                return None
            return item if code in (None, item.fields["code"]) else None

        for left in reversed(range(TRIES)):
            await self.say(request)
            try:
                fields = (await io.wait(answered, ANSWER_LIMIT)).fields
            except TimeoutError:
                if not left:
                    raise
                continue
            if code is None and fields["code"]:
                raise CommandFailed("refused", "the device refused a request")
            return bytes.fromhex(fields["data"])
        raise TimeoutError
