"""Conversations: stored records are taken once, in the transaction of their bookmark; how a session ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatepost.drivers.driver import SessionOver, WrongDevice
from gatepost.drivers.reading import Faults, Reading, Reply
from tests.devices.fakes import Bench, TestDriver, execute, line, until


class Numbers:
    """Decoder of a device with records: `r<number>` each, `end` after them. Gives those beyond the bookmark."""

    def __init__(self, last: int) -> None:
        self.faults = Faults()
        self.last = last

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for word in data.split():
            if word == b"end":
                out.append(Reply("end", {}))
            elif (number := int(word[1:])) > self.last:
                self.last = number
                out.append(Reading("glucose", {"glucose": number}, bookmark=("sequence", number)))
        return out


class Meter(TestDriver):
    name = "meter"
    default_interval = 60.0
    keeps_records = True

    def decoder(self) -> Any:
        return Numbers(self.bookmarks.get("sequence", 0))

    async def run_session(self, io: Any) -> None:
        await io.send(b"dump")
        io.progress("records", 0, 4)
        await io.wait(lambda item: item if isinstance(item, Reply) else None, 5.0)
        await io.stored()
        io.update_status(battery=80, serial_number="M-1")
        raise SessionOver("all records are stored", 0.0)


class Stranger(TestDriver):
    name = "stranger"

    async def run_session(self, io: Any) -> None:
        raise WrongDevice("a scale answered, where a meter was expected")


class Mute(TestDriver):
    name = "mute"

    async def run_session(self, io: Any) -> None:
        await io.send(b"who")
        await io.wait(lambda item: item, 0.01)


class Leaky(TestDriver):
    name = "leaky"
    begun = ended = False

    async def run_session(self, io: Any) -> None:
        type(self).begun = True
        try:
            await asyncio.sleep(3600)
        finally:
            type(self).ended = True


class Cuff(TestDriver):
    """A bar is a measurement from memory, a number one that was taken just now."""

    name = "cuff"

    def decoder(self) -> Any:
        class Decoder:
            faults = Faults()

            def feed(self, data: bytes) -> list[Reading | Reply]:
                flags = ("from-memory",) if data == b"|" else ()
                return [
                    Reading("blood_pressure", {"systolic": len(data)}, flags=flags, bookmark=("cuff", data.decode()))
                ]

        return Decoder()


@pytest.fixture
def meters(bench: Bench) -> Bench:
    for kind in (Meter, Stranger, Mute, Leaky, Cuff):
        bench.devices._registry._sources[kind.name] = lambda kind=kind: kind
    return bench


async def started(bench: Bench, driver: str) -> None:
    from gatepost.agent.settings.model import DeviceSettings

    await bench.devices.apply({"d": DeviceSettings(driver=driver, port="/dev/x")})


async def test_records_are_taken_once_over_sessions_whatever_the_pace(meters: Bench) -> None:
    meters.answers[b"dump"] = b"r1 r2 r3 r4 end"
    await started(meters, "meter")
    await until(lambda: meters.link.opened >= 3)
    assert meters.store.values("glucose") == [1, 2, 3, 4]
    assert meters.store.state["mark:d:sequence"] == b"4"


async def test_a_new_record_is_taken_in_the_next_session(meters: Bench) -> None:
    meters.answers[b"dump"] = b"r1 r2 end"
    await started(meters, "meter")
    await until(lambda: meters.link.opened >= 2)
    meters.answers[b"dump"] = b"r1 r2 r3 end"
    await until(lambda: len(meters.store.rows) == 3)
    await until(lambda: meters.view()["reason"] == "asleep" or meters.view()["status"] == "online")
    assert meters.store.values("glucose") == [1, 2, 3]


async def test_a_full_store_keeps_records_waiting_and_their_marks_with_them(meters: Bench) -> None:
    meters.store.limit = 2
    meters.can_pause = False
    meters.answers[b"dump"] = b"r1 r2 r3 r4 end"
    await started(meters, "meter")
    await until(lambda: len(meters.store.rows) == 2)
    assert meters.store.state["mark:d:sequence"] == b"2"
    meters.store.limit = 100
    meters.store.make_room()
    await until(lambda: len(meters.store.rows) == 4)
    assert meters.store.values("glucose") == [1, 2, 3, 4]
    assert meters.store.losses == []


async def test_a_store_that_cannot_say_what_it_has_keeps_a_meter_closed(meters: Bench) -> None:
    meters.answers[b"dump"] = b"r1 end"
    meters.store.broken_state = True
    await started(meters, "meter")
    await until(lambda: meters.view()["reason"] == "store")
    assert meters.link.opened == 0
    meters.store.broken_state = False
    await until(lambda: meters.store.values("glucose") == [1])


async def test_what_a_device_tells_of_itself_is_in_its_status(meters: Bench) -> None:
    meters.answers[b"dump"] = b"end"
    await started(meters, "meter")
    await until(lambda: any(payload.get("battery") == 80 for _name, payload in meters.statuses))
    assert meters.view()["serial_number"] == "M-1"


async def test_a_wrong_device_is_an_error_until_something_is_decoded(meters: Bench) -> None:
    await started(meters, "stranger")
    await until(lambda: meters.view()["reason"] == "wrong-device")
    assert meters.view()["status"] == "error"
    await until(lambda: meters.link.opened >= 3)
    assert [payload["status"] for _, payload in meters.statuses].count("online") == 1


async def test_no_answer_ends_the_session(meters: Bench) -> None:
    await started(meters, "mute")
    await until(lambda: meters.view()["reason"] == "timeout")
    await until(lambda: meters.link.opened >= 2)


async def test_a_conversation_ends_with_its_session(meters: Bench) -> None:
    await started(meters, "leaky")
    await until(lambda: Leaky.begun)
    await meters.devices.apply({})
    assert Leaky.ended


async def test_a_driver_without_a_conversation_goes_the_straight_way(bench: Bench) -> None:
    link = await bench.online()
    await until(lambda: bench.devices._sessions["d"].pipeline.conversation is None)
    link.say(line(a=1))
    assert bench.store.values("a") == [1]


async def test_the_links_are_closed_with_the_devices(bench: Bench) -> None:
    await bench.online()
    await bench.devices.close()
    assert bench.closed_links


async def test_a_measurement_with_a_mark_answers_who_asked_and_one_from_memory_does_not(meters: Bench) -> None:
    await started(meters, "cuff")
    await until(lambda: meters.view()["status"] == "online")
    asked = asyncio.create_task(execute(meters.devices, "d", "read_now", {}))
    await asyncio.sleep(0)
    meters.link.say(b"|")
    await asyncio.sleep(0.01)
    assert not asked.done()
    meters.link.say(b"120")
    assert (await asked)["values"] == {"systolic": 3}
