"""Octets that no device would send: random, good traffic damaged and spliced, cut at random. Repeatable by the seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

BURST = 131072  # octets between two looks at whether good traffic is decoded again
TRIES = 2000  # of leaving out a part


def burst(corpus: Sequence[bytes], rng: random.Random, size: int = BURST) -> bytes:
    """About `size` octets in a mixture of kinds. `corpus`: pieces of good traffic."""
    parts: list[bytes] = []
    total = 0
    while total < size:
        part = _part(corpus, rng, rng.randint(1, 4096))
        parts.append(part)
        total += len(part)
    return b"".join(parts)


def _part(corpus: Sequence[bytes], rng: random.Random, size: int) -> bytes:
    match rng.randrange(8):
        case 0:
            return rng.randbytes(size)
        case 1 | 2:
            return damaged(_good(corpus, rng, size), rng)
        case 3 | 4:
            return b"".join(_slice(rng.choice(corpus), rng) for _ in range(1 + size // 64))
        case 5:  # beginnings that nothing of theirs follows
            piece = rng.choice(corpus)
            return piece[: rng.randint(1, max(1, min(12, len(piece))))] * (1 + size // 64) + rng.randbytes(size // 8)
        case 6:
            return bytes((rng.randrange(256),)) * (size // 4 + 1)
        case _:
            return bytes(rng.choices(b'0123456789+-.,;:=*$ {}[]"\r\n\0\x02\x03abcGST', k=size))


def _good(corpus: Sequence[bytes], rng: random.Random, size: int) -> bytes:
    out = b""
    while len(out) < size:
        out += rng.choice(corpus) or b"\0"
    return out[:size]


def _slice(piece: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(piece) + 1)
    return piece[at : at + rng.randint(1, 64)]


def damaged(good: bytes, rng: random.Random) -> bytes:
    """Good octets with some turned, left out, doubled or put in."""
    out = bytearray(good)
    for _ in range(1 + len(out) // rng.choice((8, 64, 512))):
        if not out:
            break
        at = rng.randrange(len(out))
        match rng.randrange(4):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at]
            case 2:
                out[at:at] = out[at : at + rng.randint(1, 8)]
            case _:
                out[at] = rng.randrange(256)
    return bytes(out)


def cut(data: bytes, rng: random.Random, longest: int = 0) -> list[bytes]:
    """In pieces: mostly a few dozen octets, some octet by octet, some as long as a read can be; or up to `longest`."""
    out: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        most = longest or rng.choice((1, 7, 64, 64, 300, 4096))
        for size in rng.choices(range(0 if longest else 1, most + 1), k=min(200, 1 + 4096 // most)):
            out.append(data[at : at + size])
            at += size
            if at >= end:
                break
    return out


def minimal(pieces: list[bytes], fails: Callable[[list[bytes]], bool]) -> list[bytes]:
    """Fewer and shorter pieces that still fail, by leaving out ever smaller parts."""
    pieces = _fewer(pieces, fails, TRIES)
    for i in range(len(pieces)):
        octets = [pieces[i][k : k + 1] for k in range(len(pieces[i]))]

        def still(kept: list[bytes], i: int = i) -> bool:
            return fails([*pieces[:i], b"".join(kept), *pieces[i + 1 :]])

        pieces[i] = b"".join(_fewer(octets, still, TRIES // max(1, len(pieces))))
    return [piece for piece in pieces if piece] or pieces


def _fewer(parts: list[bytes], fails: Callable[[list[bytes]], bool], tries: int) -> list[bytes]:
    size = max(1, len(parts) // 2)
    while tries > 0 and len(parts) > 1:
        at, shrunk = 0, False
        while at < len(parts) and tries > 0 and len(parts) > 1:
            less = parts[:at] + parts[at + size :]
            tries -= 1
            if less and fails(less):
                parts, shrunk = less, True
            else:
                at += size
        if size == 1 and not shrunk:
            break
        size = max(1, size // 2)
    return parts
