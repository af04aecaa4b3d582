"""POCT1-A messages under the names of the vectors."""

from __future__ import annotations

from collections.abc import Iterable

from gatepost.drivers.network.poct1a import answers
from gatepost.drivers.network.poct1a.documents import (
    DocumentSplitter,
    ObservedResult,
    ObservedService,
    PoctMessage,
    decode_document,
)
from gatepost.drivers.reading import Faults
from gatepost.drivers.testing.vectors.kinds import Fields, Table

TIME = "2026-11-20T10:30:00"


def _told(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def _result(result: ObservedResult) -> Fields:
    fields = _told(
        {
            "code": result.code,
            "system": result.system,
            "name": result.name,
            "unit": result.unit,
            "method": result.method,
            "interpretation": result.interpretation,
            "qualitative": result.text if result.value is None else "",
            "cancelled": result.cancelled or None,
        }
    )
    return {**fields, "value": None if result.cancelled else result.value}


def _service(service: ObservedService) -> Fields:
    fields = _told({"role": service.role, "timestamp": service.time, "sequence": service.sequence})
    return {
        **fields,
        "patient_result": service.patient_result,
        "observations": [_result(result) for result in service.results],
    }


def _fields(message: PoctMessage) -> Fields:
    fields = _told(
        {
            "device": message.device,
            "application_timeout": message.application_timeout,
            "profile": message.profile,
            "directives": message.directives,
            "max_message": message.max_message,
            "condition": message.condition,
            "services": [_service(service) for service in message.services],
            "topic": message.topic,
            "ack": message.ack,
            "ack_control_id": message.ack_control_id,
            "error_detail": message.error_detail,
        }
    )
    if message.new_observations is not None:
        fields["new_observations"] = message.new_observations
    if message.needs_answer:
        fields["reply"] = {"message": "ACK.R01", "type": "AA", "ack_control_id": message.control_id}
    return {"message": message.kind, "control_id": message.control_id, **fields}


def document(text: str) -> Fields:
    return _fields(decode_document(text.encode()))


def stream(chunks: Iterable[bytes]) -> Fields:
    splitter = DocumentSplitter(Faults())
    found = [decode_document(octets) for chunk in chunks for octets in splitter.feed(chunk)]
    return {"messages": [_fields(message) for message in found]}


def request(asked: Fields) -> bytes:
    number, time = int(asked.get("control_id", 1)), asked.get("time", TIME)
    match str(asked["message"]).partition(".")[0]:
        case "ACK":
            return answers.acknowledgement(number, time, str(asked["ack_control_id"]), asked.get("type", "AA") == "AA")
        case "REQ":
            return answers.observations_request(number, time)
        case "DTV":
            return answers.continuous_request(number, time)
        case other:
            raise ValueError(f"{other} is never sent")


TABLE: Table = {
    "serial-line": {"poct1-a": document},
    "serial-stream": {"poct1-a-stream": stream},
    "encode": {"poct1-a": request},
}
