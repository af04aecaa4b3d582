"""Parcel: readings of one gateway for one broker, in a file that shows by itself whether it is whole.

    gatepost-parcel 1 <SHA-256 of all that follows>
    <header as JSON: readable by everybody>
    <contents: gzipped JSON lines, encrypted where the header says for whom>

The first line of the contents is the key of the receipt; each further one is a reading with its messages.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from gatepost.agent.core.errors import StickWrong
from gatepost.agent.stick import encryption
from gatepost.agent.uplink.carried.carried_message import CarriedRange, Hex

MAGIC = b"gatepost-parcel 1 "
LARGEST = 64 << 20  # octets of a file, and of its contents
CUT = "it is not complete, or was changed"
AGAIN = "copy it again, or export again at home"


class ParcelHeader(Struct, frozen=True, omit_defaults=True):
    """`number` counts the parcels of one export from 1; all ranges are urgent, or none; `sealed_for` is the public key
    of the receiver, `ephemeral` what belongs to it."""

    gateway: Annotated[str, Meta(max_length=64)]
    broker: Annotated[str, Meta(max_length=64)]
    export: Hex
    number: Annotated[int, Meta(ge=1)]
    created: str
    readings: Annotated[int, Meta(ge=0)]
    ranges: list[CarriedRange]
    sealed_for: str = ""
    ephemeral: str = ""

    @property
    def order(self) -> tuple[bool, int]:
        """In which parcels are sent: urgent readings first, then the oldest."""
        first = self.ranges[0] if self.ranges else CarriedRange(False, 0, 0, "")
        return not first.urgent, first.lo


class ParcelReading(Struct, frozen=True):
    """A reading: its number in the log of its gateway, and its messages as JSON."""

    seq: int
    messages: list[Any]


class ParcelContents(NamedTuple):
    key: str
    readings: list[ParcelReading]


class SealedParcel(NamedTuple):
    """A whole parcel that is not opened yet; `digest` names it."""

    digest: str
    header: ParcelHeader
    body: bytes

    def open(self, private: str | None) -> ParcelContents:
        """Raises StickWrong when it is encrypted and the key is not the right one, or the contents are nonsense."""
        body = self.body
        if self.header.sealed_for:
            if private is None:
                raise StickWrong(
                    f"it is encrypted for {self.header.sealed_for}", "name the file of that key: --key FILE"
                )
            body = encryption.unseal(private, self.header.ephemeral, body, _authentic(self.header))
        lines = _inflated(body).split(b"\n")
        try:
            key = msgspec.json.decode(lines[0], type=str)
            readings = [msgspec.json.decode(line, type=ParcelReading) for line in lines[1:] if line]
        except msgspec.MsgspecError:
            raise StickWrong("its contents cannot be read", "another version of gatepost may have written it") from None
        return ParcelContents(key, readings)


def encoded(header: ParcelHeader, key: str, readings: Sequence[ParcelReading], public: str | None = None) -> bytes:
    """The file."""
    lines = [msgspec.json.encode(key), *map(msgspec.json.encode, readings)]
    compressor = zlib.compressobj(6, wbits=31)
    body = compressor.compress(b"\n".join(lines)) + compressor.flush()
    if public is not None:
        header = msgspec.structs.replace(header, sealed_for=public, ephemeral="")
        ephemeral, body = encryption.seal(public, body, _authentic(header))
        header = msgspec.structs.replace(header, ephemeral=ephemeral)
    rest = msgspec.json.encode(header) + b"\n" + body
    return MAGIC + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def decoded(file: bytes) -> SealedParcel:
    """Raises StickWrong for a file that is not whole, or no parcel."""
    line, _, rest = file.partition(b"\n")
    digest = hashlib.sha256(rest).hexdigest()
    if not line.startswith(MAGIC[:16]):
        raise StickWrong("it is no parcel", AGAIN)
    if line != MAGIC + digest.encode():
        raise StickWrong(CUT, AGAIN)
    head, _, body = rest.partition(b"\n")
    try:
        header = msgspec.json.decode(head, type=ParcelHeader)
    except msgspec.MsgspecError:
        raise StickWrong("its header cannot be read", "another version of gatepost may have written it") from None
    return SealedParcel(digest, header, body)


def _authentic(header: ParcelHeader) -> bytes:
    """What encryption vouches for beside the contents."""
    return msgspec.json.encode(msgspec.structs.replace(header, ephemeral=""))


def _inflated(body: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        content = inflater.decompress(body, LARGEST)
    except zlib.error:
        raise StickWrong(CUT, AGAIN) from None
    if not inflater.eof:
        raise StickWrong(CUT if not inflater.unconsumed_tail else "it is too large", AGAIN)
    return content
