"""Reason codes of a broker: what they mean for a person and for the next attempt (MQTT 5, 2.4; 3.1.1, 3.2.2.3)."""

from __future__ import annotations

from typing import NamedTuple

from gatepost.agent.core.errors import ConnectFailed, Retry

SUCCESS = 0x00
REFUSED = 0x80  # this and everything above is a refusal
MALFORMED = 0x81
PROTOCOL_ERROR = 0x82
IMPLEMENTATION_ERROR = 0x83
NOT_AUTHORIZED = 0x87
TAKEN_OVER = 0x8E
TOPIC_INVALID = 0x90
PACKET_TOO_LARGE = 0x95
RATE_TOO_HIGH = 0x96
QUOTA_EXCEEDED = 0x97


class ReasonCode(NamedTuple):
    """Reason code: a phrase, what to do, when to try to connect again, and whether a message so refused
    would be refused again (`final`)."""

    phrase: str
    hint: str = ""
    retry: Retry = "soon"
    final: bool = False


_ASK = "ask whoever runs the broker"
_CREDENTIALS = "check username and password of this broker"
_LOGIN = f"{_CREDENTIALS} first, then client_id and what the broker's access list allows"
_RIGHTS = "the broker's access list does not allow this client; check client_id, username and topics"

CODES: dict[int, ReasonCode] = {
    0x80: ReasonCode("unspecified error", "the broker's log may say more"),
    0x81: ReasonCode("malformed packet", "the broker did not understand what it was sent", "later", True),
    0x82: ReasonCode("protocol error", "the broker did not accept what it was sent", "later", True),
    0x83: ReasonCode("implementation specific error", "the broker's log may say more"),
    0x84: ReasonCode("protocol version not supported", "set protocol: 3.1.1 or auto", "protocol"),
    0x85: ReasonCode("client identifier not valid", "check client_id of this broker", "later"),
    0x86: ReasonCode("bad user name or password", _CREDENTIALS, "later"),
    0x87: ReasonCode("not authorized", _RIGHTS, "later", True),
    0x88: ReasonCode("server unavailable", "the broker runs but does not accept clients now"),
    0x89: ReasonCode("server busy", "the broker is overloaded"),
    0x8A: ReasonCode("banned", _ASK, "later"),
    0x8B: ReasonCode("server shutting down"),
    0x8C: ReasonCode("bad authentication method", _CREDENTIALS, "later"),
    0x8D: ReasonCode("keep alive timeout", "the link is slow or this machine was held up"),
    0x8E: ReasonCode(
        "session taken over", "another client uses the same client_id; give each gateway its own", "later"
    ),
    0x8F: ReasonCode("topic filter invalid", "check the topics of this broker", "later", True),
    0x90: ReasonCode("topic name invalid", "check the topics of this broker", "later", True),
    0x91: ReasonCode("packet identifier in use"),
    0x92: ReasonCode("packet identifier not found"),
    0x93: ReasonCode("receive maximum exceeded", "lower window of this broker"),
    0x94: ReasonCode("topic alias invalid", "", "later", True),
    0x95: ReasonCode("packet too large", "it accepts only smaller messages; lower batch.readings", "soon", True),
    0x96: ReasonCode("message rate too high", "the broker limits the rate", "later"),
    0x97: ReasonCode("quota exceeded", "the broker's limit for this client is used up", "later"),
    0x98: ReasonCode("administrative action", _ASK, "later"),
    0x99: ReasonCode("payload format invalid", "check format of this broker", "later", True),
    0x9A: ReasonCode("retain not supported", "the broker keeps no retained messages", "later", True),
    0x9B: ReasonCode("QoS not supported", "lower qos of this broker", "later", True),
    0x9C: ReasonCode("use another server", "put the other server into url or failover"),
    0x9D: ReasonCode("server moved", "put the new server into url", "later"),
    0x9E: ReasonCode("shared subscriptions not supported", "", "later", True),
    0x9F: ReasonCode("connection rate exceeded", "too many connections in a short time", "later"),
    0xA0: ReasonCode("maximum connect time", "the broker limits how long a connection lasts"),
    0xA1: ReasonCode("subscription identifiers not supported", "", "later", True),
    0xA2: ReasonCode("wildcard subscriptions not supported", "", "later", True),
}

CONNACK_311: dict[int, ReasonCode] = {
    1: ReasonCode("protocol version not supported", "set protocol: auto", "protocol"),
    2: ReasonCode("client identifier not valid", "check client_id of this broker", "later"),
    3: ReasonCode("server unavailable", "the broker runs but does not accept clients now"),
    4: ReasonCode("bad user name or password", _CREDENTIALS, "later"),
    5: ReasonCode("not authorized", _LOGIN, "later"),
}


def explain(code: int) -> ReasonCode:
    """The meaning of a reason code of PUBACK, PUBREC, SUBACK or DISCONNECT; unknown ones are named by number."""
    known = CODES.get(code)
    if known is not None:
        return known
    return ReasonCode("success" if code < REFUSED else f"reason code 0x{code:02X}")


def explain_connack(code: int) -> ReasonCode:
    """The meaning of a CONNACK code; below 0x80 it is one of 3.1.1, which old brokers send to an MQTT 5 CONNECT too."""
    if code < REFUSED:
        return CONNACK_311.get(code) or ReasonCode(f"return code {code}", "", "later")
    return explain(code)._replace(hint=_LOGIN) if code == NOT_AUTHORIZED else explain(code)


def connect_refused(code: int, text: str = "", reference: str = "") -> ConnectFailed:
    """From a CONNACK; `text` and `reference` are the broker's reason string and server reference."""
    meaning = explain_connack(code)
    detail = f" ({text})" if text else ""
    hint = f"{meaning.hint}: {reference}" if reference else meaning.hint
    message = f"the broker refused the connection: {meaning.phrase}{detail}"
    return ConnectFailed("refused", message, hint, meaning.retry, code, reached=True)


class ConnectionLost(NamedTuple):
    """Connection lost: the broker's DISCONNECT code if it sent one, a sentence, a hint.

    `retry` as in ConnectFailed; `taken_over`: another client came with the same client id; `silent`: it was given up
    here because nothing came from the broker.
    """

    code: int | None
    message: str
    hint: str = ""
    taken_over: bool = False
    retry: Retry = "soon"
    silent: bool = False

    @classmethod
    def disconnected(cls, code: int, text: str = "", reference: str = "") -> ConnectionLost:
        """From the broker's DISCONNECT."""
        meaning = explain(code)
        quoted = f" ({text})" if text else ""
        phrase = meaning.phrase if code else "without a reason"
        hint = f"{meaning.hint}: {reference}" if reference else meaning.hint
        return cls(code, f"the broker ended the connection: {phrase}{quoted}", hint, code == TAKEN_OVER, meaning.retry)
