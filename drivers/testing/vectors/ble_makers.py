"""Frames, records and requests of cuffs, rings, scales and air monitors of single makers, under the names of the
vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from gatepost.drivers.ble.aranet import values as aranet
from gatepost.drivers.ble.microlife import frames as microlife
from gatepost.drivers.ble.movesense import frames as movesense
from gatepost.drivers.ble.omron import frames as omron
from gatepost.drivers.ble.omron import records
from gatepost.drivers.ble.scales import frames as scales
from gatepost.drivers.ble.viatom import cuff_values, ring_values
from gatepost.drivers.ble.viatom import frames as viatom
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.testing.vectors.kinds import Fields, Table


class AnswerFaults:
    """Faults of a stream that is one answer: where the answer is missing, the first of them says why."""

    def __init__(self) -> None:
        self._found: list[FrameError] = []
        self.add = self._found.append

    def checked(self, answers: list[Fields], holding: bool) -> list[Fields]:
        if not answers and self._found:
            raise self._found[0]
        if not answers and holding:
            raise FrameError("truncated")
        return answers


# -- Omron


def omron_record(octets: bytes, name: str) -> Fields:
    return {"record": records.RECORDS[name][1](octets)}


def omron_body(octets: bytes, size: int) -> Fields:
    return records.decode_body(octets, size) or {"record": None}


def omron_frame(octets: bytes) -> Fields:
    return {**(found := omron.decode_frame(octets))._asdict(), "data": found.data.hex()}


def omron_channels(chunks: list[Any]) -> list[Fields]:
    """A chunk is (channel, octets); of plain octets the place tells the channel."""
    faults = AnswerFaults()
    frames = omron.ChannelFrames(faults.add)
    parts = [chunk if isinstance(chunk, tuple) else (place, chunk) for place, chunk in enumerate(chunks)]
    found = [frame for channel, data in parts for frame in frames.feed(channel, data)]
    return faults.checked([{**each._asdict(), "data": each.data.hex()} for each in found], frames.holding)


def omron_request(request: Fields) -> bytes:
    if request["command"] == "read":
        return omron.read_request(request["address"], request["size"])
    return {"open": omron.OPEN, "close": omron.CLOSE}[request["command"]]


# -- Viatom, Lepu


def viatom_stream(chunks: Iterable[bytes], decode: Callable[[int, bytes], Fields]) -> list[Fields]:
    faults = AnswerFaults()
    frames = viatom.ViatomFrames(faults.add)
    found = [decode(frame.code, frame.data) for chunk in chunks for frame in frames.feed(chunk)]
    return faults.checked(found, frames.holding)


def ring_file(octets: bytes, read: Callable[[bytes], ring_values.RingFile]) -> Fields:
    file = read(octets)
    return {**file.summary, "interval": file.interval, "records": [list(record) for record in file.records()]}


def lepu(octets: bytes, command: int, decode: Callable[[bytes], Fields]) -> Fields:
    frame = viatom.one_frame(octets, viatom.LepuFrames)
    if frame.code != command:
        raise FrameError("unsupported")
    return {"command": frame.code, "reply": frame.reply, "sequence": frame.number, **decode(frame.data)}


def lepu_request(request: Fields) -> bytes:
    data = bytes.fromhex(request.get("data_hex") or request.get("data") or "")
    return viatom.lepu_request(request["command"], data, request.get("sequence", 0))


def ring_request(request: Fields) -> bytes:
    return ring_values.ask(**{**request, "command": "live" if request["command"] == "rt" else request["command"]})


def new_ring_request(request: Fields) -> bytes:
    given = dict(request)
    if given["command"] == "set_time":
        told = given["time"]
        given["time"] = datetime(*told) if isinstance(told, list) else datetime.fromisoformat(told)  # noqa: DTZ001
    return ring_values.ask_new(**given)


# -- Microlife, scales, Aranet


def microlife_stream(chunks: Iterable[bytes]) -> list[Fields]:
    faults = AnswerFaults()
    frames = microlife.MicrolifeFrames(faults.add)
    found = [{"records": microlife.decode_records(data)} for chunk in chunks for data in frames.feed(chunk)]
    return faults.checked(found, frames.holding)


def yunmai_request(request: Fields) -> bytes:
    return {"version": scales.YUNMAI_START}[request["command"]]


def movesense_ecg(octets: bytes) -> Fields:
    found = movesense.decode_ecg(octets)
    return {**found._asdict(), "scale_mv": movesense.MICROVOLT}


def movesense_motion(octets: bytes) -> Fields:
    found = movesense.decode_motion(octets)
    return {**found._asdict(), "samples": [list(row) for row in found.samples]}


def movesense_request(request: Fields) -> bytes:
    if request["command"] == "subscribe":
        return movesense.subscribe(request["reference"], request["path"])
    return {"unsubscribe": movesense.unsubscribe}[request["command"]](request["reference"])


_CUFF: dict[str, tuple[int, Callable[[bytes], Fields]]] = {
    "lepu-info": (cuff_values.INFO, cuff_values.decode_info),
    "lepu-battery": (cuff_values.BATTERY, cuff_values.decode_battery),
    "lepu-bp2-state": (cuff_values.POLL, cuff_values.decode_state),
    "lepu-bp2-rt": (cuff_values.LIVE, cuff_values.decode_live),
    "lepu-oxyii-live": (ring_values.NEW_LIVE, ring_values.decode_new_live),
    "lepu-oxyii-list": (ring_values.LIST, lambda data: {"files": ring_values.decode_list(data)}),
}

TABLE: Table = {
    "ble-frame": {
        **{name: partial(omron_record, name=name) for name in records.RECORDS if "hbf" not in name},
        "omron-hbf-48": partial(omron_body, size=48),
        "omron-hbf-32": partial(omron_body, size=32),
        **{f"omron-time-{form}": partial(records.decode_clock, form=form) for form in records.CLOCKS},
        "omron-frame": omron_frame,
        **{name: partial(lepu, command=command, decode=decode) for name, (command, decode) in _CUFF.items()},
        "lepu-bp2w-file": lambda octets: {"records": cuff_values.decode_list(octets)},
        "lepu-bp2-file": cuff_values.decode_file,
        "viatom-vld": partial(ring_file, read=ring_values.read_file),
        "lepu-oxyii-file": partial(ring_file, read=ring_values.read_new_file),
        "movesense-gsp-ecg": movesense_ecg,
        "movesense-gsp-acc": movesense_motion,
        "scale-ac02": scales.decode_ac02,
        "scale-vitafit": scales.decode_vitafit,
        "scale-qn": scales.decode_qn,
        "scale-qn-long": partial(scales.decode_qn, long=True),
        "scale-yunmai": scales.decode_yunmai,
    },
    "ble-stream": {
        "omron-channels": omron_channels,
        "viatom-oxy-sensors": partial(viatom_stream, decode=ring_values.decode_sensors),
        "viatom-oxy-rt": partial(viatom_stream, decode=ring_values.decode_live),
        "microlife": microlife_stream,
    },
    "gatt": {
        "f0cd3001-95da-4f4b-9ac8-aa55d312af0c": lambda data, context: aranet.decode_now(data),
        "f0cd2005-95da-4f4b-9ac8-aa55d312af0c": lambda data, context: aranet.decode_history(data),
    },
    "encode": {
        "omron": omron_request,
        "viatom-oxy": ring_request,
        "lepu-a5": lepu_request,
        "lepu-oxyii": new_ring_request,
        "microlife": lambda request: microlife.request(microlife.WORDS[request["command"]]),
        "scale-qn": lambda request: scales.qn_request(**request),
        "scale-yunmai": yunmai_request,
        "movesense-gsp": movesense_request,
        "aranet": lambda request: aranet.history_request(request["parameter"], request["start"]),
    },
}
