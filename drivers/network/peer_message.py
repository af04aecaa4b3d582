"""Messages of a connection that many devices share: where one begins and ends, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class PeerBytes(bytes):
    """Octets to or from one of several connections. `peer` is the connection's number; `stray`: other devices share
    the connection, and the message belongs to none of them; `shared`: other devices take the rest of the message."""

    peer: int = 0
    stray: bool = False
    shared: SharedAnswer | None = None

    @classmethod
    def of(cls, data: bytes, peer: int, stray: bool = False, shared: SharedAnswer | None = None) -> PeerBytes:
        made = cls(data)
        made.peer, made.stray, made.shared = peer, stray, shared
        return made


class SharedAnswer:
    """Answer to a message whose parts several devices take: due once, from the one that is the last to be done."""

    def __init__(self, parts: int) -> None:
        self._left = parts
        self._kept = True

    def done(self, kept: bool) -> bool | None:
        """One part is done; whether all were kept, None while others are not done."""
        self._left -= 1
        self._kept = self._kept and kept
        return None if self._left else self._kept


class RoutedMessage(NamedTuple):
    """One whole message as it was sent, or its part of one bed; `keys`: what `options.match` can ask for, each with the
    texts that fit."""

    data: bytes
    keys: Mapping[str, tuple[str, ...]]
    shared: SharedAnswer | None = None


class MessageSplitter(Protocol):
    """Splits the octets of one connection into messages; never raises, bounded."""

    @property
    def patience(self) -> float | None:
        """Seconds of silence after which `feed` is given nothing, which ends a message; None: silence says nothing."""
        ...

    @property
    def held(self) -> int:
        """Octets of a message that has not ended."""
        ...

    def feed(self, data: bytes, /) -> list[RoutedMessage]: ...


def fits(match: Mapping[str, str], keys: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a message is the one that `options.match` asks for; without a condition every one is."""
    return all(text in keys.get(name, ()) for name, text in match.items())
