"""The order of acknowledgements, whatever the order in which the work is finished."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gatepost.agent.uplink.mqtt.inbox import PACKET_IDS, InboundMessage, MessageInbox
from tests.support.waiting import until


def message(topic: str, qos: int = 1) -> InboundMessage:
    return InboundMessage(topic, b"x", qos, False, False, {})


async def test_acknowledged_in_order_of_arrival() -> None:
    gates = {name: asyncio.Event() for name in "abc"}
    answers: list[tuple[int, int, int]] = []
    started: list[str] = []

    async def work(inbound: InboundMessage) -> int:
        started.append(inbound.topic)
        await gates[inbound.topic].wait()
        return 0

    inbox = MessageInbox(work, lambda *answer: answers.append(answer), set())
    for mid, name in enumerate("abc", 1):
        inbox.take(message(name, 2 if name == "b" else 1), mid)
    await until(lambda: started == ["a", "b", "c"])
    gates["c"].set()
    gates["b"].set()
    await until(lambda: inbox.busy == 1)
    assert answers == []
    gates["a"].set()
    await until(lambda: inbox.busy == 0)
    assert answers == [(1, 1, 0), (2, 2, 0), (1, 3, 0)]


async def test_stop_ends_what_runs_and_acknowledges_nothing() -> None:
    answers: list[tuple[int, int, int]] = []

    async def work(inbound: InboundMessage) -> int:
        await asyncio.Event().wait()
        return 0

    seen: set[int] = set()
    inbox = MessageInbox(work, lambda *answer: answers.append(answer), seen, at_once=1)
    inbox.take(message("a", 2), 1)
    inbox.take(message("b"), 2)
    await asyncio.sleep(0)
    await inbox.stop()
    assert inbox.busy == 0
    assert answers == []
    assert seen == set()  # it may come again


async def test_a_refused_qos_2_message_may_come_again() -> None:
    answers: list[tuple[int, int, int]] = []
    taken: list[str] = []

    async def work(inbound: InboundMessage) -> int:
        taken.append(inbound.topic)
        return 0x97

    inbox = MessageInbox(work, lambda *answer: answers.append(answer), set())
    for _ in range(2):
        inbox.take(message("a", 2), 1)
        await until(lambda: inbox.busy == 0)
    assert taken == ["a", "a"]
    assert answers == [(2, 1, 0x97)] * 2
    assert inbox.release(1) is False


async def test_a_repeat_of_a_qos_2_message_that_is_being_dealt_with_is_ignored() -> None:
    gate = asyncio.Event()
    answers: list[tuple[int, int, int]] = []
    taken: list[str] = []

    async def work(inbound: InboundMessage) -> int:
        taken.append(inbound.topic)
        await gate.wait()
        return 0

    inbox = MessageInbox(work, lambda *answer: answers.append(answer), set())
    inbox.take(message("a", 2), 1)
    inbox.take(message("a", 2), 1)
    gate.set()
    await until(lambda: inbox.busy == 0)
    assert taken == ["a"]
    assert answers == [(2, 1, 0)]


async def test_reading_pauses_when_too_much_waits_and_goes_on_when_half_is_done() -> None:
    gate = asyncio.Event()
    pauses: list[tuple[bool, int]] = []

    async def work(inbound: InboundMessage) -> int:
        await gate.wait()
        return 0

    inbox = MessageInbox(
        work, lambda *answer: None, set(), pause=lambda on: pauses.append((on, inbox.busy)), at_once=1, waiting=4
    )
    for mid in range(1, 8):
        inbox.take(message("a"), mid)
    assert [on for on, _ in pauses] == [True]
    gate.set()
    await until(lambda: inbox.busy == 0)
    assert [on for on, _ in pauses] == [True, False]
    assert pauses[1][1] <= 3


async def test_what_is_too_much_never_pauses_the_reading_and_is_answered_in_its_turn() -> None:
    gate = asyncio.Event()
    answers: list[tuple[int, int, int]] = []
    handled = 0

    async def work(inbound: InboundMessage) -> int:
        nonlocal handled
        handled += 1
        await gate.wait()
        return 0

    inbox = MessageInbox(work, lambda *answer: answers.append(answer), set(), at_once=1, waiting=2)
    for mid in range(1, 6):
        inbox.take(message("a"), mid)
    inbox.take(message("a", 0), 0)
    assert answers == []  # a broker of 3.1.1, which does not know the code, keeps back what is not acknowledged
    gate.set()
    await until(lambda: inbox.busy == 0)
    assert answers == [(1, 1, 0), (1, 2, 0), (1, 3, 0), (1, 4, 0x97), (1, 5, 0x97)]
    assert (handled, inbox.dropped) == (3, 3)
    inbox.take(message("a"), 6)
    await until(lambda: inbox.busy == 0)
    assert answers[-1] == (1, 6, 0)


async def test_waiting_octets_are_bounded_too() -> None:
    gate = asyncio.Event()

    async def work(inbound: InboundMessage) -> int:
        await gate.wait()
        return 0

    inbox = MessageInbox(work, lambda *answer: None, set(), at_once=1, octets=4)
    for _ in range(10):
        inbox.take(message("a", 0), 0)
    assert inbox.dropped == 7
    gate.set()
    await until(lambda: inbox.busy == 0)


@pytest.mark.parametrize(
    "large",
    [
        {"topic": "a" * 60_000},
        {"properties": {"response_topic": "a" * 60_000}},
        {"properties": {"correlation_data": b"a" * 60_000}},
        {"properties": {"user_property": [("", "")] * 1000}},
        {"properties": {"user_property": [("a" * 30_000, "a" * 30_000)]}},
        {"properties": {"subscription_identifier": [1] * 1000}},
    ],
)
async def test_everything_that_a_waiting_message_brings_is_counted(large: dict[str, Any]) -> None:
    gate = asyncio.Event()

    async def work(inbound: InboundMessage) -> int:
        await gate.wait()
        return 0

    inbox = MessageInbox(work, lambda *answer: None, set(), at_once=1, octets=200_000)
    for _ in range(100):
        inbox.take(msgspec.structs.replace(message("a", 0), **large), 0)
    assert inbox.busy < 10
    gate.set()
    await until(lambda: inbox.busy == 0)


async def test_a_broker_that_repeats_packet_ids_takes_no_memory_for_it() -> None:
    gate = asyncio.Event()
    answers: list[int] = []

    async def work(inbound: InboundMessage) -> int:
        await gate.wait()
        return 0

    inbox = MessageInbox(work, lambda qos, mid, code: answers.append(code), set(), at_once=1, waiting=2)
    one = message("a")
    for _ in range(PACKET_IDS + 10):
        inbox.take(one, 7)
    gate.set()
    await until(lambda: inbox.busy == 0)
    assert len(answers) == PACKET_IDS
