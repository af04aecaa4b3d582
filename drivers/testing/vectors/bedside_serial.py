"""Ventilators and analysers of the bedside under the names of the vectors."""

from __future__ import annotations

from gatepost.drivers.serial.pb840.driver import REQUESTS
from gatepost.drivers.serial.pb840.report import decode_report
from gatepost.drivers.testing.vectors.kinds import Fields, Table


def pb840(octets: bytes) -> Fields:
    report = decode_report(octets)
    time = {"timestamp": list(report.time.timetuple()[:5])} if report.time else {}
    return {
        "message": report.kind,
        "octets": report.octets,
        "fields": report.fields,
        "id": report.device,
        **time,
        **report.texts,
        "measured": {**report.measured, **report.manoeuvres},
        "set": report.settings,
        "alarms": [{"field": field, "state": state} for field, state in report.alarms.items()],
    }


def pb840_request(request: Fields) -> bytes:
    return REQUESTS[request["what"]]


TABLE: Table = {"serial-frame": {"pb840": pb840}, "encode": {"pb840": pb840_request}}
