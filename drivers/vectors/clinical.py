"""Blood pressure and glucose meters on serial lines under the names of the vectors."""

from __future__ import annotations

import msgspec

from drivers.frames import FrameError
from drivers.serial import and_ua767pc_record, astm_frames, astm_records, onetouch_lines
from drivers.vectors.kinds import Fields, Table

BAD_STATUS = "measurement_error"


def and_ua767(text: str) -> Fields:
    result = and_ua767pc_record.decode_result(text.strip().encode("latin-1", "replace"))
    if not result.valid:
        raise FrameError(BAD_STATUS)
    return msgspec.structs.asdict(result)


def onetouch(text: str) -> Fields:
    line = onetouch_lines.decode_line(text)
    fields = msgspec.structs.asdict(line)
    time = fields.pop("time", None)
    if time is not None:
        fields["timestamp"] = [time.year, time.month, time.day, time.hour, time.minute, time.second]
    return fields


def astm_frame(octets: bytes) -> Fields:
    frame = astm_frames.decode_frame(octets)
    return {"frame_no": frame.number, "last": frame.last, "text": frame.text.decode("latin-1").rstrip("\r\n")}


def astm_record(text: str) -> Fields:
    if text.startswith("H"):
        header = msgspec.structs.asdict(astm_records.decode_header(text.rstrip("\r\n")))
        return {**header, "delimiters": list(header["delimiters"])}
    return msgspec.structs.asdict(astm_records.decode_result(text))


TABLE: Table = {
    "serial-frame": {"astm-e1381": astm_frame},
    "serial-line": {"and-ua767": and_ua767, "onetouch-ultra2": onetouch, "astm-e1394": astm_record},
}
