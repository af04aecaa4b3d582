from __future__ import annotations

import pytest

from agent.devices.exchange import MOST_HEARD, DeviceExchange
from drivers.driver import CommandFailed
from drivers.reading import Reading, Reply


class Wire:
    can_pause = True

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send(self, data: bytes, timeout: float) -> None:
        self.sent.append(data)


def made() -> tuple[DeviceExchange, Wire]:
    wire = Wire()
    return DeviceExchange(wire, 1.0), wire  # type: ignore[arg-type]


def number(item: Reading | Reply) -> int | None:
    return item.fields.get("n") if isinstance(item, Reply) else None


async def test_what_was_heard_before_the_question_is_no_answer():
    exchange, wire = made()
    exchange.heard(Reply("r", {"n": 1}), 0)
    await exchange.send(b"?")
    exchange.heard(Reply("r", {"n": 2}), 0)
    assert await exchange.wait(number, 1.0) == 2
    assert wire.sent == [b"?"]


async def test_an_answer_that_does_not_come_is_a_timeout():
    exchange, _wire = made()
    exchange.heard(Reply("r", {}), 0)
    with pytest.raises(TimeoutError):
        await exchange.wait(number, 0.02)


async def test_a_stream_beside_the_answer_is_bounded():
    exchange, _wire = made()
    for value in range(3 * MOST_HEARD):
        exchange.heard(Reply("r", {"n": value}), 0)
    assert await exchange.wait(number, 1.0) == 2 * MOST_HEARD


async def test_what_came_before_the_loss_is_still_heard_and_then_it_fails():
    exchange, _wire = made()
    exchange.heard(Reply("r", {"n": 1}), 0)
    exchange.abort()
    assert await exchange.wait(number, 1.0) == 1
    with pytest.raises(CommandFailed):
        await exchange.wait(number, 1.0)
    with pytest.raises(CommandFailed):
        await exchange.send(b"?")
