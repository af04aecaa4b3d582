"""Blood pressure and glucose meters on serial lines under the names of the vectors."""

from __future__ import annotations

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.serial.and_ua767pc import record
from gatepost.drivers.serial.astm import decoder, frames, records
from gatepost.drivers.serial.onetouch import lines
from gatepost.drivers.testing.vectors.kinds import Fields, Table

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


TABLE: Table = {
    "serial-frame": {"astm-e1381": astm_frame},
    "serial-line": {"and-ua767": and_ua767, "onetouch-ultra2": onetouch, "astm-e1394": astm_record},
}
