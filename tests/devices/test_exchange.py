from __future__ import annotations

import logging
import re

import pytest

from gatepost.agent.devices.device_io import MAX_UNREAD, DeviceExchange, GuardedWriter
from gatepost.agent.devices.health import DeviceCounters, DeviceHealth
from gatepost.agent.devices.store_queue import StoreQueue
from gatepost.drivers.driver import CommandFailed, ForbiddenWrite
from gatepost.drivers.reading import Reading, Reply
from tests.devices.fakes import Bench, TestDriver
from tests.support.clock import HandClock
from tests.support.failing import failing


class Shy(TestDriver):
    forbidden = (ForbiddenWrite("erase", re.compile(rb"^DMZ")),)


class Wire:
    can_pause = True

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send(self, data: bytes, timeout: float) -> None:
        self.sent.append(data)


def made() -> tuple[DeviceExchange, Wire]:
    wire = Wire()
    bench = Bench()
    clock = HandClock()
    health = DeviceHealth("d", clock, logging.getLogger("test"), lambda before: None)
    queue = StoreQueue("d", bench.store, DeviceCounters(), logging.getLogger("test"))
    return DeviceExchange(wire, GuardedWriter(Shy(), 1.0), queue, health, clock), wire  # type: ignore[arg-type]


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
    for value in range(3 * MAX_UNREAD):
        exchange.heard(Reply("r", {"n": value}), 0)
    assert await exchange.wait(number, 1.0) == 2 * MAX_UNREAD


async def test_what_came_before_the_loss_is_still_heard_and_then_it_fails():
    exchange, _wire = made()
    exchange.heard(Reply("r", {"n": 1}), 0)
    exchange.abort()
    assert await exchange.wait(number, 1.0) == 1
    with pytest.raises(CommandFailed):
        await exchange.wait(number, 1.0)
    with pytest.raises(CommandFailed):
        await exchange.send(b"?")


async def test_forbidden_words_are_not_said():
    exchange, wire = made()
    with failing(CommandFailed, key="forbidden"):
        await exchange.send(b"DMZ\r")
    await exchange.send(b"DMP\r")
    assert wire.sent == [b"DMP\r"]


async def test_a_serial_device_is_no_peripheral():
    exchange, _wire = made()
    with failing(CommandFailed, key="no-peripheral"):
        _ = exchange.peripheral


async def test_the_moment_is_local_and_says_whether_it_is_trusted():
    exchange, _wire = made()
    moment = exchange.now()
    assert moment.trusted
    assert moment.local.tzinfo is None
    assert moment.local.timestamp() == pytest.approx(HandClock().now().wall / 1e6)
