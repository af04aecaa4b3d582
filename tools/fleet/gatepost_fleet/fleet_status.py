"""Status of a fleet, from the database: silent gateways, missing readings, copied cards."""

from __future__ import annotations

from typing import Any, NamedTuple

CLONE_SECONDS = 60  # an earlier start that is live so long after a later one began runs on another box

_GATEWAYS = """
select gateway.id, gateway.last_seen, gateway.status ->> 'status' as status, gateway.clock_offset,
       coalesce(holes.missing, 0)::bigint as missing, coalesce(lives.copies, false) as copied
from gateway
left join (
  select gateway_id, sum(whole - came) as missing from (
    select arrival.gateway_id, arrival.log_epoch,
           (account.body ->> 'sent')::bigint as whole,
           (select coalesce(sum(upper(part) - lower(part)), 0)
            from unnest(arrival.seqs * int8multirange(span)) as part) as came
    from account
    cross join lateral int8range((body ->> 'from_seq')::bigint, (body ->> 'upto_seq')::bigint + 1) as span
    left join arrival using (gateway_id, log_epoch)
  ) as counted where whole > came group by gateway_id
) as holes on holes.gateway_id = gateway.id
left join (
  select gateway_id, bool_or(overlap) as copies from (
    select gateway_id, last_live > lead(first_live) over starts + make_interval(secs => $1) as overlap
    from arrival where first_live is not null window starts as (partition by gateway_id order by first_live)
  ) as spans group by gateway_id
) as lives on lives.gateway_id = gateway.id
order by gateway.id
"""


class GatewayLine(NamedTuple):
    """One gateway as the fleet sees it: seconds since it was heard, `missing` readings by its own account."""

    id: str
    status: str
    silent: float
    missing: int
    copied: bool
    clock_offset: float | None


async def gateways(connection: Any) -> list[GatewayLine]:
    """Every gateway, by its id (an asyncpg connection)."""
    now = await connection.fetchval("select now()")
    return [
        GatewayLine(
            row["id"],
            row["status"] or "unknown",
            (now - row["last_seen"]).total_seconds(),
            row["missing"],
            row["copied"],
            row["clock_offset"].total_seconds() if row["clock_offset"] is not None else None,
        )
        for row in await connection.fetch(_GATEWAYS, CLONE_SECONDS)
    ]
