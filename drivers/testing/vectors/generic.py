"""Modbus RTU, NMEA 0183 and 1-wire sensors under the names of the vectors."""

from __future__ import annotations

import msgspec

from gatepost.drivers.onewire import scratchpad as ds18b20_scratchpad
from gatepost.drivers.serial.nmea import sentence as nmea_sentence
from gatepost.drivers.testing.vectors.kinds import Fields, Table


def modbus_answer(octets: bytes) -> Fields:
    """Needs the extra `modbus`."""
    from gatepost.drivers.serial.modbus import frames

    answer = frames.decode_answer(octets)
    fields: Fields = {"address": answer.unit, "function": answer.function}
    if answer.exception is not None:
        return {**fields, "exception": answer.exception}
    if answer.function in (1, 2):
        return {**fields, "bits": answer.bits}
    return {**fields, "registers": answer.registers}


def nmea(text: str) -> Fields:
    sentence = nmea_sentence.decode_sentence(text)
    return {"talker_sentence": sentence.address, "fields": list(sentence.fields)}


def scratchpad(octets: bytes) -> Fields:
    return msgspec.structs.asdict(ds18b20_scratchpad.decode_scratchpad(octets))


def w1_slave(text: str) -> Fields:
    return {"temperature_c": ds18b20_scratchpad.decode_w1_slave(text)}


TABLE: Table = {
    "serial-frame": {"modbus-rtu-response": modbus_answer, "ds18b20-scratchpad": scratchpad},
    "serial-line": {"nmea0183": nmea, "w1-slave": w1_slave},
}
