"""Desired state in the database: documents of a rollout, what is due to be sent, what gateways answered.

Each function takes an asyncpg connection and raises what asyncpg raises.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, timedelta
from fnmatch import fnmatchcase
from random import Random
from typing import Any, NamedTuple

import orjson

from gatepost_fleet.rollout import RolloutPlan, RolloutProgress, RolloutStep, in_canary_order, wave_sizes
from gatepost_fleet.signing import SigningKey
from gatepost_fleet.state_file import Issue, StateFile, document, settings_of

VERSION_LOCK = 7_469_002  # of pg_advisory_xact_lock: two rollouts must not draw the same version
ONLINE = timedelta(minutes=15)  # a gateway that was heard so lately counts as reachable
RESEND = timedelta(minutes=5)  # until a document without an answer is sent once more; doubles each time
ENDED_SHOWN = 20  # ended rollouts that people are shown unless they ask for more
GATEWAY_ID = r"[A-Za-z0-9_.-]{1,64}"

# A gateway's own word counts: after a database was restored, it may know of a higher version than the tables. But not
# any: one box that lies must not use up the versions of all.
_NEXT_VERSION = """
with known as (select coalesce(max(version), 0) as version from rollout), told as (
  select have as version from gateway union all select (reported ->> 'version')::bigint from gateway
)
select 1 + greatest(known.version, (select max(told.version) from told where told.version <= known.version + 1000000))
from known
"""
_KNOWN = """
select id, labels, coalesce(last_seen > now() - $1::interval and status ->> 'status' is distinct from 'offline', false)
         as online, last_seen is not null as heard
from gateway
"""
_PROGRESS = """
select rollout.id, case when coalesce(desired.status, 'unsigned') = 'unsigned' and gateway.desired > desired.version
            then 'superseded' else coalesce(desired.status, 'waiting') end as said, count(*)
from rollout join desired on desired.rollout = rollout.id and desired.wave <= rollout.wave
left join gateway on gateway.id = desired.gateway_id
where rollout.id = any($1::text[]) group by rollout.id, said
"""
_ROLLOUTS = """
select * from rollout where state not in ('aborted', 'done') or id in (
  select id from rollout where state in ('aborted', 'done') order by version desc limit $1
) order by version desc
"""
_RELEASE = """
with freed as (
  update desired set released_at = now() where rollout = $1 and wave = $2 returning gateway_id, version
)
insert into gateway (id, desired) select gateway_id, version from freed order by gateway_id
on conflict (id) do update set desired = greatest(gateway.desired, excluded.desired)
"""
_WITHDRAW = """
with held as (
  update desired set released_at = null where rollout = $1 and sent_at is null and released_at is not null
  returning gateway_id, version
)
update gateway set desired = (
  select max(version) from desired as older
  where older.gateway_id = gateway.id and older.released_at is not null and older.version <> held.version
) from held where gateway.id = held.gateway_id and gateway.desired = held.version
"""
# A gateway that asks is answered if there is newer; one that says nothing is told again, ever more seldom. One that
# called it unsigned may have had another one, or wrong keys: it asks again when these are mended. One that asks after
# it had answered has forgotten: a new card, or an older backup.
_DUE = """
select gateway.id, desired.version, desired.envelope
from gateway
join desired on desired.gateway_id = gateway.id and desired.version = gateway.desired
join rollout on rollout.id = desired.rollout
where rollout.state in ('running', 'done') and coalesce(gateway.have, 0) < desired.version
  and (coalesce(desired.status, 'unsigned') = 'unsigned'
         and (desired.sent_at is null or gateway.asked_at > desired.sent_at
                 and (desired.status is null or desired.sent_at < now() - $1::interval)
              or desired.sent_at < now() - $1::interval * (2 ^ least(desired.sent, 10)))
       or gateway.asked_at > desired.reported_at and gateway.asked_at > desired.sent_at
         and desired.sent_at < now() - $1::interval)
order by desired.sent_at nulls first, desired.wave, gateway.id limit $2
"""
_UNTOLD = """
select gateway_id, version from desired
where confirmed_at is not null and told_at is null and status = 'trying' limit $1
"""
_SHOW = """
select gateway.id, gateway.desired, gateway.reported, gateway.have, desired.rollout,
       case when gateway.asked_at > desired.reported_at and coalesce(gateway.have, 0) < desired.version
                 and desired.status <> 'unsigned' then null else desired.status end as status
from gateway left join desired on desired.gateway_id = gateway.id and desired.version = gateway.desired
where $1::text is null or gateway.id = $1 order by gateway.id
"""


class NothingToDo(Exception):
    """No gateway is meant, or the thing that is asked for does not fit the state; the message says which."""


class DueDocument(NamedTuple):
    """A message that a gateway waits for: `envelope` is its text."""

    gateway: str
    version: int
    envelope: str


class StartedRollout(NamedTuple):
    """A rollout as it was stored."""

    id: str
    version: int
    waves: list[int]


async def start_rollout(
    connection: Any,
    key: SigningKey,
    state: StateFile,
    gateways: Sequence[str],
    waves: str,
    plan: RolloutPlan,
    force: bool = False,
) -> StartedRollout:
    """Sign a document for each gateway whose id matches one of `gateways`. With `force` a full name may be one that
    was never heard; else that is taken for a typing error. NothingToDo, ValueError."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", VERSION_LOCK)
        version = await connection.fetchval(_NEXT_VERSION)
        now = await connection.fetchval("select now()")
        labels: dict[str, dict[str, str]] = {}
        online: dict[str, bool] = {}
        heard: dict[str, bool] = {}
        for row in await connection.fetch(_KNOWN, ONLINE):
            if any(fnmatchcase(row["id"], each) for each in gateways):
                labels[row["id"]], online[row["id"]] = orjson.loads(row["labels"]), row["online"]
                heard[row["id"]] = row["heard"]
        for name in gateways:
            if re.fullmatch(GATEWAY_ID, name):
                if not force and not heard.get(name):
                    raise NothingToDo(f"{name} was never heard; --force gives it a desired state nevertheless")
                labels.setdefault(name, {})
        settings = {gateway: settings_of(state, gateway, labels[gateway]) for gateway in labels}
        meant = {gateway: each for gateway, each in settings.items() if each is not None}
        if not meant:
            raise NothingToDo("no known gateway matches both the command and a group of the file")
        rng, rollout = Random(version), f"r-{version}"
        issue = Issue(version, rollout, now.astimezone(UTC))
        order = in_canary_order(
            [(gateway, online.get(gateway, False)) for gateway in meant], {gateway: rng.random() for gateway in meant}
        )
        sizes = wave_sizes(waves, len(order))
        await connection.execute(
            "insert into rollout (id, version, waves, success, failures, silence, soak)"
            " values ($1, $2, $3, $4, $5, $6, $7)",
            *(rollout, version, sizes, plan.success, plan.failures, plan.silence, plan.soak),
        )
        await connection.executemany(
            "insert into desired (gateway_id, version, rollout, wave, envelope) values ($1, $2, $3, $4, $5)",
            [
                (
                    *(gateway, version, rollout, next(n for n, size in enumerate(sizes, 1) if place < size)),
                    key.envelope(document(state, gateway, issue, meant[gateway])),
                )
                for place, gateway in enumerate(order)
            ],
        )
    return StartedRollout(rollout, version, sizes)


async def running_rollouts(connection: Any) -> dict[str, RolloutProgress]:
    """Every rollout that runs, by its id."""
    rows = await connection.fetch("select * from rollout where state = 'running' order by version")
    found, answers = {}, await _answers(connection, rows)
    for row in rows:
        plan = RolloutPlan(row["waves"], row["success"], row["failures"], row["silence"], row["soak"])
        found[row["id"]] = RolloutProgress(plan, row["wave"], row["wave_at"], answers[row["id"]])
    return found


async def _answers(connection: Any, rollouts: Sequence[Any]) -> dict[str, dict[str, int]]:
    """Of each of these rows, status -> gateways of the waves that are released."""
    found: dict[str, dict[str, int]] = {row["id"]: {} for row in rollouts}
    for id_, said, count in await connection.fetch(_PROGRESS, list(found)):
        found[id_][said] = count
    return found


async def take_step(connection: Any, rollout: str, step: RolloutStep) -> None:
    """Nothing where a person has changed its state in the meantime."""
    async with connection.transaction():
        state = await connection.fetchval("select state from rollout where id = $1 for update", rollout)
        if state != "running":
            return
        match step.action:
            case "next-wave":
                wave = await connection.fetchval(
                    "update rollout set wave = wave + 1, wave_at = now() where id = $1 returning wave", rollout
                )
                await connection.execute(_RELEASE, rollout, wave)
            case "pause":
                await _set_state(connection, rollout, "paused", step.reason)
            case "abort":
                await _set_state(connection, rollout, "aborted", step.reason)
                await connection.execute(_WITHDRAW, rollout)
            case "finish":
                await _set_state(connection, rollout, "done", step.reason)


async def change_rollout(connection: Any, rollout: str, action: str) -> None:
    """`pause`, `resume` or `abort` by a person. NothingToDo."""
    async with connection.transaction():
        state = await connection.fetchval("select state from rollout where id = $1 for update", rollout)
        if state is None:
            raise NothingToDo(f"there is no rollout {rollout}")
        wanted = {"pause": ("running",), "resume": ("paused",), "abort": ("running", "paused")}[action]
        if state not in wanted:
            raise NothingToDo(f"rollout {rollout} is {state}")
        if action == "resume":
            await _set_state(connection, rollout, "running", "")
            await connection.execute("update rollout set wave_at = now() where id = $1", rollout)
        else:
            await _set_state(connection, rollout, "paused" if action == "pause" else "aborted", "by a person")
        if action == "abort":
            await connection.execute(_WITHDRAW, rollout)


async def _set_state(connection: Any, rollout: str, state: str, reason: str) -> None:
    await connection.execute("update rollout set state = $2, reason = $3 where id = $1", rollout, state, reason)


async def due_documents(connection: Any, limit: int) -> list[DueDocument]:
    """Documents to send now."""
    return [DueDocument(*row) for row in await connection.fetch(_DUE, RESEND, limit)]


async def mark_sent(connection: Any, documents: Sequence[DueDocument]) -> None:
    """A broker has taken them over."""
    await connection.executemany(
        "update desired set sent_at = now(), sent = sent + 1 where gateway_id = $1 and version = $2",
        [each[:2] for each in documents],
    )


async def untold_confirmations(connection: Any, limit: int) -> list[DueDocument]:
    """Confirmations of people that gateways wait for."""
    rows = await connection.fetch(_UNTOLD, limit)
    return [DueDocument(row["gateway_id"], row["version"], f'{{"version": {row["version"]}}}') for row in rows]


async def mark_told(connection: Any, documents: Sequence[DueDocument]) -> None:
    """A broker has taken the confirmations over."""
    await connection.executemany(
        "update desired set told_at = now() where gateway_id = $1 and version = $2", [each[:2] for each in documents]
    )


async def confirm(connection: Any, gateway: str) -> int:
    """A person confirms what the gateway tries now; the version. NothingToDo."""
    version: int | None = await connection.fetchval(
        "update desired set confirmed_at = now(), told_at = null from gateway where gateway.id = $1"
        " and gateway_id = $1 and version = gateway.desired and desired.status = 'trying' returning version",
        gateway,
    )
    if version is None:
        raise NothingToDo(f"{gateway} tries nothing")
    return version


async def show_desired(connection: Any, gateway: str | None) -> list[dict[str, Any]]:
    """Desired and reported version of each gateway, or of one."""
    lines = []
    for row in await connection.fetch(_SHOW, gateway):
        reported = orjson.loads(row["reported"]) if row["reported"] else None
        lines.append({**dict(row), "reported": reported})
    return lines


async def show_rollouts(connection: Any, ended: int = ENDED_SHOWN) -> list[dict[str, Any]]:
    """Rollouts that run or are paused and so many that ended, with the answers of their gateways, newest first."""
    rows = await connection.fetch(_ROLLOUTS, ended)
    lines, answers = [], await _answers(connection, rows)
    for row in rows:
        kept = {name: row[name] for name in ("id", "version", "state", "reason", "waves", "wave")}
        lines.append({**kept, "started_at": row["started_at"].isoformat(), "reports": answers[row["id"]]})
    return lines


async def count_rollouts(connection: Any) -> dict[str, int]:
    """State -> rollouts that are kept."""
    return dict(await connection.fetch("select state, count(*) from rollout group by state"))


async def forget(connection: Any, gateway: str) -> None:
    """Take a gateway out: all that is known of it, except readings, events and their numbers. NothingToDo."""
    async with connection.transaction():
        if await connection.fetchval("delete from gateway where id = $1 returning id", gateway) is None:
            raise NothingToDo(f"there is no gateway {gateway}")
        await connection.execute("delete from desired where gateway_id = $1", gateway)
        await connection.execute("delete from account where gateway_id = $1", gateway)


async def labels_of(connection: Any, gateway: str) -> dict[str, str]:
    """Labels that a gateway has; none where it is not known."""
    text = await connection.fetchval("select labels from gateway where id = $1", gateway)
    found: dict[str, str] = orjson.loads(text) if text else {}
    return found


async def set_labels(connection: Any, gateway: str, labels: dict[str, str]) -> None:
    """Labels of a gateway, which groups go by; those that it had before are replaced."""
    await connection.execute(
        "insert into gateway (id, labels) values ($1, $2::jsonb)"
        " on conflict (id) do update set labels = excluded.labels",
        *(gateway, orjson.dumps(labels).decode()),
    )
