"""Driver `modbus-rtu`: any device whose registers can be read by Modbus RTU. Needs the extra `modbus` (pymodbus)."""

from __future__ import annotations

import asyncio
import re
from typing import Any, ClassVar

import msgspec

from gatepost.drivers.driver import Command, DeviceIO, Driver, ForbiddenWrite, SerialSettings, Twin
from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.options import OptionProblem, WrongOptions
from gatepost.drivers.reading import Reading, Reply, as_result
from gatepost.drivers.serial.modbus.decoder import EXCEPTIONS, NO_ANSWER, RETRYABLE_EXCEPTIONS, ModbusDecoder
from gatepost.drivers.serial.modbus.options import HINT, ModbusOptions, RegisterBlock, blocks, there

EXAMPLE: dict[str, Any] = {
    "unit": 1,
    "interval": 10.0,
    "metric": "environment",
    "registers": [
        {"name": "temperature", "address": 0, "function": 4, "type": "s16", "scale": 0.1, "unit": "Cel"},
        {"name": "humidity", "address": 1, "function": 4, "type": "u16", "scale": 0.1, "unit": "%"},
    ],
}
SILENT_HINT = "is it switched on, and are its address (`unit`) and the line settings right?"
BUSY_PAUSE = 0.5  # seconds before a device that is busy is asked again


class ModbusRtu(Driver):
    """Reads, never writes. All registers of a round make one reading."""

    name = "modbus-rtu"
    title = "Modbus RTU device"
    line = SerialSettings(9600, 8, "E", 1)
    options_type = ModbusOptions
    example_options: ClassVar[dict[str, Any]] = EXAMPLE
    commands = (Command("read_now", "Read the registers now", timeout=60.0),)
    forbidden = (ForbiddenWrite("write", re.compile(rb"\A.[^\x01-\x04]", re.DOTALL)),)
    source = "Modbus Application Protocol V1.1b3; Modbus over Serial Line V1.02"
    _decoder: ModbusDecoder  # of the newest session

    def __init__(self, options: Any = None) -> None:
        if not there():
            raise WrongOptions([OptionProblem(f"this driver needs the package pymodbus: {HINT}", hint=HINT)])
        super().__init__(msgspec.convert(EXAMPLE, ModbusOptions) if options is None else options)
        self._blocks = blocks(self.options)
        self._now = asyncio.Event()

    @classmethod
    def value_names(cls, options: Any = None) -> tuple[str, ...]:
        return tuple(register.name for register in options.registers) if options is not None else ()

    def decoder(self) -> ModbusDecoder:
        self._decoder = ModbusDecoder(self.options)
        return self._decoder

    async def run_session(self, io: DeviceIO) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            answered = False
            for block in self._blocks:
                answered |= await self._read(io, block, block is self._blocks[-1])
            if not answered:
                raise LinkFailed(Reason.SILENT, f"device {self.options.unit} on the bus does not answer", SILENT_HINT)
            due = max(due + self.options.interval, loop.time())
            self._now.clear()
            try:
                async with asyncio.timeout_at(due):
                    await self._now.wait()
            except TimeoutError:
                continue
            due = loop.time()

    async def _read(self, io: DeviceIO, block: RegisterBlock, last: bool) -> bool:
        """Ask until it answers or the tries are used up. Whether it answered, if only to say no."""
        from gatepost.drivers.serial.modbus.frames import request

        now = asyncio.get_running_loop().time
        why, answered, unanswered, began = NO_ANSWER, False, 0, now()
        words = request(self.options.unit, block.function, block.start, block.count)
        for _ in range(self.options.retries + 1):
            self._decoder.ask(block, words, last)
            await io.send(words)
            try:
                reply = await io.wait(_answer, self.options.timeout)
            except TimeoutError:
                unanswered += 1
                continue
            if reply.kind == "answer":
                await self._pass_late(unanswered, now() - began)
                return True
            answered = True
            code = reply.fields["code"]
            why = EXCEPTIONS.get(code, f"exception-{code}")
            if code not in RETRYABLE_EXCEPTIONS:
                break
            await asyncio.sleep(BUSY_PAUSE)
        self._decoder.missed(why)
        await self._pass_late(unanswered, now() - began if answered else 0.0)
        io.feed(b"")  # the reading, if this was the last it waited for
        return answered

    async def _pass_late(self, unanswered: int, took: float) -> None:
        """An answer that is late belongs to nobody: it looks like one to the next request. A slow device answers each
        request that was repeated, and may need for each as long as the first answer `took`."""
        if unanswered:
            await asyncio.sleep(unanswered * took + self.options.timeout)

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        if command != "read_now":
            return await super().execute(command, parameters, io)
        self._now.set()
        reading = await io.wait(lambda item: item if isinstance(item, Reading) else None, 55.0)
        return as_result(reading)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        from gatepost.drivers.serial.modbus.twin import ModbusTwin

        return ModbusTwin(msgspec.convert(EXAMPLE, ModbusOptions) if options is None else options, seed)


def _answer(item: Reading | Reply) -> Reply | None:
    return item if isinstance(item, Reply) and item.kind in ("answer", "exception") else None
