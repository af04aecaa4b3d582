"""Device view: the state of one device, ready for JSON."""

from __future__ import annotations

from typing import cast

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.views import DeviceView
from gatepost.agent.devices.device_session import DeviceSession
from gatepost.agent.devices.health import StatusReason


def view_of(runner: DeviceSession, clock: Clock) -> DeviceView:
    health, tally, device = runner.health, runner.tally, runner.device
    decoder_faults = dict(runner.intake.faults)
    faults = dict(decoder_faults)
    for kind, count in (*health.faults, *runner.counters().items()):
        faults[kind] = faults.get(kind, 0) + count
    retry_at = runner.retry_at
    now, rhythm = clock.now().mono, runner.intake.rhythm
    reason = health.reason if health.reason.key or runner.desired.reporting else _stopped(runner)
    view = DeviceView(
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
    )
    if health.doing is not None:
        view["doing"] = dict(health.doing)
    # What the device told of itself; a member of the view wins over it.
    return cast(DeviceView, {**health.known, **view})


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
