"""Blood pressure and glucose meters on serial lines under the names of the vectors."""

from __future__ import annotations

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.serial.and_ua767pc import record
from gatepost.drivers.serial.astm import decoder, frames, records
from gatepost.drivers.serial.onetouch import lines
from gatepost.drivers.testing.vectors.kinds import Fields, Table
from gatepost.drivers.testing.vectors.undriven import beurer_record, freestyle_lines, lifescan_frames, taidoc_frames

BAD_STATUS = "measurement_error"


def and_ua767(text: str) -> Fields:
    result = record.decode_result(text.strip().encode("latin-1", "replace"))
    if not result.valid:
        raise FrameError(BAD_STATUS)
    return msgspec.structs.asdict(result)


def onetouch(text: str) -> Fields:
    line = lines.decode_line(text)
    fields = msgspec.structs.asdict(line)
    time = fields.pop("time", None)
    if time is not None:
        fields["timestamp"] = list(time.timetuple()[:6])
    return fields


def astm_frame(octets: bytes) -> Fields:
    frame = frames.decode_frame(octets)
    return {"frame_no": frame.number, "last": frame.last, "text": frame.text.decode("latin-1").rstrip("\r\n")}


def astm_record(text: str) -> Fields:
    if text.startswith("H"):
        header = msgspec.structs.asdict(records.decode_header(text.rstrip("\r\n")))
        return {**header, "delimiters": list(header["delimiters"])}
    result = records.decode_result(text)
    if result.value is None and not result.beyond and decoder.is_glucose(result):
        raise FrameError("bad_format")  # the driver tells it as a reading without a value
    return msgspec.structs.asdict(result)


def lifescan(octets: bytes) -> Fields:
    fields = lifescan_frames.decode_frame(octets)._asdict()
    return {**fields, "payload_hex": fields.pop("payload").hex()}


def taidoc(octets: bytes) -> Fields:
    message = taidoc_frames.decode_message(octets)
    direction = "request" if message.request else "response"
    return {"command": message.command, "data_hex": message.data.hex(), "direction": direction}


def taidoc_time(octets: bytes) -> Fields:
    return {"datetime": taidoc_frames.decode_time(octets)}


def freestyle_clock(text: str) -> Fields:
    return {"datetime": list(freestyle_lines.decode_clock(text).timetuple()[:6])}


def freestyle(text: str) -> Fields:
    stored = freestyle_lines.decode_stored(text)
    return {
        "value": stored.value,
        "over_range": stored.value is None,
        "kind": stored.kind,
        "datetime": list(stored.time.timetuple()[:5]),
    }


def beurer(octets: bytes) -> Fields:
    return beurer_record.decode_record(octets)._asdict()


TABLE: Table = {
    "serial-frame": {
        "astm-e1381": astm_frame,
        "lifescan-binary": lifescan,
        "taidoc": taidoc,
        "taidoc-datetime": taidoc_time,
        "beurer-bm": beurer,
    },
    "serial-line": {
        "and-ua767": and_ua767,
        "onetouch-ultra2": onetouch,
        "astm-e1394": astm_record,
        "freestyle-optium": freestyle_clock,
        "freestyle-optium-reading": freestyle,
    },
}
