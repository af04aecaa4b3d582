"""What is kept about the log itself, as people see it."""

from __future__ import annotations

from typing import Any

from agent.clock import rfc3339


def gap_dict(row: tuple[Any, ...]) -> dict[str, Any]:
    """A gap without its number: what was lost, when and why."""
    time, reason, device, brokers, count, urgent, first, last, since, until = row[:10]
    return {
        "time": rfc3339(time),
        "reason": reason,
        "device_id": device or None,
        "brokers": brokers.split(",") if brokers else [],
        "count": count,
        "urgent": urgent,
        "first": first,
        "last": last,
        "since": rfc3339(since) if since is not None else None,
        "until": rfc3339(until) if until is not None else None,
    }
