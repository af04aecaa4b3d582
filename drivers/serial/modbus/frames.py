"""Modbus RTU requests and answers, by pymodbus' framer and messages, which do no input or output.

Loaded only when a device uses it. pymodbus gives the form of messages and the CRC; where an answer begins in a stream
with echoes, noise and late answers is found here, as the asker knows what it asked.
"""

from __future__ import annotations

from typing import NamedTuple

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from gatepost.drivers.checksums import FrameError

REQUESTS: dict[int, type[ModbusPDU]] = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}
FAILED = 0x80  # set in the function of an answer that says no
SHORTEST = 5  # octets of an answer: unit, function, code or count, CRC


class ModbusResponse(NamedTuple):
    """`registers` or `bits`, or the code of the exception."""

    unit: int
    function: int
    registers: list[int]
    bits: list[bool]
    exception: int | None = None


def request(unit: int, function: int, start: int, count: int) -> bytes:
    """The octets that ask for `count` registers or bits from address `start` of the wire on."""
    message = REQUESTS[function](dev_id=unit, address=start, count=count)
    return FramerRTU(DecodePDU(True)).buildFrame(message)


def answer_size(function: int, count: int) -> int:
    """Octets of the answer that is no exception."""
    return 5 + ((count + 7) // 8 if function in (1, 2) else 2 * count)


def decode_answer(frame: bytes) -> ModbusResponse:
    """One whole answer; FrameError truncated, bad_length, bad_crc, unsupported or bad_frame."""
    if len(frame) < SHORTEST:
        raise FrameError("truncated")
    decoder = DecodePDU(False)
    kind = decoder.lookupPduClass(frame)
    if kind is None:
        raise FrameError("unsupported")
    size = kind.calculateRtuFrameSize(frame)
    if not size or len(frame) < size:
        raise FrameError("truncated")
    if len(frame) > size:
        raise FrameError("bad_length")
    if not FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")):
        raise FrameError("bad_crc")
    function = frame[1] & ~FAILED
    if frame[1] & FAILED:
        return ModbusResponse(frame[0], function, [], [], frame[2])
    message = decoder.decode(frame[1:-2])
    if message is None or isinstance(message, ExceptionResponse) or (function in (3, 4) and frame[2] % 2):
        raise FrameError("bad_frame")
    return ModbusResponse(frame[0], function, list(message.registers), list(message.bits))


def find_answer(data: bytes, unit: int, function: int, count: int) -> tuple[ModbusResponse | None, int]:
    """The answer to a request in what was heard since; and how many octets are done with, answer included."""
    size = answer_size(function, count)
    heads = (bytes((unit, function, size - 5)), bytes((unit, function | FAILED)))
    for at in range(len(data)):
        rest = data[at : at + size]
        if not any(head.startswith(rest[: len(head)]) for head in heads):
            continue
        wanted = SHORTEST if len(rest) > 1 and rest[1] & FAILED else size
        if len(rest) < wanted:
            return None, at  # it may be the beginning of one
        try:
            return decode_answer(rest[:wanted]), at + wanted
        except FrameError:
            continue
    return None, len(data)
