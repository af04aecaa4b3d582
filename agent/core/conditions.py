"""Conditions of devices and brokers: one judgement for health, doctor, status, metrics and the page."""

from __future__ import annotations

from typing import Literal

# ok: at work. idle: as it should be, and nothing comes now. error: a person must look.
Condition = Literal["ok", "idle", "error"]

# The ways of a device that sleeps between its measurements: no faults, and nothing to warn of at each visit.
USUAL = frozenset({"asleep", "waiting", "waiting-for-slot"})

# A device that speaks MQTT and connects for each message: it said so, or its connection ended in another way.
GOODBYE = "disconnected"
CONNECTION_ENDS = frozenset({GOODBYE, "connection lost", "keepalive"})
RHYTHM_GAPS = 5  # usual gaps between two messages, in which it is not missed yet
SHORTEST_AWAY = 5.0  # seconds in which it is not either, where it has a rhythm

PUT_AWAY = frozenset({"missing", "gone"})  # a meter that is plugged in to be read, and unplugged again


def device_condition(
    status: str,
    reason: str | None,
    *,
    monitoring: bool,
    streams: bool,
    seen: bool,
    quiet_for: float | None = None,
    rhythm: float | None = None,
) -> Condition:
    """`streams`: it speaks without a pause as a rule; `seen`: a reading has come since it is configured; `quiet_for`:
    seconds since it was heard; `rhythm`: those between two readings as a rule, None = not known yet."""
    if status == "online":
        return "ok" if monitoring else "idle"
    if status in ("starting", "stopped"):
        return "idle"
    if status == "offline" and (reason in USUAL or (reason in PUT_AWAY and seen and not streams)):
        return "idle"
    if status == "offline" and reason in CONNECTION_ENDS and seen:
        if rhythm is None or quiet_for is None:
            return "idle" if reason == GOODBYE else "error"
        return "idle" if quiet_for <= max(SHORTEST_AWAY, RHYTHM_GAPS * rhythm) else "error"
    return "error"


def broker_condition(state: str, attempts: int, refuses: bool) -> Condition:
    """The first attempt is no trouble yet, a broker that is switched off is none at all; one that `refuses` a
    subscription is: commands do not arrive."""
    if state == "connected":
        return "error" if refuses else "ok"
    return "idle" if state == "disconnected" or (state == "connecting" and attempts <= 1) else "error"
