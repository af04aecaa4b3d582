"""Memory of an Omron device as a session reads it: one request at a time, each repeated when no answer comes."""

from __future__ import annotations

from gatepost.drivers.asking import ask, forget_answers
from gatepost.drivers.ble.omron import frames
from gatepost.drivers.ble.peripheral import GattCharacteristic
from gatepost.drivers.ble.profile_session import FAREWELL_LIMIT, ProfileSession
from gatepost.drivers.driver import CommandFailed, DeviceIO
from gatepost.drivers.reading import Reading, Reply

ANSWER_LIMIT = 1.0  # seconds
TRIES = 5


class OmronMemory:
    """Reads of one session. CommandFailed `refused`, TimeoutError, GattError."""

    def __init__(self, session: ProfileSession, io: DeviceIO, control: GattCharacteristic) -> None:
        self._session = session
        self._io = io
        self._control = control

    async def open(self) -> None:
        await self._ask(frames.OPEN, frames.OPENED)

    async def close(self) -> None:
        await self._ask(frames.CLOSE, frames.CLOSED)

    async def leave(self) -> None:
        """Close without waiting for the answer, while the connection is being ended."""
        await self._session.write(self._control, frames.CLOSE, FAREWELL_LIMIT)

    async def read(self, address: int, size: int) -> bytes:
        out = b""
        while len(out) < size:
            # Longer records come in halves, so that each request stays within what every model gives.
            part = size if size <= frames.MOST_OCTETS else min(size // 2, size - len(out))
            out += await self._ask(frames.read_request(address + len(out), part), frames.READ, address + len(out))
        return out

    async def _ask(self, request: bytes, wanted: str, address: int = 0) -> bytes:
        await forget_answers(self._io)

        def answered(item: Reading | Reply) -> Reply | None:
            if not isinstance(item, Reply) or item.kind != "omron":
                return None
            if item.fields["type"] == frames.CLOSED:
                return item
            return item if (item.fields["type"], item.fields["address"]) == (wanted, address) else None

        told = await ask(self._io, lambda: self._session.write(self._control, request), answered, ANSWER_LIMIT, TRIES)
        if told.fields["type"] != wanted or told.fields["status"]:
            raise CommandFailed("refused", f"the device refused to be read at {address:04X}")
        data = bytes.fromhex(told.fields["data"])
        if wanted == frames.READ and len(data) < request[5]:
            raise CommandFailed("refused", f"the device gave less than it was asked for at {address:04X}")
        return data[: request[5]] if wanted == frames.READ else data
