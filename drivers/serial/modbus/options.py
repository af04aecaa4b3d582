"""Options of driver `modbus-rtu`: the registers to read, their types and names, and how often."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.extras import install_extra
from gatepost.drivers.options import DriverOptions, MetricName, OptionProblem
from gatepost.drivers.serial.modbus.values import SIZES
from gatepost.drivers.ucum import unit_problem

HINT = install_extra("modbus")
LAST = 65535


class ModbusRegister(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value of the device: where it stands, what form it has, what it is called."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="its name upstream")]
    address: Annotated[int, Meta(ge=0, le=LAST + 1, description="as the device's manual numbers it, see `base`")]
    base: Annotated[
        Literal[0, 1], Meta(description="the number that the manual gives the first register (1: 40001 is address 1)")
    ] = 0
    function: Annotated[
        Literal[1, 2, 3, 4], Meta(description="1 coils, 2 discrete inputs, 3 holding registers, 4 input registers")
    ] = 3
    type: Annotated[Literal["s16", "u16", "s32", "u32", "f32", "bit"], Meta(description="form of the value")] = "u16"
    words: Annotated[
        Literal["ABCD", "CDAB", "BADC", "DCBA"],
        Meta(description="order of the octets: ABCD high first; CDAB low register first; BADC, DCBA octets swapped"),
    ] = "ABCD"
    bit: Annotated[int, Meta(ge=0, le=15, description="type bit in a register: which one, 0 = lowest")] = 0
    scale: Annotated[float, Meta(description="value * scale + offset, in decimal arithmetic")] = 1.0
    offset: Annotated[float, Meta(description="value * scale + offset, in decimal arithmetic")] = 0.0
    unit: Annotated[str, Meta(max_length=32, description="UCUM: Cel, %, hPa, V, kW.h")] = ""
    invalid: Annotated[
        list[int | float], Meta(max_length=16, description='raw values that mean "no value": [0x8000, -32768]')
    ] = []

    @property
    def start(self) -> int:
        """Its address on the wire."""
        return self.address - self.base

    @property
    def size(self) -> int:
        return SIZES[self.type]


class ModbusOptions(DriverOptions, frozen=True, forbid_unknown_fields=True):
    """The device on the bus and its registers."""

    registers: Annotated[list[ModbusRegister], Meta(min_length=1, max_length=500, description="the values to read")]
    unit: Annotated[int, Meta(ge=1, le=247, description="address of the device on the bus (slave id)")] = 1
    interval: Annotated[float, Meta(ge=0.1, le=86400, description="seconds between two readings")] = 10.0
    metric: Annotated[MetricName, Meta(description="the metric_type of its readings")] = "reading"
    timeout: Annotated[float, Meta(ge=0.05, le=30, description="seconds that an answer may take")] = 1.0
    retries: Annotated[int, Meta(ge=0, le=10, description="times a request is repeated")] = 2
    gap: Annotated[
        int, Meta(ge=0, le=64, description="registers in between that may be read along to save a request")
    ] = 0
    most: Annotated[int, Meta(ge=1, le=125, description="registers that the device gives in one answer")] = 125

    def problems(self) -> list[OptionProblem]:
        found = [OptionProblem(f"this driver needs the package pymodbus: {HINT}", hint=HINT)] if not there() else []
        names: set[str] = set()
        for index, register in enumerate(self.registers):
            path = ("registers", str(index))
            if register.name in names:
                found.append(OptionProblem(f"two registers are called {register.name}", (*path, "name")))
            names.add(register.name)
            if not 0 <= register.start <= LAST + 1 - register.size:
                found.append(OptionProblem(f"there is no address {register.address} with base {register.base}",
                                           (*path, "address")))  # fmt: skip
            if not (math.isfinite(register.scale) and math.isfinite(register.offset)):
                found.append(OptionProblem("`scale` and `offset` are finite numbers", path))
            if register.function in (1, 2) and register.type != "bit":
                found.append(OptionProblem("functions 1 and 2 give bits", (*path, "type"), hint="write `type: bit`"))
            if register.size > self.most:
                found.append(OptionProblem(f"{register.name} takes two registers, `most` allows one", ("most",)))
            if register.type == "bit" and (register.scale, register.offset) != (1.0, 0.0):
                found.append(OptionProblem("a bit is not scaled", path, warning=True))
            found += unit_problem(register.unit, (*path, "unit"))
        return found


def there() -> bool:
    """Whether the package that this driver needs is installed."""
    return find_spec("pymodbus") is not None


class RegisterBlock(msgspec.Struct, frozen=True):
    """Registers that one request reads."""

    function: int
    start: int
    count: int
    registers: tuple[ModbusRegister, ...]


def blocks(options: ModbusOptions) -> list[RegisterBlock]:
    """The fewest requests, in the order of functions and addresses."""
    made: list[RegisterBlock] = []
    most = {1: 2000, 2: 2000}
    for register in sorted(options.registers, key=lambda each: (each.function, each.start)):
        end = register.start + register.size
        last = made[-1] if made else None
        if last is not None and last.function == register.function:
            until = max(end, last.start + last.count)
            near = register.start <= last.start + last.count + options.gap
            if near and until - last.start <= most.get(register.function, options.most):
                made[-1] = RegisterBlock(last.function, last.start, until - last.start, (*last.registers, register))
                continue
        made.append(RegisterBlock(register.function, register.start, register.size, (register,)))
    return made
