"""Retention of what the fleet's controller keeps: rollouts that ended, their documents, accounts of earlier starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

BATCH = 1000  # rows of a table at once, so that no statement holds the controller up
LOOK_EVERY = 3600.0  # seconds between two looks, once nothing is left

# A gateway's newest documents stay: the one that it is to have, and the one it goes back to if that is taken back.
_DOCUMENTS = """
with old as (
  select each.ctid from desired as each join rollout on rollout.id = each.rollout
  where rollout.state in ('aborted', 'done') and rollout.wave_at < now() - $1::interval
    and (each.released_at is null or exists (
      select from desired as newer join rollout as ended on ended.id = newer.rollout
      where newer.gateway_id = each.gateway_id and newer.version > each.version and newer.released_at is not null
        and ended.state in ('aborted', 'done')))
  limit $2
)
delete from desired where ctid in (select ctid from old)
"""
# The newest rollout stays, for versions only grow.
_ROLLOUTS = """
with old as (
  select id from rollout
  where state in ('aborted', 'done') and wave_at < now() - $1::interval
    and version < (select max(version) from rollout)
    and not exists (select from desired where desired.rollout = rollout.id)
  limit $2
)
delete from rollout where id in (select id from old)
"""
# A start is over where a later account of the same gateway is of another one.
_ACCOUNTS = """
with old as (
  select each.ctid from account as each
  where told_at < now() - $1::interval and exists (
    select from account as newer
    where newer.gateway_id = each.gateway_id and newer.broker = each.broker and newer.log_epoch <> each.log_epoch
      and newer.told_at > each.told_at)
  limit $2
)
delete from account where ctid in (select ctid from old)
"""


async def remove_old(connection: Any, keep: timedelta, batch: int = BATCH) -> bool:
    """Remove what ended longer ago, at most a batch of each; whether more may be left. Raises what asyncpg raises."""
    done = [await connection.execute(each, keep, batch) for each in (_DOCUMENTS, _ROLLOUTS, _ACCOUNTS)]
    return any(int(tag.rpartition(" ")[2]) >= batch for tag in done)


class Retention:
    """Retention that looks now and then; `monotonic` is the clock of that."""

    def __init__(self, keep: timedelta, monotonic: Callable[[], float]) -> None:
        self._keep = keep
        self._monotonic = monotonic
        self._next: float | None = None

    async def look(self, connection: Any) -> None:
        """Nothing where it is not time. Raises what asyncpg raises."""
        now = self._monotonic()
        if self._next is not None and now < self._next:
            return
        self._next = now + LOOK_EVERY
        if await remove_old(connection, self._keep):
            self._next = now
