"""At most once, and no answer forgotten."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatepost.agent.commands.responder import GIVE_UP_AFTER
from gatepost.agent.core.clock import US, Stamp
from gatepost.agent.devices.health import DeviceState
from gatepost.agent.settings.model import BrokerSettings
from gatepost.agent.store.command_ledger import DAY, CommandLedger, LedgerEntry
from gatepost.agent.store.database import Database
from tests.support.clock import HandClock
from tests.support.waiting import until

from .helpers import BOUND, T0, Office, settings

READ = {"id": "r-1", "command": "read_now"}


async def test_a_repeat_is_refused_and_told_how_the_first_ended(office: Office) -> None:
    await office.ask(READ)
    repeat = await office.ask(READ)
    assert repeat.error["key"] == "duplicate"
    assert repeat.result["earlier"]["status"] == "done"
    assert len(office.room.done) == 1


async def test_an_id_counts_for_the_whole_gateway_whatever_the_source(office: Office) -> None:
    await office.ask(READ)
    for more in ({"target": None}, {"target": "scale-2", "trusted": True}, {"source": "broadcast:other"}):
        assert (await office.ask(READ, **more)).error["key"] == "duplicate"
    assert len(office.room.done) == 1


async def test_a_repeat_is_told_as_such_whatever_changed_since(office: Office) -> None:
    body = READ | {"issued_at": "2026-11-20T10:30:00Z"}
    await office.ask(body)
    office.clock.pass_seconds(3600)
    office.room.all["oximeter-1"].state = DeviceState.OFFLINE
    assert (await office.ask(body)).error["key"] == "duplicate"


async def test_repeats_at_the_same_moment_execute_once(office: Office) -> None:
    responses = await asyncio.gather(*(office.ask(READ) for _ in range(20)))
    assert sorted(response.status for response in responses) == ["done"] + ["rejected"] * 19
    assert len(office.room.done) == 1


async def test_two_desks_over_one_ledger_execute_once(office: Office, database: Database) -> None:
    """What decides is the row, not the memory of a desk."""
    other = Office(database, settings(allow={"*": ["*"]}), HandClock())
    responses = await asyncio.gather(*(who.ask(READ) for who in (office, other) * 5))
    assert sum(response.status == "done" for response in responses) == 1
    assert len(office.room.done) + len(other.room.done) == 1


async def test_correlation_data_serves_as_id(office: Office) -> None:
    body = {"command": "read_now"}
    assert (await office.ask(body, correlation=b"\xbe\xef")).id == "beef"
    assert (await office.ask(body, correlation=b"\xbe\xef")).error["key"] == "duplicate"
    assert (await office.ask(body, correlation=b"\xbe\xf0")).status == "done"
    assert (await office.ask(body | {"id": "own"}, correlation=b"\xbe\xef")).id == "own"


async def test_without_id_and_time_a_payload_is_a_repeat_for_the_default_ttl(office: Office) -> None:
    body = {"command": "read_now"}
    assert (await office.ask(body)).status == "done"
    assert (await office.ask(body)).error["key"] == "duplicate"
    office.clock.pass_seconds(61)
    assert (await office.ask(body, redelivered=True)).error["key"] == "duplicate"
    assert (await office.ask(body)).status == "done"
    assert (await office.ask(body)).error["key"] == "duplicate"
    assert len(office.room.done) == 2


async def test_a_payload_with_a_time_is_a_repeat_for_good(office: Office) -> None:
    office.settings = settings(default_ttl=7 * 86400)
    body = {"command": "read_now", "issued_at": "2026-11-20T10:30:00Z"}
    assert (await office.ask(body)).status == "done"
    office.clock.pass_seconds(86400)
    assert (await office.ask(body)).error["key"] == "duplicate"
    later = {"command": "read_now", "issued_at": "2026-11-21T10:30:00Z"}
    assert (await office.ask(later)).status == "done"


async def test_the_same_payload_to_two_devices_is_two_commands(office: Office) -> None:
    office.tokens["scale-2"] = "t"
    body = {"command": "read_now", "token": "t"}
    assert (await office.ask(body)).status == "done"
    assert (await office.ask(body, target="scale-2")).status == "done"


async def test_an_answer_that_could_not_be_sent_is_sent_after_the_links_return(office: Office) -> None:
    office.link = False
    await office.ask(READ)
    await office.ask({"id": "p", "command": "ping"}, target=None, source="broadcast:hospital")
    await office.ask({"id": "o", "command": "ping"}, target=None, source="mqtt:other")
    assert await office.dispatcher.resume("hospital") == 0
    office.link = True
    assert await office.dispatcher.resume("hospital") == 2
    assert [answer["id"] for answer in office.answers] == ["r-1", "p"]
    assert await office.dispatcher.resume("hospital") == 0
    assert [entry.id for entry in await office.ledger.unanswered("mqtt:other")] == ["o"]


async def test_an_answer_under_way_is_not_sent_a_second_time(office: Office) -> None:
    office.slow = asyncio.Event()
    asked = asyncio.ensure_future(office.ask(READ))
    async with asyncio.timeout(BOUND):
        await until(lambda: office.sent)
        resumed = asyncio.ensure_future(office.dispatcher.resume("hospital"))
        while not await office.ledger.unanswered("mqtt:hospital"):
            await asyncio.sleep(0.001)
        await asyncio.wait({resumed}, timeout=0.05)
        office.slow.set()
        await asyncio.gather(asked, resumed)
    assert len(office.sent) == 1


async def test_an_outcome_during_the_answer_accepted_is_told_after_it(office: Office) -> None:
    office.slow = asyncio.Event()
    office.room.lasting = asyncio.get_running_loop().create_future()
    asked = asyncio.ensure_future(office.ask({"id": "m", "command": "start_monitoring"}))
    async with asyncio.timeout(BOUND):
        await until(lambda: office.sent)
        office.room.lasting.set_result({"readings": 1})
        office.slow.set()
        assert (await asked).status == "accepted"
        while not (entry := await office.ledger.find("m")).answered or entry.state != "done":
            await asyncio.sleep(0.001)
    assert [answer["status"] for answer in office.answers] == ["accepted", "done"]


async def test_many_unanswered_are_sent_in_order_and_a_dead_link_is_noticed(office: Office) -> None:
    office.link = False
    for number in range(250):
        office.clock.pass_seconds(0.001)
        await office.ask({"id": str(number), "command": "ping"}, target=None)
    office.attempts = 0
    assert await office.dispatcher.resume("hospital") == 0
    assert office.attempts == GIVE_UP_AFTER
    office.link = True
    assert await office.dispatcher.resume("hospital") == 250
    assert [answer["id"] for answer in office.answers] == [str(number) for number in range(250)]


async def test_what_an_earlier_process_left_is_outcome_unknown(office: Office, database: Database) -> None:
    office.room.gate = asyncio.Event()
    asked = [
        asyncio.ensure_future(office.ask(READ, response_topic="reply/1", correlation=b"7")),
        asyncio.ensure_future(office.ask({"id": "c", "command": "read_now"}, target="oximeter-1", source="cli")),
    ]
    await asyncio.wait_for(office.room.entered.wait(), BOUND)
    await office.dispatcher.close(0)
    await asyncio.gather(*asked)
    assert office.dispatcher._slots._taken == 0  # nothing goes on behind the answer
    later = Office(database, settings(), HandClock(wall=T0 + US))
    assert await later.dispatcher.start() == 1
    assert await later.dispatcher.resume("hospital") == 1
    (answer,) = later.sent
    assert (answer.response_topic, answer.correlation) == ("reply/1", b"7")
    assert later.answers[0]["status"] == "outcome-unknown"
    repeat = await later.ask(READ)
    assert repeat.error["key"] == "duplicate"
    assert repeat.result["earlier"]["status"] == "outcome-unknown"
    assert not later.room.done
    assert await later.dispatcher.start() == 0


def entry(id: str = "a", **more: object) -> LedgerEntry:  # noqa: A002
    return LedgerEntry(id, "", "mqtt:x", "ping", b"", **more)  # type: ignore[arg-type]


async def test_rows_are_kept_as_long_as_a_repeat_could_come(database: Database) -> None:
    ledger = CommandLedger(database)
    start = Stamp(T0, 0, True)
    assert await ledger.begin(entry("short"), start)
    assert await ledger.begin(entry("long"), start, valid_until=T0 + 90 * DAY)
    assert await ledger.begin(entry("never"), start, valid_until=T0 + 10_000 * DAY)
    assert await ledger.begin(entry("adrift"), Stamp(1000, 0, False))
    assert await ledger.begin(entry("at-work"), Stamp(T0 + 1, 0, True))
    for name in ("short", "long", "never", "adrift"):
        assert await ledger.finish(name, "done", T0, b"{}")
    steps = [
        (Stamp(T0 + 29 * DAY, 0, True), {"short", "long", "never", "adrift", "at-work"}),
        (Stamp(T0 + 31 * DAY, 0, False), {"short", "long", "never", "adrift", "at-work"}),
        (Stamp(T0 + 31 * DAY, 0, True), {"long", "never", "adrift", "at-work"}),
        (Stamp(T0 + 91 * DAY, 0, True), {"never", "at-work"}),
        (Stamp(T0 + 400 * DAY, 0, True), {"at-work"}),
    ]
    for stamp, left in steps:
        await ledger.prune(stamp)
        assert {row.id for row in await ledger.history()} == left


async def test_the_newest_row_outlives_its_time_since_the_mark_of_the_log_names_it(database: Database) -> None:
    ledger = CommandLedger(database)
    for number, name in enumerate(("old", "newest")):
        assert await ledger.begin(entry(name), Stamp(T0 + number, 0, True))
        assert await ledger.finish(name, "done", T0, b"{}")
    await ledger.prune(Stamp(T0 + 400 * DAY, 0, True))
    assert [row.id for row in await ledger.history()] == ["newest"]


async def test_the_table_is_bounded_oldest_first(database: Database) -> None:
    ledger = CommandLedger(database)
    for number in range(10):
        await ledger.begin(entry(str(number)), Stamp(T0 + number, 0, False))
        await ledger.finish(str(number), "done", T0, b"{}")
    assert await ledger.prune(Stamp(T0, 0, False), rows=4) == 6
    assert [row.id for row in await ledger.history()] == ["9", "8", "7", "6"]


async def test_an_acknowledged_accepted_is_not_taken_for_the_final_answer(database: Database) -> None:
    ledger = CommandLedger(database)
    await ledger.begin(entry(), Stamp(T0, 0, True))
    await ledger.finish("a", "accepted", T0, b"1")
    await ledger.finish("a", "done", T0, b"2")
    await ledger.answered("a", "accepted")
    assert [row.response for row in await ledger.unanswered("mqtt:x")] == [b"2"]
    assert not await ledger.finish("a", "failed", T0, b"3")


async def test_history_pages_newest_first_for_one_target(database: Database) -> None:
    ledger = CommandLedger(database)
    for number in range(5):
        await ledger.begin(entry(str(number)), Stamp(T0 + number, 0, True))
    first = await ledger.history("", limit=2)
    assert [row.id for row in first] == ["4", "3"]
    assert [row.id for row in await ledger.history("", 2, first[-1].recorded)] == ["2", "1"]
    assert await ledger.history("other") == []


@pytest.mark.parametrize("state", ["executing", "accepted"])
async def test_a_floating_id_at_work_is_never_free(database: Database, state: str) -> None:
    ledger = CommandLedger(database)
    assert await ledger.begin(entry(floating=True), Stamp(T0, 0, True), window=1)
    if state == "accepted":
        await ledger.finish("a", "accepted", T0, b"{}")
    assert not await ledger.begin(entry(floating=True), Stamp(T0 + DAY, 0, True), window=1)
    await ledger.finish("a", "done", T0, b"{}")
    assert not await ledger.begin(entry(floating=True), Stamp(T0 + DAY, 0, True), window=None)
    assert not await ledger.begin(entry(), Stamp(T0 + DAY, 0, True), window=1)
    assert await ledger.begin(entry(floating=True), Stamp(T0 + DAY, 0, True), window=1)


async def test_what_was_issued_before_a_lost_part_of_the_ledger_is_not_carried_out(office: Office) -> None:
    office.ledger.horizon = T0
    body = {"command": "read_now", "expires_at": "2026-11-20T12:30:00Z"}
    for more in ({"id": "a", "issued_at": "2026-11-20T10:29:59Z"}, {"id": "b"}):
        refused = await office.ask(body | more, redelivered=True)
        assert refused.error["key"] == "expired"
    recorded = await office.ask(body | {"id": "e", "signature": "00"})  # by somebody at the broker, before the loss
    assert (recorded.error["key"], recorded.error["hint"]) == ("expired", "Sign it with issued_at.")
    assert not office.room.done
    assert (await office.ask(body | {"id": "c", "issued_at": "2026-11-20T10:30:00Z"})).status == "done"
    assert (await office.ask(body | {"id": "d"})).status == "done"


async def test_a_loss_that_was_found_while_the_clock_was_ahead_refuses_no_command_for_years(office: Office) -> None:
    office.ledger.horizon = T0 + 1000 * DAY
    body = {"command": "read_now", "expires_at": "2026-11-20T12:30:00Z"}
    late = await office.ask(body | {"id": "a", "issued_at": "2026-11-20T10:29:59Z"})
    assert late.error["key"] == "expired"
    assert (await office.ask(body | {"id": "b", "issued_at": "2026-11-20T10:30:00Z"})).status == "done"


async def test_what_several_connections_to_one_broker_bring_is_one_command(database: Database) -> None:
    urls = {"a": "mqtt://Broker.example:1883", "b": "mqtt://broker.example:1883", "c": "mqtt://other.example:1883"}
    given = settings(allow={"*": ["*"]})
    brokers = {name: BrokerSettings(url) for name, url in urls.items()}
    office = Office(database, msgspec.structs.replace(given, brokers=brokers), HandClock())
    topic = "devices/oximeter-1/commands"
    responses = [await office.ask(READ, source=f"mqtt:{name}", topic=topic) for name in ("a", "b", "c", "a")]
    assert [response.status for response in responses] == ["done", "rejected", "rejected", "rejected"]
    assert [answer.source for answer in office.sent] == ["mqtt:a", "mqtt:c", "mqtt:a"]  # b's would contradict a's
    office.clock.pass_seconds(60)
    await office.ask(READ, source="mqtt:b", topic=topic)  # a repeat, and no copy any more
    assert office.sent[-1].source == "mqtt:b"
    assert len(office.room.done) == 1
