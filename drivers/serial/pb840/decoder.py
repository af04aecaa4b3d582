"""Decoder of a Puritan Bennett 840: octets -> readings of whole reports."""

from __future__ import annotations

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, Faults, Reading, Reply
from gatepost.drivers.serial.pb840.report import (
    ETX,
    HEAD,
    LONGEST_HEAD,
    MAX_OCTETS,
    VentilatorReport,
    decode_report,
)

START = b"MISC"
PRIORITIES = {"LOW": 1, "MEDIUM": 2, "HIGH": 3, "ALARM": 3}
NAMES = {"oxygen": "fio2", "compliance_dynamic": "compliance", "resistance_dynamic": "resistance"}
MANOEUVRE_NAMES = {
    "peep_intrinsic_pause": "peep_intrinsic", "compliance_static": "compliance", "resistance_static": "resistance",
}  # fmt: skip
SETTING_NAMES = {"oxygen": "fio2", "respiratory_rate": "respiration_rate"}
UNITS = {
    "respiration_rate": "/min", "tidal_volume_expired": "L", "tidal_volume_inspired": "L", "tidal_volume": "L",
    "tidal_volume_spontaneous": "L", "minute_volume": "L/min", "minute_volume_spontaneous": "L/min",
    "peak_flow": "L/min", "fio2": "%", "compliance": "mL/cm[H2O]", "resistance": "cm[H2O]/L/s",
}  # fmt: skip
PRESSURE = "cm[H2O]"


class Pb840Decoder:
    """A report that is not whole is dropped and counted; one that is gives values, settings and what changed of the
    alarms."""

    def __init__(self, settings: bool) -> None:
        self.faults = Faults()
        self._settings = settings
        self._rest = b""
        self._noise = False  # and counted
        self._alarms: dict[int, str] = {}
        self._manoeuvres: dict[str, float] = {}  # the results that were reported

    def feed(self, data: bytes) -> list[Reading | Reply]:
        data = self._rest + data
        out: list[Reading | Reply] = []
        at = 0
        while True:
            start = data.find(START, at)
            if start < 0:
                kept = next((size for size in (3, 2, 1) if data.endswith(START[:size]) and len(data) - at >= size), 0)
                self._skip(data[at : len(data) - kept])
                at = len(data) - kept
                break
            self._skip(data[at:start])
            at = start
            head = HEAD.match(data, at)
            if head is None:
                if len(data) - at < LONGEST_HEAD:
                    break
                self._skip(data[at : at + 1])
                at += 1
                continue
            end = head.end() + int(head[2])
            early = data.find(ETX, head.end(), end)
            if int(head[2]) <= MAX_OCTETS and early < 0 and len(data) <= end:
                break
            try:
                if int(head[2]) > MAX_OCTETS:
                    raise FrameError("bad_length")
                report = decode_report(data[at : end + 1])
            except FrameError:
                self.faults.add("bad-length", "a report whose counts do not hold")
                self._noise = True
                at = head.end()
                continue
            self._noise = False
            out += self._readings(report)
            at = end + 1
        self._rest = data[at:]
        return out

    def _skip(self, octets: bytes) -> None:
        if octets.strip(b"\r\n\x00 ") and not self._noise:
            self._noise = True
            self.faults.add("noise", "octets that belong to no report")

    def _readings(self, report: VentilatorReport) -> list[Reading | Reply]:
        time = report.time.isoformat() if report.time else None
        out: list[Reading | Reply] = [Reply("report", {"kind": report.kind, "serial_number": report.device[:32]})]
        out.append(_reading("ventilation", report.measured, NAMES, {}, time))
        if self._settings:
            out.append(
                _reading(
                    "ventilator_settings", report.settings, SETTING_NAMES, {"mode": report.texts.get("mode")}, time
                )
            )
        results = {name: number for name, number in report.manoeuvres.items() if number}
        if results and results != self._manoeuvres:
            found = _reading("ventilation", dict(results), MANOEUVRE_NAMES, {}, None)  # made some time ago
            found.flags = ("manoeuvre",)
            out.append(found)
        self._manoeuvres = results
        for field, state in report.alarms.items():
            if state in PRIORITIES and self._alarms.get(field) != state:
                priority = {"alarm_priority": PRIORITIES[state]}
                out.append(Reading("device_alarm", dict(priority), {}, (f"device-alarm:field-{field}",), GOOD, time))
        self._alarms = report.alarms
        return out


def _reading(
    metric: str, found: dict[str, float | None], names: dict[str, str], texts: dict[str, str | None], time: str | None
) -> Reading:
    values: dict[str, float | str] = {
        names.get(name, name): number for name, number in found.items() if number is not None
    }
    units = {name: UNITS.get(name, PRESSURE) for name in values}
    values |= {name: text for name, text in texts.items() if text}
    missing = tuple(f"{names.get(name, name)}:not-measured" for name, number in found.items() if number is None)
    return Reading(metric, values, units, missing, GOOD if values else BAD, time)
