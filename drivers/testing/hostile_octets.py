"""Promises of a driver about octets: pieces, garbage, memory, faults. Part of drivers/testing/driver_kit.py."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator

from gatepost.drivers.driver import Decoder, Driver
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.testing.contract_rules import BrokenPromise, amount, complaint, held, unfinished

MOST_HELD = 65536  # octets of data that a decoder may hold
BOUND_TRIAL = 2 * MOST_HELD  # octets of each pattern that it is given to see that
SECRET = b"SECRET-97-mmHg"

Items = list[Reading | Reply]
Make = Callable[[], Driver]


def in_pieces(data: bytes, rng: random.Random, longest: int = 64) -> Iterator[bytes]:
    """The data cut at random."""
    at = 0
    while at < len(data):
        size = rng.randint(1, longest)
        yield data[at : at + size]
        at += size


def garbage(good: bytes, rng: random.Random, most: int = 200) -> bytes:
    """Octets of no message: noise, text, and what is left of good traffic when it is cut, repeated or damaged."""
    size = rng.randint(1, most)
    at = rng.randrange(max(1, len(good)))
    cut = good[at : at + size]
    match rng.randrange(6):
        case 0:
            return rng.randbytes(size)
        case 1:
            return bytes(rng.choice(b'0123456789+-.,;:= {}[]"\r\nabcST') for _ in range(size))
        case 2:
            return cut
        case 3:
            return bytes((rng.randrange(256),)) * size
        case 4:
            damaged = bytearray(cut)
            for _ in range(1 + len(damaged) // 16):
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            return bytes(damaged)
        case _:
            return cut[: rng.randint(1, 12)] * rng.randint(1, 20)


def assert_well_formed(driver: Driver, items: Items) -> None:
    """Names, units, flags, quality, waveforms and marks as docs/write-a-driver.md says."""
    names = driver.value_names(driver.options)
    for item in items:
        wrong = complaint(item, names)
        if wrong:
            raise broken(driver, f"what it decoded {wrong}: {item!r:.300}")


def assert_pieces(make: Make, chunks: Iterable[bytes], seed: int = 0, rounds: int = 10) -> None:
    """The same readings and the same faults, however the octets are cut; with garbage between them, too. Replies may
    come more or less often."""
    chunks = list(chunks)
    good = b"".join(chunks)
    rng = random.Random(seed)  # noqa: S311  # repeatable
    spoiled = b"".join(chunk + garbage(good, rng) * (rng.random() < 0.2) for chunk in chunks)
    for data in (good, spoiled):
        cuts: list[Iterable[bytes]] = [(data[i : i + 1] for i in range(len(data)))]
        cuts += [in_pieces(data, rng, rng.choice((3, 17, 64, 700))) for _ in range(rounds // 2)]
        _same_in_pieces(make, data, cuts, seed)


def _same_in_pieces(make: Make, data: bytes, cuts: Iterable[Iterable[bytes]], seed: int) -> None:
    driver = make()
    decoder = driver.decoder()
    whole = readings_of(feed(driver, decoder, [data], seed))
    for cut in cuts:
        other = make().decoder()
        found = readings_of(feed(driver, other, cut, seed))
        if found != whole:
            both = enumerate(zip(found, whole, strict=False))
            at = next((i for i, (one, other_one) in both if one != other_one), min(len(found), len(whole)))
            counts = f"{len(found)} instead of {len(whole)}, different from number {at + 1} on"
            raise broken(driver, f"other readings when the octets come in pieces: {counts}", seed)
        if other.faults.counts != decoder.faults.counts:
            counts = f"{other.faults.counts} instead of {decoder.faults.counts}"
            raise broken(driver, f"other faults when the octets come in pieces: {counts}", seed)


def assert_survives(make: Make, chunks: Iterable[bytes], seed: int = 0, rounds: int = 30) -> None:
    """No exception, and nothing malformed, with garbage before, between and after good traffic, and with any end."""
    chunks = list(chunks)
    good = b"".join(chunks)
    rng = random.Random(seed)  # noqa: S311
    for _ in range(rounds):
        driver = make()
        stream = garbage(good, rng)
        for chunk in chunks[: rng.randint(1, len(chunks))]:
            stream += chunk
            if rng.random() < 0.2:
                stream += garbage(good, rng)
        stream = stream[: rng.randint(1, len(stream))]
        assert_well_formed(driver, feed(driver, driver.decoder(), in_pieces(stream, rng), seed))


def assert_resyncs(
    make: Make, chunks: Iterable[bytes], seed: int = 0, rounds: int = 30, grace: int | None = None
) -> None:
    """After any garbage the next good message is decoded. `grace`: octets of good traffic that may pass before it is in
    step again; default two of the longest pieces (a protocol without a checksum needs two messages)."""
    chunks = list(chunks)
    good = b"".join(chunks)
    rng = random.Random(seed)  # noqa: S311
    driver = make()
    needed = expected(driver, chunks, grace)
    if not needed:
        raise broken(driver, "its twin's traffic holds too few readings to see whether any is missing", seed)
    for number in range(rounds):
        decoder = make().decoder()
        noise = garbage(good, rng)
        before = feed(driver, decoder, in_pieces(noise, rng), seed)
        found = [item for _ in range(2) for item in feed(driver, decoder, chunks, seed)]
        found += [item for item in before if isinstance(item, Reading) and item.bookmark]  # not given again
        if amount(found) < needed:
            text = f"after garbage it decoded {amount(found)} readings and samples, expected {needed}"
            raise broken(driver, f"{text}; round {number}, garbage {noise.hex()}", seed)


def expected(driver: Driver, chunks: list[bytes], grace: int | None = None) -> int:
    """How many readings and samples must come of `chunks` twice over, whatever the decoder heard before."""
    fresh = driver.decoder()
    once, twice = (feed(driver, fresh, chunks, 0) for _ in range(2))
    grace = grace if grace is not None else 2 * max(map(len, chunks))
    both = amount(once) + amount(twice)
    size = sum(map(len, chunks))
    return max(0, max(amount(once), both - both * grace // (2 * size)) - unfinished(once))


def assert_bounded(make: Make, chunks: Iterable[bytes], seed: int = 0) -> None:
    """Whatever comes, and however long nothing of it ends, the decoder holds at most MOST_HELD octets of data."""
    good = b"".join(chunks)
    rng = random.Random(seed)  # noqa: S311
    starts = [good[at : at + rng.randint(1, 12)] for at in (0, *(rng.randrange(len(good)) for _ in range(8)))]
    patterns = [*starts, b"\0", b"\x80", b"\xff", b"{", b"a", b'"', b"\x02", b"0", good]
    patterns += [start + rng.randbytes(4000) for start in starts[:4]]
    for pattern in patterns:
        driver = make()
        decoder = driver.decoder()
        block = (pattern * (4096 // len(pattern) + 1))[:4096] if pattern is not good else good
        blocks = max(1, BOUND_TRIAL // len(block))
        for number in range(blocks):
            if number == blocks // 2 and held(decoder) < MOST_HELD // 8:
                break  # what kept so little of the first half comes nowhere near the bound with the same again
            feed(driver, decoder, [block], seed)
        if held(decoder) > MOST_HELD:
            text = f"its decoder holds {held(decoder)} octets after {BOUND_TRIAL} of {pattern[:16].hex()}..."
            raise broken(driver, f"{text}, more than {MOST_HELD}", seed)


def assert_counts_faults(make: Make, chunks: Iterable[bytes], seed: int = 0) -> None:
    """Garbage between good messages is counted, and what is told of it holds no data."""
    chunks = list(chunks)
    good = b"".join(chunks)
    middle = len(chunks) // 2
    rng = random.Random(seed)  # noqa: S311
    counted = False
    for number in range(6):
        driver = make()
        decoder = driver.decoder()
        noise = rng.randbytes(50) + SECRET + garbage(good, rng) + SECRET if number % 2 else b"\r\n" + SECRET
        noise += b"\r\n"
        for part in (*chunks[:middle], noise, *chunks[middle:], *chunks):
            feed(driver, decoder, [part], seed)
            told = " ".join((decoder.faults.last, *decoder.faults.counts))
            if SECRET.decode() in told:
                raise broken(driver, f"a fault tells what the device said: {told!r:.200}", seed)
        counted |= decoder.faults.total > 0
    if not counted:
        raise broken(make(), "garbage between good messages is not counted in `faults`", seed)


def readings_of(items: Items) -> list[Reading]:
    return [item for item in items if isinstance(item, Reading)]


def feed(driver: Driver, decoder: Decoder, pieces: Iterable[bytes], seed: int) -> Items:
    out: Items = []
    for piece in pieces:
        try:
            out += decoder.feed(piece)
        except Exception as error:
            raise broken(driver, f"its decoder raised {error!r} on {piece[:64].hex()}", seed) from error
    return out


def broken(driver: Driver, what: str, seed: int | None = None) -> BrokenPromise:
    return BrokenPromise(f"{driver.name}: {what}" + (f" (seed {seed})" if seed is not None else ""))
