"""Ventilators and analysers of the bedside under the names of the vectors."""

from __future__ import annotations

from collections.abc import Iterable

from gatepost.drivers.laboratory import CONTROL
from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.astm.analyser import AnalyserDecoder, AnalyserResult
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


class _Results(AnalyserDecoder):
    """Keeps the results beside their readings."""

    def __init__(self) -> None:
        super().__init__({}, {})
        self.found: list[AnalyserResult] = []

    def _reading(self, found: AnalyserResult) -> Reading:
        self.found = [*self.found, found][-200:]
        return super()._reading(found)


def astm(chunks: Iterable[bytes]) -> Fields:
    decoder = _Results()
    for chunk in chunks:
        decoder.feed(chunk)
    return {
        "readings": [_result(found) for found in decoder.found],
        "answers": [ask.answer.hex() for ask in decoder.asks],
    }


def _result(found: AnalyserResult) -> Fields:
    result = found.result
    fields: Fields = {"analyte": result.analyte, "value": result.value, "unit": result.unit, "status": result.status}
    fields |= {"text": result.text} if result.value is None else {}
    fields |= {"abnormal": "/".join(result.markers)} if result.markers else {}
    fields |= {"timestamp": result.timestamp} if result.timestamp else {}
    return fields | ({"control": True} if CONTROL in found.unreal else {})


TABLE: Table = {
    "serial-frame": {"pb840": pb840},
    "serial-stream": {"astm-analyser": astm},
    "encode": {"pb840": pb840_request},
}
