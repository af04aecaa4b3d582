"""Checks of one device, from its view."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gatepost.agent.core.views import DeviceView
from gatepost.agent.diagnostics.catalogue import finding_of
from gatepost.agent.diagnostics.finding import Finding

QUIET = 5.0  # seconds: what is shorter is no silence, whatever the usual gap
QUIET_GAPS = 5  # times the usual gap
FAULTS = 10  # fewer say nothing of the format
FEW = 0.25  # readings for each fault
LATELY = 30.0  # seconds without a reading while faults come
MINUTE = 60
UNTAKEN = "`gatepost listener --refused` shows what it sent that was not taken, and why; options.topics maps topics"


def of_device(view: DeviceView, now: datetime, carrier: bool = False) -> Iterator[Finding]:
    """At most one finding: what explains the most. A `carrier` of other devices may have no readings of its own."""
    about = f"device {view['id']}"
    message, hint = view["message"], view["hint"]
    if view["status"] != "online" and view["condition"] != "error":  # it sleeps, starts, or was put away
        return
    match view["status"]:
        case "error":
            yield finding_of("device-error", about, "it cannot be used", message, hint)
        case "offline" if view["reason"] == "silent":
            yield finding_of("device-silent", about, "its port is open, and it says nothing", message, hint)
        case "offline":
            what = message or f"it is not there ({view['port'] or view['driver']})"
            yield finding_of("device-absent", about, what, "", hint or _how_to_connect(view))
        case "online":
            yield from _online(view, about, now, carrier)


def _how_to_connect(view: DeviceView) -> str:
    """Of a device that speaks MQTT: it comes by itself."""
    if view["driver"] != "mqtt":
        return ""
    if view["reason"] == "broker":
        return "`gatepost brokers` shows why"
    if "its token " in view["message"]:
        return f"`gatepost token create --device {view['id']}` makes a new one, for the settings of the device"
    if view["faults_recent"]:
        return UNTAKEN
    return "is it switched on, and in its network? `gatepost listener` shows who is connected"


def _online(view: DeviceView, about: str, now: datetime, carrier: bool) -> Iterator[Finding]:
    driver = view["driver"]
    faults = _faults(view)
    mapped = driver == "mqtt"
    there = "its port is open" if view["port"] else "it is connected"
    quiet, usual = view["quiet_for"], view["usual_gap"]
    if misunderstood := _misunderstood(view, sum(faults.values()), now):
        yield finding_of(
            "device-misunderstood",
            about,
            misunderstood,
            _counted(faults, view),
            UNTAKEN
            if mapped
            else f"are the format and the line settings right? `gatepost drivers {driver}` explains them",
        )
    elif quiet is not None and usual and quiet > max(QUIET, QUIET_GAPS * usual):
        yield finding_of(
            "device-quiet",
            about,
            f"nothing came for {_span(quiet)}",
            f"{there}, and it usually says something every {_span(usual)}",
            "is it switched on, and is its cable plugged in at both ends?" if view["port"] else "is it switched on?",
        )
    elif not view["monitoring"]:
        reason = view["message"] or "reporting was stopped by a command"
        do = view["hint"] or (f"`gatepost send {view['id']} start_monitoring` starts it again")
        yield finding_of("device-not-reporting", about, "its readings are not reported", reason, do)
    elif not view["last_reading"] and not carrier:
        yield finding_of(
            "device-no-reading",
            about,
            f"{there} and no reading has come",
            _counted(faults, view)
            or ("" if mapped else "it is switched off, waits for a measurement, or speaks at another speed"),
            UNTAKEN if mapped else f"is the driver right? `gatepost drivers {driver}` shows its line settings",
        )


def _misunderstood(view: DeviceView, wrong: int, now: datetime) -> str:
    """A sentence when much of what comes is not understood: hardly anything ever was, or nothing is any more."""
    recent, understood = view["faults_recent"], view["decoded"]
    if recent and wrong >= FAULTS and understood < wrong * FEW:
        return f"{wrong} lines or messages could not be understood, {understood} could"
    last = view["last_reading"]
    if recent >= FAULTS and view["monitoring"]:
        if last is None:
            return f"{recent} lines or messages could not be understood recently, and no reading has come"
        age = (now - datetime.fromisoformat(last)).total_seconds()
        if age > max(LATELY, 2 * view["every"]):
            return f"{recent} lines or messages could not be understood recently, the last reading is {_span(age)} old"
    return ""


def _faults(view: DeviceView) -> dict[str, int]:
    """The decoder's own where they are told apart."""
    return {kind: count for kind, count in (view["decoder_faults"] or view["faults"]).items() if count}


def _counted(faults: dict[str, int], view: DeviceView) -> str:
    counts = ", ".join(f"{kind}: {count}" for kind, count in faults.items())
    last = view["last_fault"]
    return f"{counts}; the newest: {last}" if counts and last not in ("", *faults) else counts


def _span(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.1f} s" if seconds < QUIET else f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < MINUTE * MINUTE else f"{seconds / MINUTE / MINUTE:.1f} h"
