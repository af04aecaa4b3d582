"""Ventilators and analysers of the bedside under the names of the vectors."""

from __future__ import annotations

from collections.abc import Iterable

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.laboratory import CONTROL
from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.astm.analyser import AnalyserDecoder, AnalyserResult
from gatepost.drivers.serial.ge_dri import frames as dri_frames
from gatepost.drivers.serial.ge_dri import records as dri_records
from gatepost.drivers.serial.medibus import frames as medibus_frames
from gatepost.drivers.serial.medibus.realtime import RealtimeDecoder, split, value_of
from gatepost.drivers.serial.pb840.driver import REQUESTS
from gatepost.drivers.serial.pb840.report import decode_report
from gatepost.drivers.testing.vectors.kinds import Fields, Table

UNTOLD = frozenset({"minute_volume_spontaneous", "peep_intrinsic_pause", "peep_total"})  # of vectors


def pb840(octets: bytes) -> Fields:
    report = decode_report(octets)
    time = {"timestamp": list(report.time.timetuple()[:5])} if report.time else {}
    numbers = {**report.measured, **report.manoeuvres}
    return {
        "message": report.kind,
        "octets": report.octets,
        "fields": report.fields,
        "id": report.device,
        **time,
        **report.texts,
        "measured": {name: number for name, number in numbers.items() if name not in UNTOLD},
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


def medibus(octets: bytes) -> Fields:
    frame = medibus_frames.decode_frame(split(octets)[0])  # realtime octets may come in the middle of it
    kind = "response" if frame.is_response else "command"
    fields: Fields = {"kind": kind, "code": f"{frame.code:02X}"}
    data, code = frame.data, frame.code
    if not frame.is_response:
        return fields | ({"argument": data.decode("latin-1")} if data else {})
    if code in medibus_frames.DATA:
        return fields | {"items": [item._asdict() for item in medibus_frames.data_items(data)]}
    if code == medibus_frames.SETTINGS:
        return fields | {"items": [item._asdict() for item in medibus_frames.data_items(data, 5)]}
    if code in medibus_frames.ALARMS:
        return fields | {"alarms": [item._asdict() for item in medibus_frames.alarm_items(data)]}
    if code == medibus_frames.TEXTS:
        return fields | {"texts": [{"code": code, "text": text} for code, text in medibus_frames.text_items(data)]}
    if code == medibus_frames.CLOCK:
        return fields | medibus_time(data.decode("latin-1"))
    if code == medibus_frames.REALTIME:
        return fields | {"realtime": [_channel(channel) for channel in medibus_frames.realtime_channels(data)]}
    return fields | ({"corrupt": True} if code == medibus_frames.CORRUPT else {})


def medibus_time(text: str) -> Fields:
    time = medibus_frames.clock_time(text)
    if time is None:
        raise FrameError("bad_format")
    return {"timestamp": time}


def _channel(channel: medibus_frames.RealtimeChannel) -> Fields:
    code, interval, low, high, largest = channel
    return {"code": code, "interval": interval, "min": low, "max": high, "max_bin": largest}


def medibus_realtime(chunks: Iterable[bytes], context: Fields) -> list[Fields]:
    channels = [
        medibus_frames.RealtimeChannel(told["code"], 1, told["min"], told["max"], told["max_bin"])
        for told in context["channels"]
    ]
    decoder = RealtimeDecoder()
    found = []
    for chunk in chunks:
        for place, raw in decoder.feed(split(chunk)[1]):
            if 0 <= place < len(channels):
                value = round(value_of(channels[place], raw), 6)
                found.append({"code": channels[place].code, "raw": raw, "value": value})
    return found


def medibus_request(request: Fields) -> bytes:
    if request.get("reply") == "52":
        told = "{id}'{name}'{revision}:{medibus_revision}".format(**request)
        return medibus_frames.encode_frame(True, 0x52, told.encode("latin-1"))
    code = request.get("reply", request.get("command"))
    data = str(request.get("argument", request.get("data", ""))).encode("latin-1")
    return medibus_frames.encode_frame("reply" in request, int(str(code), 16), data)


def dri(octets: bytes) -> Fields:
    record = dri_records.decode_record(dri_frames.decode_frame(octets))
    found = [_values(part) for part in record.physiological] + [_wave(part) for part in record.waveforms]
    return {
        "r_len": record.length,
        "r_nbr": record.number,
        "dri_level": record.level,
        "r_time": record.time,
        "main_type": record.main_type,
        "subrecords": found,
    }


def _values(part: dri_records.PhysiologicalData) -> Fields:
    shown = {
        name: {"exists": group.exists, "active": group.active, "label": group.label, **group.values}
        for name, group in part.groups.items()
        if name not in dri_records.PLAIN and (group.exists or any(value is not None for value in group.values.values()))
    }
    missing = {f"{name}.{value}": why for name, group in part.groups.items() for value, why in group.missing.items()}
    return {"type": part.kind, "time": part.time, "klass": part.data_class, "groups": shown, "missing": missing}


def _wave(part: dri_records.WaveformData) -> Fields:
    count = len(part.samples)
    return {
        "type": part.kind, "act_len": count, "status": part.status, "label": part.label, "samples": part.samples
    }  # fmt: skip


def dri_request(request: Fields) -> bytes:
    what = str(request["what"])
    if what.startswith("wave"):
        stop = "stop" in what or bool(request.get("stop")) or request.get("start") is False
        kinds = tuple(request.get("types") or request.get("waves") or ())
        return dri_frames.encode_frame(dri_records.waveform_request(kinds, stop))
    kind = dri_records.TREND_10 if "10" in what else dri_records.TREND_60 if "60" in what else dri_records.DISPLAYED
    return dri_frames.encode_frame(dri_records.values_request(request["interval_s"], request["class_mask"], kind))


TABLE: Table = {
    "serial-frame": {"pb840": pb840, "draeger-medibus": medibus, "ge-dri": dri},
    "serial-line": {"draeger-medibus-time": medibus_time},
    "serial-stream": {"astm-analyser": astm, "draeger-medibus-realtime": medibus_realtime},
    "encode": {"pb840": pb840_request, "draeger-medibus": medibus_request, "ge-dri": dri_request},
}
