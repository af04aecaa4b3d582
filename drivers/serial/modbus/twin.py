"""Twin of a Modbus RTU device; its registers wander around what the settings expect of them."""

from __future__ import annotations

import math
import random
import struct

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsResponse, ReadDiscreteInputsResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

from gatepost.drivers.serial.modbus.options import ModbusOptions, ModbusRegister
from gatepost.drivers.serial.modbus.values import octets

ANSWERS: dict[int, type[ModbusPDU]] = {
    1: ReadCoilsResponse,
    2: ReadDiscreteInputsResponse,
    3: ReadHoldingRegistersResponse,
    4: ReadInputRegistersResponse,
}
REQUEST = 8  # octets of a request to read
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 1, 2


class ModbusTwin:
    """Answers requests to its unit; addresses that no register of the settings covers are illegal."""

    interval = 1.0

    def __init__(self, options: ModbusOptions, seed: int = 0) -> None:
        self.unit = options.unit
        self.echo = False  # like an adapter that hears itself
        self.silent = False
        self.cells: dict[tuple[int, int], int] = {}  # (function, address on the wire) -> register or bit
        self._registers = options.registers
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._heard = b""
        self._decoder = DecodePDU(True)
        self.tick()

    def tick(self) -> bytes:
        for register in self._registers:
            self.put(register, self._random.uniform(18, 26))
        return b""

    def put(self, register: ModbusRegister, value: float) -> None:
        """Let a register hold what reads as `value`."""
        key = (register.function, register.start)
        if register.function in (1, 2):
            self.cells[key] = int(value) & 1
            return
        if register.type == "bit":
            self.cells[key] = (int(value) & 1) << register.bit
            return
        raw = (value - register.offset) / (register.scale or 1.0)
        if register.type == "f32":
            data = struct.pack(">f", raw if math.isfinite(raw) and abs(raw) < 1e38 else 0.0)
        else:
            bits = 16 * register.size
            data = (round(raw) & (1 << bits) - 1).to_bytes(bits // 8, "big")
        cells = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
        ordered = octets(cells, register.words)  # every order is its own inverse
        for i in range(register.size):
            self.cells[register.function, register.start + i] = int.from_bytes(ordered[2 * i : 2 * i + 2], "big")

    def hear(self, data: bytes) -> bytes:
        self._heard = (self._heard + data)[-256:]
        said = b""
        while len(self._heard) >= REQUEST:
            frame = self._heard[:REQUEST]
            if not FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")):
                self._heard = self._heard[1:]
                continue
            self._heard = self._heard[REQUEST:]
            said += (frame if self.echo else b"") + self._answer(frame)
        return said

    def _answer(self, frame: bytes) -> bytes:
        if frame[0] != self.unit or self.silent:
            return b""
        function, start, count = frame[1], int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
        answer: ModbusPDU
        if function not in ANSWERS:
            answer = ExceptionResponse(function, ILLEGAL_FUNCTION, device_id=self.unit)
        elif not count or any((function, start + i) not in self.cells for i in range(count)):
            answer = ExceptionResponse(function, ILLEGAL_ADDRESS, device_id=self.unit)
        else:
            cells = [self.cells[function, start + i] for i in range(count)]
            if function in (1, 2):
                answer = ANSWERS[function](dev_id=self.unit, bits=[bool(cell) for cell in cells])
            else:
                answer = ANSWERS[function](dev_id=self.unit, registers=cells)
        return FramerRTU(self._decoder).buildFrame(answer)
