"""Account of a run: what brokers acknowledged to gateways against what stands in the database."""

from __future__ import annotations

from typing import Any, NamedTuple

from gatepost_fleet.demo.simulated_gateway import SimulatedGateway


class FleetAccount(NamedTuple):
    """Readings that were acknowledged, those of them that are missing, and rows beyond one for each."""

    acknowledged: int
    missing: int
    twice: int


async def compare(connection: Any, gateways: list[SimulatedGateway]) -> FleetAccount:
    """On an asyncpg connection."""
    acknowledged = missing = twice = 0
    for gateway in gateways:
        rows = await connection.fetch(
            "select seq, count(*) from reading where gateway_id = $1 and log_epoch = $2 group by seq",
            gateway.name,
            gateway.epoch,
        )
        stored = {row["seq"]: row["count"] for row in rows}
        acknowledged += len(gateway.acknowledged)
        missing += len(gateway.acknowledged - stored.keys())
        twice += sum(stored.values()) - len(stored)
    return FleetAccount(acknowledged, missing, twice)
