"""The sink on a real PostgreSQL: each reading once, ids with two contents told, holes seen."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import orjson
import pytest

from tests.fleet.test_message import reading

pytest.importorskip("asyncpg")

from gatepost_fleet.demo.servers import LocalPostgres
from gatepost_fleet.fleet_status import gateways
from gatepost_fleet.message import Parsed, RefusedMessage, parse
from gatepost_fleet.migrations import SchemaTooNew, migrate, scripts
from gatepost_fleet.postgres_sink import PostgresSink


def readings(*seqs: int, epoch: str = "a", gateway: str = "ward-7", **more: Any) -> list[Parsed]:
    found = []
    for seq in seqs:
        body = reading(id=f"{gateway}:{epoch}:{seq}", gateway_id=gateway, **more)
        found += parse("devices/cuff-3/data", orjson.dumps(body))
    return found


@pytest.fixture
async def sink(database: Any, postgres: LocalPostgres) -> Any:
    one = PostgresSink(postgres.url)
    await one.open()
    yield one
    await one.close()


async def test_each_reading_once(sink: PostgresSink, database: Any) -> None:
    assert (await sink.write(readings(1, 2, 3, 3)))[:2] == (3, 1)
    late = readings(2, 3, 4, replayed=True, clock="rectified", timestamp="2026-11-20T11:00:00Z")
    assert (await sink.write(late))[:2] == (1, 2)
    assert await database.fetchval("select count(*) from reading") == 4
    assert await database.fetchval("select seqs::text from arrival") == "{[1,5)}"


async def test_an_id_with_another_content_is_told_and_kept(sink: PostgresSink, database: Any) -> None:
    await sink.write(readings(1, 2))
    done = await sink.write(readings(2, 3, systolic=121))
    assert (done.stored, done.repeated, done.clashes) == (1, 0, 1)
    row = await database.fetchrow("select why, payload from refused")
    assert "copied card" in row["why"]
    assert orjson.loads(row["payload"])["systolic"] == 121
    assert await database.fetchval("select payload ->> 'systolic' from reading where seq = 2") == "120"


async def test_an_id_with_two_contents_in_one_batch_is_told_as_well(sink: PostgresSink, database: Any) -> None:
    late = readings(1, replayed=True, timestamp="2026-11-20T11:00:00Z")
    done = await sink.write([*readings(1), *late, *readings(1, systolic=121)])
    assert (done.stored, done.repeated, done.clashes) == (1, 1, 1)
    assert orjson.loads(await database.fetchval("select payload from refused"))["systolic"] == 121


async def test_what_the_database_cannot_hold_stops_nothing_else(sink: PostgresSink, database: Any) -> None:
    long = Random(1).randbytes(20_000).hex()  # more than an index takes
    done = await sink.write([*readings(1, 2), *readings(3, device_id=long), *readings(4)])
    assert (done.stored, done.refused) == (3, 1)
    assert await database.fetchval("select seqs::text from arrival") == "{[1,3),[4,5)}"
    assert await database.fetchval("select length(why) > 0 from refused")


async def test_two_workers_with_the_same_ids_do_not_block_each_other(
    sink: PostgresSink, postgres: LocalPostgres
) -> None:
    other = PostgresSink(postgres.url)
    await other.open()
    try:
        one, two = readings(*range(1, 500)), readings(*range(499, 0, -1))
        counts = await asyncio.gather(sink.write(one), other.write(two))
    finally:
        await other.close()
    assert sum(count.stored for count in counts) == 499


async def test_refused_messages_are_kept(sink: PostgresSink, database: Any) -> None:
    done = await sink.write([RefusedMessage("a\0b", "be\0cause", b"\0\xff"), *readings(1)])
    assert (done.stored, done.refused) == (1, 1)
    assert await database.fetchval("select payload from refused") == b"\0\xff"


async def test_the_status_shows_holes_copies_and_silence(sink: PostgresSink, database: Any) -> None:
    await sink.write(readings(1, 2, 3, 7, 8, epoch="a"))
    await sink.write(parse("gateways/ward-7/status", b'{"status": "online"}'))
    account = {"epoch": "a", "broker": "b", "from_seq": 1, "upto_seq": 8, "sent": 6, "skipped": 2, "gaps": 0}
    await sink.write(parse("gateways/ward-7/account", orjson.dumps(account)))
    await sink.write(readings(1, epoch="z", gateway="ward-8"))
    lines = {line.id: line for line in await gateways(database)}
    assert lines["ward-7"].owed is None
    assert lines["ward-7"].missing == 0  # what the account counts may be on its way yet
    await database.execute("update account set told_at = now() - interval '2 min'")
    lines = {line.id: line for line in await gateways(database)}
    assert (lines["ward-7"].status, lines["ward-7"].missing, lines["ward-7"].copied) == ("online", 1, False)
    assert (lines["ward-7"].state, lines["ward-7"].notes()[0]) == ("missing", "1 readings missing")
    # The next account is young again; the one before it still tells. An old one that comes late changes nothing.
    for upto, sent in ((12, 10), (10, 8)):
        await sink.write(parse("gateways/ward-7/account", orjson.dumps({**account, "upto_seq": upto, "sent": sent})))
    lines = {line.id: line for line in await gateways(database)}
    assert lines["ward-7"].missing == 1
    await sink.write(parse("gateways/ward-7/account", orjson.dumps({**account, "epoch": "b", "sent": 0, "owed": 70})))
    assert [line.owed for line in await gateways(database)] == [70, None]
    await sink.write(readings(4, 9, 10, 11, 12))
    await database.execute("update account set told_at = now() - interval '2 min'")
    lines = {line.id: line for line in await gateways(database)}
    assert lines["ward-7"].missing == 0
    assert (lines["ward-8"].status, lines["ward-8"].missing, lines["ward-8"].state) == ("unknown", 0, "well")
    assert lines["ward-8"].silent is not None
    assert lines["ward-8"].silent < 60
    late = readings(2, epoch="z", gateway="ward-8", replayed=True, timestamp="2020-01-01T00:00:00Z")
    await sink.write(late)
    lines = {line.id: line for line in await gateways(database)}
    assert lines["ward-8"].backlog_age > 3600
    await sink.write(readings(9, epoch="b"))
    await database.execute("update arrival set first_live = now() - interval '1 hour' where gateway_id = 'ward-7'")
    await database.execute("update arrival set first_live = now() - interval '30 min' where log_epoch = 'b'")
    assert {line.id for line in await gateways(database) if line.copied} == {"ward-7"}
    await database.execute("update arrival set last_live = last_live - interval '2 days'")  # mended since
    await database.execute("update arrival set first_live = first_live - interval '3 days'")
    assert [line.id for line in await gateways(database) if line.copied] == []


async def test_a_database_of_a_newer_version_is_left_alone(database: Any) -> None:
    await migrate(database)
    assert await migrate(database) == max(scripts())
    await database.execute("insert into migration (number) values (99)")
    with pytest.raises(SchemaTooNew):
        await migrate(database)


async def test_an_account_that_cannot_be_hides_no_other_gateway(sink: PostgresSink, database: Any) -> None:
    await sink.write(readings(1, 3))
    honest = {"from_seq": 1, "upto_seq": 3, "sent": 3}
    wrong: list[dict[str, Any]] = [
        {"from_seq": 10, "upto_seq": 1, "sent": 5},
        {"from_seq": 1, "upto_seq": 2, "sent": 2**63 - 2},
        {"from_seq": 1, "upto_seq": 2**64, "sent": 1},
        {"from_seq": "a", "upto_seq": 2.5, "sent": None},
        {"from_seq": 0, "upto_seq": 2**63 - 2, "sent": 2**63 - 2},  # each may be; their sum is no bigint
        {"from_seq": 0, "upto_seq": 2**63 - 2, "sent": 2**63 - 2},
    ]
    for number, body in enumerate([honest, *wrong]):  # as a version before this one stored them
        name = "ward-8" if number else "ward-7"
        await database.execute(
            "insert into account (gateway_id, log_epoch, broker, body, told_at)"
            " values ($1, $2, 'b', $3::jsonb, now() - interval '1 hour')",
            *(name, f"e{number}" if number else "a", json.dumps(body)),
        )
    await sink.write(readings(1, gateway="ward-8", epoch="z"))
    lines = {line.id: line for line in await gateways(database)}
    assert (lines["ward-7"].missing, lines["ward-8"].missing) == (1, 2**63 - 1)
