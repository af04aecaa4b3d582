"""The parts of the User Data service that scales need before they tell a user's measurements: User Control Point
(2A9F), Database Change Increment (2A99), User Index (2A9A); GATT Specification Supplement.

The op code that deletes a user is here for decoders and twins; drivers list it in `forbidden` and never send it.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor, octets
from gatepost.drivers.checksums import FrameError


class UserDataOp(IntEnum):
    """Op code of the User Control Point."""

    REGISTER = 1
    CONSENT = 2
    DELETE = 3
    LIST_USERS = 4
    DELETE_USERS = 5
    RESPONSE = 0x20


RESPONSES = {
    1: "success",
    2: "op-code-not-supported",
    3: "invalid-parameter",
    4: "operation-failed",
    5: "user-not-authorised",
}
UNKNOWN_USER = 0xFF


class UserControl(msgspec.Struct, frozen=True, gc=False):
    """A request (`op` with `user_index`, `consent`) or the answer to one; a new user's index comes with the answer."""

    op: int
    user_index: int | None = None
    consent: int | None = None
    request_op: int | None = None
    response_code: int | None = None

    @property
    def text(self) -> str:
        """The response in a word."""
        return RESPONSES.get(self.response_code or 0, "unknown")


def decode(data: bytes) -> UserControl:
    """FrameError truncated, or unsupported for an op code that is not known."""
    cursor = ValueCursor(data)
    op = cursor.u8()
    if op == UserDataOp.RESPONSE:
        request, code = cursor.u8(), cursor.u8()
        index = cursor.u8() if request == UserDataOp.REGISTER and code == 1 else None
        return UserControl(op, index, request_op=request, response_code=code)
    if op == UserDataOp.REGISTER:
        return UserControl(op, consent=cursor.u16())
    if op == UserDataOp.CONSENT:
        return UserControl(op, cursor.u8(), cursor.u16())
    if op in (UserDataOp.DELETE, UserDataOp.LIST_USERS):
        return UserControl(op)
    if op == UserDataOp.DELETE_USERS:
        return UserControl(op, cursor.u8())
    raise FrameError("unsupported")


def encode(op: UserDataOp, user_index: int | None = None, consent: int | None = None) -> bytes:
    """A request; ValueError when a number does not fit."""
    out = bytes((op,))
    if user_index is not None:
        out += bytes((user_index,))
    return out if consent is None else out + octets(consent, 2)


def give_consent(user_index: int, code: int) -> bytes:
    """Ask for the measurements of this user."""
    return encode(UserDataOp.CONSENT, user_index, code)


def decode_change_increment(data: bytes) -> int:
    """Grows with every change of a user's data."""
    return ValueCursor(data).uint(4)


def decode_user_index(data: bytes) -> int | None:
    """None = no user is chosen."""
    index = ValueCursor(data).u8()
    return None if index == UNKNOWN_USER else index
