"""Status of a fleet, from the database: silent gateways, missing readings, copied cards, desired state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from gatepost_fleet.message import MAX_SEQ
from gatepost_fleet.rollout import FAILED

CLONE_SECONDS = 60  # an earlier start that is live so long after a later one began runs on another box
CLONE_TOLD = timedelta(days=1)  # for how long a copied card is told after both were seen
ARRIVE_WITHIN = timedelta(seconds=60)  # readings of a younger account may be on their way yet
BACKLOG_TOLD = timedelta(minutes=5)  # after the last late reading nothing waits at the gateway any more
SILENT = 900.0  # seconds after which a gateway counts as silent
STATES = ("copied", "missing", "failed", "silent", "offline", "behind", "well")  # the worst first

# An account that cannot be is refused when it comes. Rows of before may hold one: it counts as none, for one gateway
# must not take the sight of all others.
_GATEWAYS = """
select gateway.id, extract(epoch from now() - gateway.last_seen)::float8 as silent,
       coalesce(gateway.status ->> 'status', 'unknown') as status,
       extract(epoch from gateway.clock_offset)::float8 as clock_offset,
       case when gateway.backlog_at > now() - $4::interval then extract(epoch from gateway.backlog_age)::float8
            else 0 end as backlog_age,
       least(coalesce(holes.missing, 0), $5::bigint)::bigint as missing, coalesce(lives.copies, false) as copied,
       gateway.desired, answer.status as outcome,
       case when coalesce(answer.status, 'unsigned') in ('trying', 'unsigned')
            then extract(epoch from now() - desired.released_at)::float8 end as lag, waits.owed,
       case when gateway.reported ->> 'status' = 'applied'
            then nullif(greatest((gateway.reported ->> 'version')::bigint, coalesce(gateway.desired, 0)),
                        coalesce(gateway.desired, 0)) end as unknown
from gateway
left join desired on desired.gateway_id = gateway.id and desired.version = gateway.desired
cross join lateral (  -- none of a gateway that asked anew for what it had decided: its card is another one
  select case when gateway.asked_at > desired.reported_at and coalesce(gateway.have, 0) < desired.version
                   and desired.status <> 'unsigned' then null else desired.status end as status
) as answer
left join (
  select gateway_id, sum(whole - came) as missing from (
    select told.gateway_id, told.log_epoch, (body ->> 'sent')::numeric as whole,
           (select coalesce(sum(upper(part) - lower(part)), 0)
            from unnest(arrival.seqs * int8multirange(span)) as part) as came
    from (
      select gateway_id, log_epoch, case when told_at < now() - $3::interval then body else previous end as body
      from account
    ) as told
    cross join lateral (
      -- A `case`, because nothing else keeps PostgreSQL from making the range first.
      select case when body @? '$ ? (@.from_seq >= 0 && @.from_seq <= @.upto_seq && @.upto_seq < 9223372036854775807
                                    && @.sent >= 0 && @.sent <= @.upto_seq - @.from_seq + 1)'
             then int8range(floor((body ->> 'from_seq')::numeric)::bigint,
                            floor((body ->> 'upto_seq')::numeric)::bigint + 1) end as span
    ) as account_span
    left join arrival on arrival.gateway_id = told.gateway_id and arrival.log_epoch = told.log_epoch
    where span is not null
  ) as counted where whole > came group by gateway_id
) as holes on holes.gateway_id = gateway.id
left join (
  select gateway_id, bool_or(overlap and last_live > now() - $2::interval) as copies from (
    select gateway_id, last_live,
           last_live > lead(first_live) over starts + make_interval(secs => $1) as overlap
    from arrival where first_live is not null window starts as (partition by gateway_id order by first_live)
  ) as spans group by gateway_id
) as lives on lives.gateway_id = gateway.id
left join (
  select distinct on (gateway_id) gateway_id, least((body -> 'owed')::text::numeric, $5::bigint)::bigint as owed
  from account where jsonb_typeof(body -> 'owed') = 'number' order by gateway_id, told_at desc
) as waits on waits.gateway_id = gateway.id
order by gateway.id
"""


class GatewayLine(NamedTuple):
    """One gateway as the fleet sees it. Seconds: since it was heard (None: never), its clock's offset, the age of
    readings that waited there, and `lag` since a desired state without outcome was released. `missing` readings by its
    own account, which also says how many it `owed` (None: it does not); `outcome` of the `desired` version; `unknown`:
    a later version that it runs, as after the database was restored from a backup."""

    id: str
    silent: float | None
    status: str
    clock_offset: float | None
    backlog_age: float
    missing: int
    copied: bool
    desired: int | None
    outcome: str | None
    lag: float | None
    owed: int | None = None
    unknown: int | None = None

    @property
    def state(self) -> str:
        """The worst of STATES that holds."""
        holds = {
            "copied": self.copied,
            "missing": self.missing > 0,
            "failed": self.outcome in FAILED,
            "silent": self.silent is None or self.silent > SILENT,
            "offline": self.status == "offline",
            "behind": self.lag is not None or self.unknown is not None,
        }
        return next((state for state in STATES if holds.get(state)), "well")

    def notes(self) -> list[str]:
        """In words, what a person should look at."""
        found = []
        if self.silent is None:
            found.append("never heard")
        elif self.silent > SILENT:
            found.append(f"silent for {self.silent / 60:.0f} min")
        if self.missing:
            found.append(f"{self.missing} readings missing")
        if self.copied:
            found.append("two boxes use this id: a copied card?")
        if self.clock_offset is not None and abs(self.clock_offset) > 5:
            found.append(f"clock {self.clock_offset:+.0f} s")
        if self.unknown is not None:
            found.append(f"runs version {self.unknown}, which is not known here: roll out again")
        elif self.outcome in FAILED:
            found.append(f"version {self.desired} was {self.outcome}")
        elif self.lag is not None:
            found.append(f"version {self.desired} {self.outcome or 'not answered'} for {self.lag / 60:.0f} min")
        if self.backlog_age > 60:
            waits = f", {self.owed} wait there" if self.owed else ""
            found.append(f"delivers readings of {self.backlog_age / 60:.0f} min ago{waits}")
        return found


async def gateways(connection: Any) -> list[GatewayLine]:
    """Every gateway, by its id (an asyncpg connection)."""
    rows = await connection.fetch(_GATEWAYS, CLONE_SECONDS, CLONE_TOLD, ARRIVE_WITHIN, BACKLOG_TOLD, MAX_SEQ)
    return [GatewayLine(**dict(row)) for row in rows]
