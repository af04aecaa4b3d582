"""Carried messages and receipts, as API and stick write them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gatepost.agent.uplink.formats.interface import OutgoingMessage

Index = Annotated[int, Meta(ge=0, le=2**62)]
Hex = Annotated[str, Meta(pattern="^[0-9a-f]{8,64}$")]


class CarriedMessage(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A message as the gateway would have published it; `encoding` base64 where the payload is no text."""

    topic: Annotated[str, Meta(max_length=65535)]
    payload: str
    encoding: Literal["text", "base64"] = "text"
    qos: Literal[1, 2] = 1
    retain: bool = False
    content_type: str = ""
    user_properties: Annotated[list[tuple[str, str]], Meta(max_length=100)] = []
    expiry: Annotated[int, Meta(ge=0, le=2**32 - 1)] | None = None

    @property
    def octets(self) -> bytes:
        """The payload; ValueError where it is not as `encoding` says."""
        if self.encoding == "text":
            return self.payload.encode()
        try:
            return base64.b64decode(self.payload, validate=True)
        except binascii.Error as error:
            raise ValueError(f"the payload is not base64: {error}") from None


def carried(message: OutgoingMessage) -> CarriedMessage:
    """QoS 1 at least: a receipt says what the broker has acknowledged."""
    try:
        payload, encoding = message.payload.decode(), "text"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(message.payload).decode(), "base64"
    return CarriedMessage(
        message.topic,
        payload,
        encoding,  # type: ignore[arg-type]
        2 if message.qos == 2 else 1,
        message.retain,
        message.content_type,
        list(message.user_properties),
        message.expiry,
    )


class CarriedRange(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Rows [lo, hi) of the log, the urgent or the other ones; `last` is the id that hi - 1 has in this log."""

    urgent: bool
    lo: Annotated[int, Meta(ge=0, le=2**62)]
    hi: Annotated[int, Meta(ge=0, le=2**62)]
    last: Annotated[str, Meta(max_length=256)]


class RefusedReading(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A reading that the broker refused for good."""

    seq: Annotated[int, Meta(ge=0, le=2**62)]
    reason: Annotated[str, Meta(max_length=300)]


class DeliveryReceipt(Struct, frozen=True, forbid_unknown_fields=True):
    """Receipt of one parcel, which a broker has taken whole. `by` is the gateway that sent it, `mac` made with the key
    that lay in the parcel: only who could read the parcel can make it."""

    gateway: Annotated[str, Meta(max_length=64)]
    broker: Annotated[str, Meta(max_length=64)]
    export: Hex
    number: Index
    readings: Index
    ranges: Annotated[list[CarriedRange], Meta(max_length=10_000)]
    refused: Annotated[list[RefusedReading], Meta(max_length=10_000)]
    by: Annotated[str, Meta(max_length=64)]
    at: Annotated[str, Meta(max_length=40)]
    mac: Annotated[str, Meta(max_length=64)] = ""

    def signed(self, key: str) -> DeliveryReceipt:
        return msgspec.structs.replace(self, mac=self._mac(key))

    def is_genuine(self, key: str) -> bool:
        return hmac.compare_digest(self._mac(key).encode(), self.mac.encode("utf-8", "replace"))

    def _mac(self, key: str) -> str:
        octets = msgspec.json.encode(msgspec.structs.replace(self, mac=""))
        return hmac.new(key.encode(), octets, hashlib.sha256).hexdigest()
