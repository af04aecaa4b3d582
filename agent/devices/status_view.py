"""What people and programs see of a device."""

from __future__ import annotations

from typing import Any

import msgspec

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.devices.device_session import DeviceSession
from gatepost.agent.devices.health import StatusReason


class DeviceView(msgspec.Struct, frozen=True):
    """One device at this moment. `reason` is a stable key, `message` and `hint` its words; times are RFC 3339.

    `faults` counts by kind what went wrong, the decoder's and the port's included; `decoder_faults` are the decoder's
    alone, `faults_recent` how many of those came within the last minute or two. `every` is the pace in force in
    seconds, `desired` what commands ordered; `orders` tells which of it holds because of a command: `stopped`, `timed`
    (with `until`), `interval` (with `seconds`), each with `source` and `since`, None where that is not known.
    `quiet_for` are the seconds since its last byte (since it was opened when there was none), `usual_gap` those between
    two readings as a rule; None = not known, or it has no rule. `next_retry_in` is in seconds. `known` is what
    the device told of itself (battery, signal_strength, firmware, ...), `doing` something long that it is at.
    """

    id: str
    driver: str
    port: str | None
    status: str
    since: str
    reason: str | None
    message: str
    hint: str
    readings: int
    last_reading: str | None
    faults: dict[str, int]
    decoder_faults: dict[str, int]
    faults_recent: int
    last_fault: str
    every: float
    monitoring: bool
    desired: dict[str, Any]
    orders: dict[str, dict[str, Any]]
    thresholds: dict[str, dict[str, float | None]]
    bytes: int
    decoded: int
    unreported: int
    dropped: int
    reconnects: int
    next_retry_in: float | None
    quiet_for: float | None
    usual_gap: float | None
    known: dict[str, Any]
    doing: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; battery, signal_strength and the like stand beside the rest when the device told them."""
        shown: dict[str, Any] = msgspec.to_builtins(self)
        known = shown.pop("known")
        if shown["doing"] is None:
            del shown["doing"]
        return {**known, **shown}


def view_of(runner: DeviceSession, clock: Clock) -> DeviceView:
    health, tally, device = runner.health, runner.tally, runner.device
    decoder_faults = runner.intake.faults
    faults = dict(decoder_faults)
    for kind, count in (*health.faults, *runner.counters().items()):
        faults[kind] = faults.get(kind, 0) + count
    retry_at = runner.retry_at
    now, rhythm = clock.now().mono, runner.intake.rhythm
    reason = health.reason if health.reason.key or runner.desired.reporting else _stopped(runner)
    return DeviceView(
        id=runner.name,
        driver=device.driver,
        port=device.port or device.address or device.name,
        status=str(health.state),
        since=rfc3339(health.since),
        reason=reason.key or None,
        message=reason.message,
        hint=reason.hint,
        readings=tally.readings,
        last_reading=rfc3339(tally.last_wall) if tally.last_wall else None,
        faults=faults,
        decoder_faults=decoder_faults,
        faults_recent=rhythm.recent(now, sum(decoder_faults.values())),
        last_fault=health.faults.last or runner.intake.last_fault,
        every=runner.every,
        monitoring=runner.desired.reporting,
        desired=runner.desired.as_dict(),
        orders=runner.desired.orders(),
        thresholds={name: {"min": limit.min, "max": limit.max} for name, limit in device.thresholds.items()},
        bytes=tally.bytes,
        decoded=tally.decoded,
        unreported=tally.unreported,
        dropped=tally.dropped,
        reconnects=tally.reconnects,
        next_retry_in=None if retry_at is None else round(max(0.0, retry_at - clock.monotonic()), 3),
        quiet_for=None if runner.outlet.paused else rhythm.quiet_for(now, health.online),
        usual_gap=rhythm.usual_gap if runner.driver.streams and not runner.hushed else None,
        known=dict(health.known),
        doing=health.doing,
    )


def _stopped(runner: DeviceSession) -> StatusReason:
    """Why a device that is there reports nothing."""
    by = runner.desired.stopped_by
    who = f" ({by.source})" if by is not None and by.source else ""
    when = f" at {rfc3339(by.wall)[:19]}Z" if by is not None else ""  # a person needs no microseconds
    return StatusReason(
        "monitoring-stopped",
        f"reporting was stopped by a command{who}{when}",
        f"`gatepost send {runner.name} start_monitoring` starts it again",
    )
