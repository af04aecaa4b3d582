"""Device view: the state of one device, ready for JSON."""

from __future__ import annotations

from typing import cast

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.conditions import device_condition
from gatepost.agent.core.views import DeviceView
from gatepost.agent.devices.device_session import DeviceSession
from gatepost.agent.devices.health import StatusReason


def view_of(session: DeviceSession, clock: Clock) -> DeviceView:
    health, counters, device = session.health, session.counters, session.device
    decoder_faults = dict(session.pipeline.faults)
    faults = dict(decoder_faults)
    for kind, count in (*health.faults, *session.port_counters().items()):
        faults[kind] = faults.get(kind, 0) + count
    retry_at = session.retry_at
    now, traffic = clock.now().mono, session.pipeline.traffic
    quiet_for = None if session.queue.paused else traffic.quiet_for(now, health.online)
    reason = health.reason if health.reason.key or session.desired.reporting else _stopped(session)
    view = DeviceView(
        id=session.name,
        label=device.label,
        room=device.room,
        driver=device.driver,
        title=session.driver.title,
        port=device.port or device.address or device.name,
        brokers=device.brokers,
        status=str(health.state),
        condition=device_condition(
            str(health.state),
            reason.key,
            monitoring=session.desired.reporting,
            streams=session.driver.streams,
            seen=counters.readings > 0,
            quiet_for=quiet_for,
            rhythm=traffic.usual_gap,
        ),
        since=rfc3339(health.since),
        reason=reason.key or None,
        message=reason.message,
        hint=reason.hint,
        readings=counters.readings,
        last_reading=rfc3339(counters.last_wall) if counters.last_wall else None,
        faults=faults,
        decoder_faults=decoder_faults,
        faults_recent=traffic.recent(now, sum(decoder_faults.values())),
        last_fault=health.faults.last or session.pipeline.last_fault,
        every=session.every,
        monitoring=session.desired.reporting,
        desired=session.desired.as_dict(),
        orders=session.desired.orders(),
        thresholds={name: {"min": limit.min, "max": limit.max} for name, limit in device.thresholds.items()},
        bytes=counters.bytes,
        decoded=counters.decoded,
        unreported=counters.unreported,
        dropped=counters.dropped,
        reconnects=counters.reconnects,
        next_retry_in=None if retry_at is None else round(max(0.0, retry_at - clock.monotonic()), 3),
        quiet_for=quiet_for,
        usual_gap=traffic.usual_gap if session.driver.streams and not session.liveness.silenced_by_command else None,
    )
    if health.doing is not None:
        view["doing"] = dict(health.doing)
    # What the device told of itself; a member of the view wins over it.
    return cast(DeviceView, {**health.known, **view})


def _stopped(session: DeviceSession) -> StatusReason:
    """Why a device that is there reports nothing."""
    by = session.desired.stopped_by
    who = f" ({by.source})" if by is not None and by.source else ""
    when = f" at {rfc3339(by.wall)[:19]}Z" if by is not None else ""  # a person needs no microseconds
    return StatusReason(
        "monitoring-stopped",
        f"reporting was stopped by a command{who}{when}",
        f"`gatepost send {session.name} start_monitoring` starts it again",
    )
