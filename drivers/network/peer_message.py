"""Messages of a connection that many devices share: where one begins and ends, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class PeerBytes(bytes):
    """Octets to or from one of several connections. `peer` is the connection's number; `stray`: other devices share
    the connection, and the message belongs to none of them."""

    peer: int = 0
    stray: bool = False

    @classmethod
    def of(cls, data: bytes, peer: int, stray: bool = False) -> PeerBytes:
        made = cls(data)
        made.peer, made.stray = peer, stray
        return made


class RoutedMessage(NamedTuple):
    """One whole message as it was sent; `keys`: what `options.match` can ask for, each with the texts that fit."""

    data: bytes
    keys: Mapping[str, tuple[str, ...]]


class MessageSplitter(Protocol):
    """Splits the octets of one connection into messages; never raises, bounded."""

    def feed(self, data: bytes, /) -> list[RoutedMessage]: ...


def fits(match: Mapping[str, str], keys: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a message is the one that `options.match` asks for; without a condition every one is."""
    return all(text in keys.get(name, ()) for name, text in match.items())
