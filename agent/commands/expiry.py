"""Expiry of commands: parsing of their times, and the check that one is still valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gatepost.agent.commands.model import RefusedCommand
from gatepost.agent.core.clock import US, Stamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
AHEAD = 300 * US  # how far a sender's clock may run ahead of a synchronised gateway


def parse_time(text: str) -> int:
    """RFC 3339 with `Z` or an offset -> microseconds since 1970 (UTC); ValueError else."""
    try:
        moment = datetime.fromisoformat(text.upper() if len(text) <= 64 else "")
        if moment.tzinfo is not None:
            return (moment - EPOCH) // MICROSECOND
    except (ValueError, OverflowError):
        raise ValueError("expected a time like 2026-11-20T10:30:00Z") from None
    raise ValueError("the time has no zone: write it with Z or an offset")


def valid_until(issued: int | None, expires: int | None, ttl: float) -> int | None:
    """The end of a command's life (microseconds): what it says, else `ttl` seconds after its issue."""
    if expires is not None:
        return expires
    return None if issued is None else issued + round(ttl * US)


def too_old(
    now: Stamp, issued: int | None, expires: int | None, ttl: float, left: float | None
) -> RefusedCommand | None:
    """A refusal when the command's time is over, or has not come.

    A clock that is not synchronised lags behind (a box without a battery-backed clock resumes where it stopped): what
    is over by it is over, what seems to come from the future is taken.
    """
    end = valid_until(issued, expires, ttl)
    if end is not None and now.wall >= end:
        return RefusedCommand(
            "expired",
            f"The command was valid until {_span((now.wall - end) / US)} ago.",
            "Send it again with a later expires_at; check the clocks if it was sent just now.",
        )
    if end is None and left is not None and left <= 0:
        return RefusedCommand("expired", "The message's expiry interval is over.", "Send it again.")
    if issued is not None and now.synchronised and issued > now.wall + AHEAD:
        return RefusedCommand(
            "expired",
            f"The command's issued_at lies {_span((issued - now.wall) / US)} ahead of the gateway's clock.",
            "Check the sender's clock.",
        )
    return None


def _span(seconds: float) -> str:
    """51072.1 -> `14 h`."""
    for length, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"
