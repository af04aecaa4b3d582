"""`gatepost readings`: what was stored, newest last; and what comes, as it is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, OfDevice, Socket, connected
from gatepost.agent.cli.support.formatting import clock_time, quantity
from gatepost.agent.cli.support.output import complain, say, say_json, say_line, table
from gatepost.agent.core.views import PAYLOAD_MEMBERS
from gatepost.client import GatewayClient, GatewayError

PAGE = 1000
COLUMNS = ("time", "device", "values", "flags")
BELOW = ("flags", "values")


def readings_verb(
    device: OfDevice = None,
    metric: Annotated[str | None, typer.Option("--metric", "-m", help="Only of this metric_type.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Show at most this many stored ones.")] = 20,
    since: Annotated[
        str | None, typer.Option("--since", help="RFC 3339 (2026-11-20T10:30:00Z) or how long ago (10m, 2h).")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="As --since; not with --follow.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then print new ones as they are stored.")] = False,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print stored readings, the newest last, and follow new ones.

    With --follow it goes on until Ctrl-C; with --json too, that is one JSON object a line, as brokers get it.

    \b
    Example:
      gatepost readings --device oximeter-1 --since 10m
      gatepost readings --follow
    """
    client = connected(socket, config)
    start = None if since is None else moment(since)
    end = None if until is None else moment(until)
    if follow:
        if end is not None:
            raise typer.BadParameter("cannot be combined with --follow", param_hint="--until")
        _follow(client, device, metric, start, min(limit, PAGE), json)
        return
    found = stored(client, limit, device=device, metric=metric, since=start, until=end)
    if device is not None and not found and limit:
        client.device(device)  # says so when there is none
    if json:
        say_json({"readings": found})
    else:
        table(COLUMNS, [row(reading) for reading in found], below=BELOW)


def stored(client: GatewayClient, limit: int, **query: Any) -> list[dict[str, Any]]:
    """The newest `limit` readings, oldest first, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while len(found) < limit:
        answer = client.readings(limit=min(PAGE, limit - len(found)), cursor=cursor, **query)
        found += answer["readings"]
        cursor = answer["cursor"]
        if cursor is None:
            break
    return found[::-1]


def moment(text: str, now: datetime | None = None) -> datetime:
    """RFC 3339, or a duration before now; raises BadParameter. A time without a zone is local time."""
    from gatepost.agent.settings.units import parse_duration

    try:
        return (now or datetime.now(UTC)) - timedelta(seconds=parse_duration(text))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time; write 2026-11-20T10:30:00Z or 10m") from None


def row(reading: dict[str, Any]) -> tuple[Any, ...]:
    return (
        clock_time(reading.get("timestamp", "")),
        reading.get("device_id"),
        values(reading),
        ", ".join(flags(reading)),
    )


def values(reading: dict[str, Any]) -> str:
    """`spo2 97 %, heart_rate 72 /min`; of a waveform its length; without values the metric."""
    units = reading.get("units") or {}
    parts = [quantity(name, value, units.get(name)) for name, value in reading.items() if name not in PAYLOAD_MEMBERS]
    metric = str(reading.get("metric_type", ""))
    if "samples" in reading:
        parts.append(f"{metric} {len(reading['samples'])} samples at {reading.get('rate_hz')} Hz")
    return ", ".join(parts) or metric


def flags(reading: dict[str, Any]) -> list[str]:
    """What is not as usual (urgent, quality, clock), the flags, and the patient."""
    found = ["urgent"] if reading.get("urgent") else []
    if reading.get("quality") not in (None, "good"):
        found.append(f"quality {reading['quality']}")
    if reading.get("clock") not in (None, "synchronised"):
        found.append(f"clock {reading['clock']}")
    found += map(str, reading.get("flags") or [])
    return [*found, f"patient {reading['patient_id']}"] if reading.get("patient_id") else found


def _follow(
    client: GatewayClient, device: str | None, metric: str | None, since: datetime | None, last: int, json: bool
) -> None:
    for reading in client.follow(device, metric, last):
        if "lost" in reading and "metric_type" not in reading:
            complain(f"{reading['lost']} readings went by faster than they could be printed; they are stored")
        elif since is not None and datetime.fromisoformat(reading["timestamp"]) < since:
            continue
        elif json:
            say_line(reading)
        else:
            say("  ".join(str(cell) for cell in row(reading) if cell))
    raise GatewayError("agent-left", "the agent stopped")
