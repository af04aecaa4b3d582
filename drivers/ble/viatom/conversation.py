"""Conversation with a Viatom or Lepu device: one request at a time, in pieces of twenty octets."""

from __future__ import annotations

from typing import ClassVar

from gatepost.drivers.asking import ask, forget_answers
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.viatom.frames import LepuFrames, ViatomFrame, ViatomFrames
from gatepost.drivers.driver import CommandFailed, DeviceIO
from gatepost.drivers.reading import Reading, Reply

PIECE = 20  # octets of one write
ANSWER_LIMIT = 5.0  # seconds
TRIES = 3
KIND = "viatom"


def answer(frame: ViatomFrame) -> Reply:
    """An answer, for a profile's decoder."""
    return Reply(KIND, {**frame._asdict(), "data": frame.data.hex()})


class ViatomProfile(GattProfile):
    """Base profile of rings and cuffs. Requests raise CommandFailed `refused`, TimeoutError, GattError."""

    stores = True
    own_clock = True
    control: ClassVar[str]
    frames: ClassVar[type[ViatomFrames]] = LepuFrames

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._frames = self.frames(self.frame_fault)
        self._battery: int | None = None

    def decode(self, value: GattValue) -> Items:
        return [item for frame in self._frames.feed(value.data) for item in (*self._live(frame), answer(frame))]

    def _live(self, frame: ViatomFrame) -> Items:
        raise NotImplementedError

    def _charge(self, battery: int) -> Items:
        """The level of the battery, where it is another one."""
        if battery > 100 or battery == self._battery:
            return []
        self._battery = battery
        return [Reply("battery", {"battery": battery})]

    async def _say(self, session: ProfileSession, request: bytes) -> None:
        control = self.control_point(session, self.control)
        for at in range(0, len(request), PIECE):
            await session.write(control, request[at : at + PIECE])

    async def _request(self, session: ProfileSession, io: DeviceIO, request: bytes, code: int | None) -> bytes:
        """Data of the answer. `code`: the command that newer devices repeat; None = an older one, which tells whether
        it liked the request."""

        def answered(item: Reading | Reply) -> Reply | None:
            if not isinstance(item, Reply) or item.kind != KIND or not item.fields["reply"]:
                return None
            return item if code in (None, item.fields["code"]) else None

        await forget_answers(io)
        told = await ask(io, lambda: self._say(session, request), answered, ANSWER_LIMIT, TRIES)
        if code is None and told.fields["code"]:
            raise CommandFailed("refused", "the device refused a request")
        return bytes.fromhex(told.fields["data"])
