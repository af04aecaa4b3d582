"""Contec protocol V7: questions to the device and their answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from gatepost.drivers.asking import ask
from gatepost.drivers.driver import CommandFailed, DeviceIO
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.serial.contec import v7_packets as v7

ANSWER_TIMEOUT = 1.0  # seconds a device may take to answer, by the paper
QUESTION_TRIES = 3  # of a question: its answer may be lost on the line

T = TypeVar("T")


def feedback_to(command: int, item: Reading | Reply) -> bool | None:
    """True for "done", None for anything else; CommandFailed for a refusal."""
    if isinstance(item, Reading) or item.kind != "feedback" or item.fields["command"] != command:
        return None
    if item.fields["reason"] != 0:
        raise CommandFailed(item.fields["text"], f"the device answered: {item.fields['text']}")
    return True


async def order(io: DeviceIO, command: int, arguments: bytes = b"") -> None:
    """Send a command and wait for the feedback to it; one that stops live data may be answered with an idle packet."""

    def answered(item: Reading | Reply) -> bool | None:
        if command == v7.STOP_LIVE and isinstance(item, Reply) and item.kind == "idle":
            return True
        return feedback_to(command, item)

    await io.send(v7.encode_packet(command, arguments))
    await io.wait(answered, ANSWER_TIMEOUT)


async def question(io: DeviceIO, command: int, arguments: bytes, answer: Callable[[Reply], T | None]) -> T:
    """Ask until it is answered; CommandFailed when the device refuses, TimeoutError when it never answers."""

    def told(item: Reading | Reply) -> T | None:
        feedback_to(command, item)
        return answer(item) if isinstance(item, Reply) else None

    return await ask(io, lambda: io.send(v7.encode_packet(command, arguments)), told, ANSWER_TIMEOUT, QUESTION_TRIES)


async def start_live(io: DeviceIO) -> None:
    """Live data is the answer; a unit may send feedback before it."""

    def started(item: Reading | Reply) -> bool | None:
        return True if isinstance(item, Reading) else feedback_to(v7.START_LIVE, item)

    await io.send(v7.encode_packet(v7.START_LIVE))
    await io.wait(started, 2 * ANSWER_TIMEOUT)


async def identity(io: DeviceIO) -> dict[str, Any]:
    """What the device calls itself."""
    return await question(io, v7.DEVICE_ID, b"", lambda reply: reply.fields if reply.kind == "identity" else None)


async def set_clock(io: DeviceIO, moment: datetime) -> dict[str, Any]:
    """Date, then time."""
    century, year = divmod(moment.year, 100)
    weekday = moment.isoweekday() % 7  # 0 is Sunday
    await order(io, v7.SET_DATE, bytes((century, year, moment.month, moment.day, weekday)))
    await order(io, v7.SET_TIME, bytes((moment.hour, moment.minute, moment.second)))
    return {"time": moment.replace(microsecond=0, tzinfo=None).isoformat()}
