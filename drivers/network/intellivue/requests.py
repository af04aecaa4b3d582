"""Requests of the IntelliVue Data Export protocol: all that is ever sent to a monitor, and the rule that holds it to
that."""

from __future__ import annotations

import re

from gatepost.drivers.network.intellivue.messages import (
    CONFIRMED_ACTION,
    CONFIRMED_EVENT,
    CONFIRMED_SET,
    EXTENDED_POLL,
    GET,
    INVOKE,
    POLL,
    RESULT,
)

PERIOD = 0xF13E  # attribute: for how long an extended poll goes on, 1/8 ms
NUMERIC_PRIORITIES, WAVE_PRIORITIES = 0xF239, 0xF23A
SYSTEM = bytes.fromhex("002100000000")  # the monitor as an object: class, context, handle
NUMERICS, WAVES, ALERTS, ENUMERATIONS, SYSTEMS = 6, 9, 54, 5, 33  # classes that are polled
REAL_TIME = 0x8C000000  # offers: numerics each second, waves, enumerations

# ISO 8327 session, ISO 8823 presentation and ISO 8650 association as the Data Export guide has them.
_SESSION = bytes.fromhex("0508130100160102800014020002")
_PRESENTATION = bytes.fromhex(
    "3180a0808001010000a280a003000001a480308002010106045201000130800602510100000000308002010206"
    "0c2a8648ce14020100000001013080060c2a8648ce1402010000000201000000000000618030800201"
    "01a0806080a180060c2a8648ce14020100000003010000be802880060c2a8648ce140201000000010102010281"
)
_USER_HEAD = bytes.fromhex("8000000040000000000000008000000020000000" + "00000000")
_END = bytes(16)
_RELEASE = bytes.fromhex("0918c11661803080020101a08062808001000000000000000000")
_ABORT = bytes.fromhex("192e110103c129a080a0803080020101060251010000000061803080020101a0806480800101") + bytes(10)


def _sized(body: bytes, size: int = 2) -> bytes:
    return len(body).to_bytes(size, "big") + body


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def association_request() -> bytes:
    """Asks for an association with polls of one second, in the units of the guide: 1/8 ms, octets, octets a second."""
    package = _numbers(0xF001) + _sized(REAL_TIME.to_bytes(4, "big") + bytes(4))
    # revision, shortest poll, longest messages in and out, bandwidth, objects may come and go
    fields = (0x80000000, 8000, 1456, 1456, 0xFFFFFFFF, 0x60000000)
    profile = b"".join(field.to_bytes(4, "big") for field in fields) + _numbers(1) + _sized(package)
    user = _USER_HEAD + _numbers(1) + _sized(_numbers(1) + _sized(profile))
    inner = _PRESENTATION + _sized(user, 1) + _END
    outer = _SESSION + b"\xc1" + _sized(inner, 1)
    return b"\x0d" + _sized(outer, 1)


def release_request() -> bytes:
    return _RELEASE


def abort() -> bytes:
    return _ABORT


def _operation(kind: int, invoke_id: int, command: int, body: bytes) -> bytes:
    return bytes.fromhex("e1000002") + _numbers(kind) + _sized(_numbers(invoke_id, command) + _sized(body))


def event_result(invoke_id: int, event_type: int) -> bytes:
    """Answers an event; one that is not answered ends the association."""
    return _operation(RESULT, invoke_id, CONFIRMED_EVENT, SYSTEM + bytes(4) + _numbers(event_type, 0))


def poll_request(
    invoke_id: int, poll_number: int, object_class: int, attribute_group: int = 0, period_ms: float | None = None
) -> bytes:
    """One look at all objects of a class; with `period_ms`, results come by themselves for so long."""
    body = _numbers(poll_number, 1, object_class, attribute_group)
    if period_ms is not None:
        period = _numbers(PERIOD) + _sized(round(period_ms * 8).to_bytes(4, "big"))
        body += _numbers(1) + _sized(period)
    action = POLL if period_ms is None else EXTENDED_POLL
    return _operation(INVOKE, invoke_id, CONFIRMED_ACTION, SYSTEM + bytes(4) + _numbers(action) + _sized(body))


def get_priorities(invoke_id: int, which: int = WAVE_PRIORITIES) -> bytes:
    return _operation(INVOKE, invoke_id, GET, SYSTEM + bytes(4) + _numbers(1) + _sized(_numbers(which)))


def set_priorities(invoke_id: int, labels: tuple[int, ...], which: int = WAVE_PRIORITIES) -> bytes:
    """Chooses what is exported; nothing else of the monitor changes."""
    texts = _numbers(len(labels)) + _sized(b"".join(label.to_bytes(4, "big") for label in labels))
    change = _numbers(0, which) + _sized(texts)
    return _operation(INVOKE, invoke_id, CONFIRMED_SET, SYSTEM + bytes(4) + _numbers(1) + _sized(change))


def _exactly(octets: bytes) -> bytes:
    return re.escape(octets)


_TO_SYSTEM = rb"\x00\x21\x00\x00\x00\x00\x00\x00\x00\x00"
_INVOKE, _CLASS = rb"\xe1\x00\x00\x02\x00\x01\x00", rb"\x00\x01\x00[\x05\x06\x09\x21\x36].."
_FORMS = (
    _exactly(association_request()),
    _exactly(_RELEASE),
    _exactly(_ABORT),
    rb"\xe1\x00\x00\x02\x00\x02\x00\x14..\x00\x01\x00\x0e" + _TO_SYSTEM + rb"..\x00\x00",
    _INVOKE + rb"\x1c..\x00\x07\x00\x16" + _TO_SYSTEM + rb"\x0c\x16\x00\x08.." + _CLASS,
    _INVOKE + rb"\x28..\x00\x07\x00\x22" + _TO_SYSTEM + rb"\xf1\x3b\x00\x14.." + _CLASS
    + rb"\x00\x01\x00\x08\xf1\x3e\x00\x04.{4}",
    _INVOKE + rb"\x16..\x00\x03\x00\x10" + _TO_SYSTEM + rb"\x00\x01\x00\x02\xf2[\x39\x3a]",
    _INVOKE + rb"...\x00\x05\x00." + _TO_SYSTEM
    + rb"\x00\x01\x00.\x00\x00\xf2[\x39\x3a]\x00.\x00.\x00.(?:.{4}){1,16}",
)  # fmt: skip
FORBIDDEN = re.compile(rb"\A(?!(?:" + rb"|".join(_FORMS) + rb")\Z)", re.DOTALL)  # anything but one of these, whole
