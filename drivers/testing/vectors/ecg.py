"""ECG boards under the names of the vectors."""

from __future__ import annotations

from collections.abc import Iterable

from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.cyton.packets import CytonPacket, CytonPacketReader, decode_packet, int24
from gatepost.drivers.serial.lines.fields import LineField
from gatepost.drivers.serial.lines.formats import regex_lines
from gatepost.drivers.serial.lines.waveforms import compile_row
from gatepost.drivers.serial.protocentral import signals
from gatepost.drivers.serial.protocentral.frames import ProtocentralFrameReader, decode_frame
from gatepost.drivers.testing.vectors.kinds import Fields, Table


def _cyton_fields(packet: CytonPacket) -> Fields:
    fields: Fields = {"sample": packet.sample, "counts": list(packet.counts), "stop_byte": packet.stop_byte}
    fields["aux_hex"] = packet.aux.hex()
    if packet.accel_counts is not None:
        fields["accel_counts"] = list(packet.accel_counts)
    if packet.accel_part is not None:
        fields["accel_code"], fields["accel_value"] = packet.accel_part
    if packet.board_time_ms is not None:
        fields["board_time_ms"] = packet.board_time_ms
    return fields


def cyton(frame: bytes) -> Fields:
    return _cyton_fields(decode_packet(frame))


def cyton_stream(chunks: Iterable[bytes]) -> list[Fields]:
    reader = CytonPacketReader(Faults(), lone=True)
    found = [packet for chunk in chunks for packet in reader.feed(chunk) if isinstance(packet, CytonPacket)]
    return [_cyton_fields(packet) for packet in (*found, *reader.finish())]


def _board_fields(found: signals.SignalFrame) -> Fields:
    fields: Fields = {"type": found.type}
    for name in ("ecg", "respiration", "infrared", "red"):
        samples = getattr(found, name)
        if samples:
            fields[name] = samples[0] if len(samples) == 1 and found.type == 2 else list(samples)
    for name in ("heart_rate", "respiration_rate", "spo2", "lead_status"):
        value = getattr(found, name)
        if value is not None:
            fields[name] = value
    if found.lead_status is not None:
        fields |= {"ecg_lead_off": found.ecg_off, "probe_off": found.probe_off}
    if found.centidegrees is not None:
        fields["temperature"] = fields["temperature_c"] = found.centidegrees / 100
    if "infrared" in fields:
        fields["ir"] = fields["infrared"]
    return fields


def ads1292r(frame: bytes) -> Fields:
    return _board_fields(signals.ads1292r(decode_frame(frame)))


def healthypi(frame: bytes) -> Fields:
    return _board_fields(signals.healthypi(decode_frame(frame)))


def ads1292r_stream(chunks: Iterable[bytes]) -> list[Fields]:
    reader = ProtocentralFrameReader(Faults(), signals.ADS1292R)
    return [_board_fields(signals.ads1292r(frame)) for chunk in chunks for frame in reader.feed(chunk) if frame]


def healthypi_stream(chunks: Iterable[bytes]) -> list[Fields]:
    reader = ProtocentralFrameReader(Faults(), signals.HEALTHYPI)
    return [_board_fields(signals.healthypi(frame)) for chunk in chunks for frame in reader.feed(chunk) if frame]


# As docs/drivers.md configures `lines` for an AD8232 sketch.
AD8232_PATTERN = r"^\s*(?P<ecg>-?\d+|!)\s*$"
AD8232_FIELDS = {"ecg": LineField(unit="{raw}", invalid=["!"], invalid_means="lead-off")}
_ad8232_members = regex_lines(lambda line: line.decode("utf-8", "replace"), AD8232_PATTERN)
_ad8232_row = compile_row(AD8232_FIELDS)


def ad8232(text: str) -> Fields:
    (sample,) = _ad8232_row(_ad8232_members(text.encode()))
    return {"lead_off": sample == "lead-off", "raw": sample if isinstance(sample, int) else None}


HEALTHYPI_NAMES = ("healthypi", "healthypi-v3", "healthypi-v4", "healthypi-v5", "protocentral-healthypi")

TABLE: Table = {
    "serial-frame": {
        "openbci-cyton": cyton,
        "protocentral-ads1292r": ads1292r,
        **dict.fromkeys(HEALTHYPI_NAMES, healthypi),
    },
    "serial-line": {"ad8232-line": ad8232},
    "serial-stream": {
        "openbci-cyton": cyton_stream,
        "protocentral-ads1292r": ads1292r_stream,
        **dict.fromkeys(HEALTHYPI_NAMES, healthypi_stream),
    },
    "int24be": {"int24be": int24},
}
