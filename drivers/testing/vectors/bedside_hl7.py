"""HL7 messages under the names of the vectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatepost.drivers.network.hl7.codes import MDC_SYSTEMS, identify, mdc_of
from gatepost.drivers.network.hl7.message import Hl7Time, Observation, decode_message, decode_text
from gatepost.drivers.network.hl7.mllp import MllpSplitter
from gatepost.drivers.network.hl7.observations import number_of
from gatepost.drivers.network.mdc_codes import MEANINGS
from gatepost.drivers.reading import Faults
from gatepost.drivers.testing.vectors.kinds import Fields, Table


def _time(time: Hl7Time | None, name: str = "timestamp") -> Fields:
    if time is None:
        return {}
    zone = {} if time.zone_minutes is None else {"zone_min": time.zone_minutes}
    return {name: list(time.parts), **zone}


def _item(item: Observation) -> Fields:
    code, name, system = item.code
    number, doubts = identify(item)
    meaning = MEANINGS.get(number or 0)
    value: Any = number_of(item.value, meaning is None or meaning.signed) if item.status != "X" else None
    fields: Fields = {"code": code, "ref": name, "system": system, "value": value}
    fields |= {"sub": item.sub_id} if item.sub_id else {}
    fields |= {"sent": item.value} if value is None else {}
    fields |= {"unit_code": item.unit[0], "unit_ref": item.unit[1]} if any(item.unit) else {}
    if system == "MDIL":
        fields |= {"mdc": mdc_of(code), "unit_mdc": mdc_of(item.unit[0])}
    fields |= {"simulated": True} if "DEMO" in item.flags.upper() else {}
    fields |= {"status": item.status} if item.status else {}
    fields |= {"mismatch": True} if doubts and system in MDC_SYSTEMS else {}
    return fields | {name: value for name, value in _time(item.time).items() if name == "timestamp"}


def oru(text: str) -> Fields:
    message = decode_message(text)
    results = message.message.startswith("ORU^")
    ward, room, bed = (*message.location, "", "", "")[:3]
    return {
        "message": message.message,
        "control_id": message.control_id,
        "processing": message.processing,
        "version": message.version,
        "sender": message.sender[0],
        **({"sender_id": message.sender[1]} if len(message.sender) > 1 else {}),
        **_time(message.time),
        "accept_ack": message.accept_ack,
        "application_ack": message.application_ack,
        "reply": {"code": "AA" if results else "AR", "control_id": message.control_id},
        **({"bed": {"ward": ward, "room": room, "bed": bed}} if message.location else {}),
        "items": [_item(item) for item in message.observations],
    }


def mllp(chunks: Iterable[bytes]) -> Fields:
    splitter = MllpSplitter(Faults())
    found = [octets for chunk in chunks for octets in splitter.feed(chunk)]
    return {
        "messages": [
            {"control_id": decode_message(decode_text(octets)).control_id, "octets": len(octets)} for octets in found
        ]
    }


TABLE: Table = {"serial-line": {"hl7-oru": oru}, "serial-stream": {"hl7-mllp": mllp}}
