"""Modbus RTU: answers -> one reading for each round of requests. The conversation says what was asked."""

from __future__ import annotations

import math
from typing import Any

from gatepost.drivers.reading import BAD, GOOD, Faults, Reading, Reply
from gatepost.drivers.serial.modbus.options import ModbusOptions, ModbusRegister, RegisterBlock, blocks
from gatepost.drivers.serial.modbus.values import raw_number, scaled, spellings

MAX_KEPT = 512  # octets that are kept while an answer is looked for
EXCEPTIONS = {
    1: "illegal-function", 2: "illegal-address", 3: "illegal-value", 4: "device-failure", 5: "acknowledge", 6: "busy",
    8: "memory-parity", 10: "gateway-path", 11: "gateway-no-answer",
}  # fmt: skip
RETRYABLE_EXCEPTIONS = (5, 6)  # it may be asked again soon
NO_ANSWER = "no-answer"


class ModbusDecoder:
    """`ask` before a request is sent, `missed` when no answer came; the last block of a round completes its reading,
    unless nothing in the round was answered.

    Replies: `answer` with what the block gave, `exception` with its code.
    """

    def __init__(self, options: ModbusOptions) -> None:
        self.faults = Faults()
        self._options = options
        self._block: RegisterBlock | None = None
        self._last = False
        self._request = b""
        self._echo = False
        self._heard = b""
        self._values: dict[str, Any] = {}
        self._flags: list[str] = []
        self._due = self._answered = False  # the round is over; something in it was answered

    def ask(self, block: RegisterBlock, request: bytes, last: bool) -> None:
        """What is heard from now on may be the answer for `block`."""
        self._block, self._request, self._last = block, request, last
        self._echo, self._heard = True, b""

    def said(self, data: bytes) -> None:
        """`ask` by the octets of a request, where only a recording knows what was asked."""
        from gatepost.drivers.serial.modbus.frames import request

        made = blocks(self._options)
        for block in made:
            if request(self._options.unit, block.function, block.start, block.count) == data:
                self.ask(block, data, block is made[-1])
                return

    def missed(self, why: str) -> None:
        """The block that was asked for has no values now; `feed` gives the reading if it was the last of its round."""
        block, self._block = self._block, None
        if block is not None:
            self._flags += [f"{register.name}:{why}" for register in block.registers]
            self.faults.add(why, "the device gave no values for a request")
            self._due = self._last

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        if self._block is None:
            if data:
                self.faults.add("unasked", "octets that are no answer to a request", len(data))
        elif data:
            out += self._listen(self._block, data)
        if self._due:
            self._due = False
            found = self._reading()
            if self._answered:
                out.append(found)
            self._answered = False
        return out

    def _listen(self, block: RegisterBlock, data: bytes) -> list[Reading | Reply]:
        from gatepost.drivers.serial.modbus.frames import find_answer

        self._heard += data
        if self._echo:  # an adapter for two wires may hear what it says itself
            if self._request.startswith(self._heard[: len(self._request)]) and len(self._heard) < len(self._request):
                return []
            self._echo = False
            self._heard = self._heard.removeprefix(self._request)
        answer, done = find_answer(self._heard, self._options.unit, block.function, block.count)
        passed = done if answer is None else done - _size(block, answer.exception)
        if passed:
            self.faults.add("noise", "octets before an answer, or an answer with a wrong CRC", passed)
        self._heard = self._heard[done:][:MAX_KEPT]
        if answer is None:
            return []
        self._answered = True
        if answer.exception is not None:
            return [Reply("exception", {"code": answer.exception})]  # the conversation decides whether to ask again
        self._block = None
        for register in block.registers:
            self._take(register, block, answer.registers, answer.bits)
        self._due = self._last
        return [Reply("answer", {"count": block.count})]

    def _take(self, register: ModbusRegister, block: RegisterBlock, registers: list[int], bits: list[bool]) -> None:
        at = register.start - block.start
        if register.function in (1, 2):
            self._values[register.name] = bool(bits[at])
            return
        ours = registers[at : at + register.size]
        if register.type == "bit":
            self._values[register.name] = bool(raw_number("u16", ours, register.words) & 1 << register.bit)  # type: ignore[operator]
            return
        number = raw_number(register.type, ours, register.words)
        if not math.isfinite(number):
            self._flags.append(f"{register.name}:nan")
        elif spellings(register.type, number, ours, register.words) & set(register.invalid):
            self._flags.append(f"{register.name}:invalid")
        elif not math.isfinite(value := scaled(number, register.scale, register.offset)):
            self._flags.append(f"{register.name}:over-range")
        else:
            self._values[register.name] = value

    def _reading(self) -> Reading:
        units = {each.name: each.unit for each in self._options.registers if each.unit and each.name in self._values}
        found = Reading(self._options.metric, self._values, units, tuple(self._flags), GOOD if self._values else BAD)
        self._values, self._flags = {}, []
        return found


def _size(block: RegisterBlock, exception: int | None) -> int:
    from gatepost.drivers.serial.modbus.frames import SHORTEST, answer_size

    return SHORTEST if exception is not None else answer_size(block.function, block.count)
