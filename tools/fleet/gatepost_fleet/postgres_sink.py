"""PostgreSQL sink: a batch in one transaction, sorted by id, each reading once; ids with two contents are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
import orjson

from gatepost_fleet.message import Parsed, Reading, RefusedMessage, Report
from gatepost_fleet.migrations import migrate

COMMAND_TIMEOUT = 60.0  # seconds for a statement
CONNECT_TIMEOUT = 15.0
# Members that a repeat of the same reading may have otherwise: it is sent late, or its clock was put right.
CHANGING = ["replayed", "clock", "timestamp"]
CLASH = "its id has another content already: a copied card?"

# One statement, so that the readings go to the server once.
_INSERT = """
with came as materialized (
  select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                       $8::text[], $9::boolean[], $10::jsonb[])
    as t (gateway_id, log_epoch, seq, device_id, patient_id, metric_type, time, clock, replayed, payload)
), stored as (
  insert into reading (gateway_id, log_epoch, seq, device_id, patient_id, metric_type, time, clock, replayed, payload)
  select * from came on conflict do nothing returning 1
), arrived as (
  insert into arrival (gateway_id, log_epoch, seqs, first_live, last_live)
  select gateway_id, log_epoch, range_agg(int8range(seq, seq + 1)),
         case when bool_or(not replayed) then now() end, case when bool_or(not replayed) then now() end
  from came group by gateway_id, log_epoch order by gateway_id, log_epoch
  on conflict (gateway_id, log_epoch) do update set
    seqs = arrival.seqs + excluded.seqs,
    first_live = coalesce(arrival.first_live, excluded.first_live),
    last_live = coalesce(excluded.last_live, arrival.last_live)
), seen as (
  insert into gateway (id, last_seen, clock_offset, backlog_at, backlog_age)
  select gateway_id, now(), now() - max(time) filter (where not replayed and timed),
         case when bool_or(replayed and timed) then now() end, now() - max(time) filter (where replayed and timed)
  from (select *, clock is distinct from 'unsynchronised' as timed from came) as each
  group by gateway_id order by gateway_id
  on conflict (id) do update set
    last_seen = excluded.last_seen, clock_offset = coalesce(excluded.clock_offset, gateway.clock_offset),
    backlog_at = coalesce(excluded.backlog_at, gateway.backlog_at),
    backlog_age = coalesce(excluded.backlog_age, gateway.backlog_age)
)
select count(*) from stored
"""
_CLASHES = """
select came.number
from unnest($1::text[], $2::text[], $3::bigint[], $4::jsonb[]) with ordinality
  as came (gateway_id, log_epoch, seq, payload, number)
join reading using (gateway_id, log_epoch, seq)
where reading.payload - $5::text[] <> came.payload - $5::text[]
"""
_STATUS = """
insert into gateway (id, last_seen, status) values ($1, now(), $2::jsonb)
on conflict (id) do update set last_seen = excluded.last_seen, status = excluded.status
"""
_ASKED = """
insert into gateway (id, last_seen, asked_at, have) values ($1, now(), now(), $2)
on conflict (id) do update set last_seen = now(), asked_at = now(), have = excluded.have
"""
# Workers reorder: what a gateway tries never takes the place of what came of it.
_REPORTED = """
insert into gateway (id, last_seen, reported) values ($1, now(), $2::jsonb)
on conflict (id) do update set last_seen = excluded.last_seen, reported = case
  when excluded.reported ->> 'status' = 'trying' and gateway.reported ->> 'version' = excluded.reported ->> 'version'
  then gateway.reported else excluded.reported end
"""
# The first outcome counts: a version that was decided is not tried again. But `unsigned` and `stale` are none: what
# somebody else published brings them, or a repeat, so any report that is worth more takes their place. A gateway that
# cannot verify a document need not say which version it is: it is what was sent to it. One that had forgotten and was
# sent it again decides anew.
_OUTCOME = """
with worth as (select array['unsigned', 'stale', 'trying'] as ranks)
update desired set status = $3, report = $4::jsonb, reported_at = now() from worth
where gateway_id = $1
  and (status is null or array_position(ranks, status) < coalesce(array_position(ranks, $3), 4)
       or array_position(ranks, $3) is null and sent_at > reported_at)
  and version = coalesce($2::bigint, (select desired from gateway where id = $1))
"""
_ACCOUNT = """
insert into account (gateway_id, log_epoch, broker, body) values ($1, $2, $3, $4::jsonb)
on conflict (gateway_id, log_epoch, broker) do update
  set previous = account.body, body = excluded.body, told_at = now()
  where account.body <> excluded.body
    and (excluded.body ->> 'upto_seq')::bigint >= (account.body ->> 'upto_seq')::bigint
"""
_EVENT = """
insert into event (gateway_id, log_epoch, seq, payload) values ($1, $2, $3, $4::jsonb) on conflict do nothing
"""


_OFFSET = """
insert into stream_offset (stream, next) values ($1, $2) on conflict (stream) do update set next = excluded.next
"""


class SinkCount(NamedTuple):
    """What became of a batch: readings stored now, repeats of stored ones, ids with another content, refused."""

    stored: int
    repeated: int
    clashes: int
    refused: int


class PostgresSink:
    """PostgreSQL sink over one connection. A batch that raises was not stored, and may be written again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None

    async def open(self) -> None:
        """Connect and bring the tables up to date. Raises OSError, asyncpg.PostgresError, SchemaTooNew."""
        await self.close()
        self._connection = await asyncpg.connect(
            self._url, timeout=CONNECT_TIMEOUT, command_timeout=COMMAND_TIMEOUT, statement_cache_size=32
        )
        await migrate(self._connection)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def write(self, items: Sequence[Parsed]) -> SinkCount:
        """Durable when it returns. What PostgreSQL cannot hold is refused alone. OSError, asyncpg.PostgresError."""
        try:
            return await self._write(items)
        except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
            if len(items) == 1:
                return await self._write([_refused(items[0], str(error))])
        half = len(items) // 2
        one, two = await self.write(items[:half]), await self.write(items[half:])
        return SinkCount(*map(sum, zip(one, two, strict=True)))

    async def offset(self, stream: str) -> int | None:
        """How far a stream was read; None = not at all. OSError, asyncpg.PostgresError."""
        found = await self._opened().fetchval("select next from stream_offset where stream = $1", stream)
        return None if found is None else int(found)

    async def keep_offset(self, stream: str, offset: int) -> None:
        """What was read until there is written. OSError, asyncpg.PostgresError."""
        await self._opened().execute(_OFFSET, stream, offset)

    def _opened(self) -> Any:
        if self._connection is None:
            raise OSError("the database is not connected")
        return self._connection

    async def _write(self, items: Sequence[Parsed]) -> SinkCount:
        # Sorted, so that two workers with the same ids wait for each other instead of ending in a deadlock.
        readings = sorted((each for each in items if isinstance(each, Reading)), key=_key)
        reports = [each for each in items if isinstance(each, Report)]
        refused = [each for each in items if isinstance(each, RefusedMessage)]
        connection = self._opened()
        # Readings are one statement and so one transaction. What follows may be lost with the connection: nothing is
        # acknowledged then, and the same batch tells it again.
        stored, clashes = await self._write_readings(connection, readings)
        refused += clashes
        if reports or refused:
            async with connection.transaction():
                for report in sorted(reports, key=lambda each: each.gateway):
                    await self._write_report(connection, report)
                await connection.executemany(
                    "insert into refused (topic, why, payload) values ($1, $2, $3)",
                    [(_storable(each.topic), _storable(each.why), each.payload) for each in refused],
                )
        return SinkCount(stored, len(readings) - stored - len(clashes), len(clashes), len(refused) - len(clashes))

    async def _write_readings(self, connection: Any, readings: Sequence[Reading]) -> tuple[int, list[RefusedMessage]]:
        if not readings:
            return 0, []
        columns = list(zip(*readings, strict=True))
        stored = await connection.fetchval(_INSERT, *columns)
        if stored == len(readings):
            return stored, []
        # What was stored just now is compared with itself; the second of one id in this batch with the first.
        rows = await connection.fetch(_CLASHES, *columns[:3], columns[-1], CHANGING)
        return stored, [_refused(readings[row["number"] - 1], CLASH) for row in rows]

    async def _write_report(self, connection: Any, report: Report) -> None:
        body = orjson.dumps(report.body).decode()
        match report.kind:
            case "status":
                await connection.execute(_STATUS, report.gateway, body)
            case "asked":
                await connection.execute(_ASKED, report.gateway, report.body["have"])
            case "reported":
                await connection.execute(_REPORTED, report.gateway, body)
                version, status = report.body.get("version"), report.body["status"]
                if version or status == "unsigned":
                    await connection.execute(_OUTCOME, report.gateway, version, status, body)
            case "account":
                epoch, broker = str(report.body.get("epoch", "")), str(report.body.get("broker", ""))
                await connection.execute(_ACCOUNT, report.gateway, epoch, broker, body)
            case "events":
                await connection.execute(_EVENT, report.gateway, report.epoch, report.seq, body)


def _key(reading: Reading) -> tuple[str, str, int]:
    return reading[:3]


def _refused(item: Parsed, why: str) -> RefusedMessage:
    if isinstance(item, RefusedMessage):
        return item
    payload = item.payload.encode() if isinstance(item, Reading) else orjson.dumps(item.body)
    return RefusedMessage(f"gateways/{item.gateway}", why, payload)


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
