"""Answers and requests of POCT1-A: all that is ever sent to an analyser, and the rule that holds it to that."""

from __future__ import annotations

import re

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
OBSERVATIONS = "ROBS"
CONTINUOUS = "START_CONTINUOUS"


def _document(kind: str, control_id: int, time: str, body: str = "") -> bytes:
    head = (
        f'<HDR><HDR.message_type V="{kind}"/><HDR.control_id V="{control_id}"/><HDR.version_id V="POCT1"/>'
        f'<HDR.creation_dttm V="{time}"/></HDR>'
    )
    return f"{DECLARATION}<{kind}>{head}{body}</{kind}>".encode()


def _escaped(text: str) -> str:
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(sign, name)
    return text


def acknowledgement(control_id: int, time: str, of: str, stored: bool = True) -> bytes:
    """AA; AE makes the analyser send it again."""
    code = "AA" if stored else "AE"
    body = f'<ACK><ACK.type_cd V="{code}"/><ACK.ack_control_id V="{_escaped(of[:64])}"/></ACK>'
    return _document("ACK.R01", control_id, time, body)


def observations_request(control_id: int, time: str) -> bytes:
    """Asks for the results that are new."""
    return _document("REQ.R01", control_id, time, f'<REQ><REQ.request_cd V="{OBSERVATIONS}"/></REQ>')


def continuous_request(control_id: int, time: str) -> bytes:
    """From now on results come as they arise."""
    return _document("DTV.R01", control_id, time, f'<DTV><DTV.command_cd V="{CONTINUOUS}"/></DTV>')


_HEAD = (
    rb'<\?xml version="1\.0" encoding="utf-8"\?><%b><HDR><HDR\.message_type V="%b"/><HDR\.control_id V="\d+"/>'
    rb'<HDR\.version_id V="POCT1"/><HDR\.creation_dttm V="[0-9T:-]+"/></HDR>%b</%b>'
)
_BODIES = {
    rb"ACK\.R01": rb"<ACK><ACK\.type_cd V=\"A[AE]\"/><ACK\.ack_control_id V=\"[^<>\"]*\"/></ACK>",
    rb"REQ\.R01": rb"<REQ><REQ\.request_cd V=\"ROBS\"/></REQ>",
    rb"DTV\.R01": rb"<DTV><DTV\.command_cd V=\"START_CONTINUOUS\"/></DTV>",
}
_FORMS = b"|".join(_HEAD % (kind, kind, body, kind) for kind, body in _BODIES.items())
FORBIDDEN = re.compile(rb"\A(?!(?:" + _FORMS + rb")\Z)", re.DOTALL)  # anything but one of these, whole
