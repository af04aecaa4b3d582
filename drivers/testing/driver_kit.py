"""Test kit for authors of drivers: the promises of every serial driver, as functions that a test calls.

    from gatepost.drivers.testing.driver_kit import assert_driver

    def test_it_keeps_the_promises():
        assert_driver(AcmeThermometer)

`assert_driver` does all of it with what the driver's own twin says. Each promise has a function of its own, for other
options, octets that a real device said, or a closer look. All raise `BrokenPromise`, an AssertionError that says which
promise is broken and with which seed; the same seed gives the same run. No test runner is needed, nothing waits, and
nothing is real: time is virtual (virtual_session.py). Call them from a plain function, not from a coroutine.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec

from gatepost.drivers.driver import CommandFailed, Driver, SessionOver, Twin, WrongDevice
from gatepost.drivers.link import LinkFailed
from gatepost.drivers.reading import FROM_MEMORY, Reading, Reply
from gatepost.drivers.testing.contract_rules import BrokenPromise, amount, complaint, held
from gatepost.drivers.testing.hostile_octets import (
    MOST_HELD,
    Make,
    assert_bounded,
    assert_counts_faults,
    assert_pieces,
    assert_resyncs,
    assert_survives,
    assert_well_formed,
    broken,
    expected,
    feed,
    garbage,
    in_pieces,
)
from gatepost.drivers.testing.virtual_session import (
    ForbiddenWords,
    SessionStuck,
    VirtualLoop,
    VirtualSession,
    in_virtual_time,
    play,
    session,
)

__all__ = [
    "ENDINGS",
    "MOST_HELD",
    "BrokenPromise",
    "VirtualLoop",
    "VirtualSession",
    "amount",
    "assert_bounded",
    "assert_commands",
    "assert_conversation",
    "assert_counts_faults",
    "assert_driver",
    "assert_pieces",
    "assert_records_once",
    "assert_recovers",
    "assert_resyncs",
    "assert_survives",
    "assert_twin",
    "assert_well_formed",
    "complaint",
    "enough",
    "expected",
    "garbage",
    "held",
    "in_pieces",
    "in_virtual_time",
    "maker",
    "play",
    "session",
    "traffic",
]

ENOUGH = 20_000  # octets of traffic that `assert_driver` uses
ENDINGS = (SessionOver, WrongDevice, CommandFailed, LinkFailed, TimeoutError)  # what may end a conversation

T = TypeVar("T")


def traffic(make: Make, seconds: float = 30.0, seed: int = 0) -> list[bytes]:
    """What the driver's twin says in a session, piece by piece; Broken when the twin, the driver or their conversation
    fails, or when nothing is said."""
    driver = make()
    done = _session(driver, seconds, seed)
    if not done.chunks:
        raise broken(driver, f"its twin says nothing within {seconds:g} s", seed)
    return done.chunks


def assert_conversation(make: Make, seconds: float = 30.0, seed: int = 0) -> VirtualSession:
    """With its twin the driver comes to readings, says nothing forbidden, and its conversation fails in nothing."""
    driver = make()
    done = _session(driver, seconds, seed)
    _check_outcome(driver, done, seed)
    if not done.readings:
        raise broken(driver, f"with its twin there is no reading within {seconds:g} s", seed)
    if done.faults:
        raise broken(driver, f"it finds fault with its own twin: {done.faults}", seed)
    if done.records and not driver.keeps_records:
        raise broken(driver, "its readings carry bookmarks, and `keeps_records` is false", seed)
    assert_well_formed(driver, done.items)
    return done


def assert_recovers(make: Make, seconds: float = 30.0, seed: int = 0, rounds: int = 3) -> None:
    """A session full of noise may fail; the next one of the same driver, on a clean line, is as good as the first."""
    good = b"".join(traffic(make, seconds, seed))
    for number in range(rounds):
        driver = make()
        noisy = _Noisy(driver.twin(driver.options, seed), good, random.Random(seed + number))  # noqa: S311
        first, done = _ran(driver, _twice(driver, noisy, seconds), seed)
        _check_outcome(driver, first, seed, ENDINGS)
        _check_outcome(driver, done, seed)
        if not done.readings:
            raise broken(driver, "after a session full of noise the next one gives no reading", seed + number)


async def _twice(driver: Driver, noisy: _Noisy, seconds: float) -> tuple[VirtualSession, VirtualSession]:
    first = await play(driver, noisy, seconds)
    noisy.noise = False
    return first, await play(driver, noisy, seconds)


class _Noisy:
    """A twin on a bad line."""

    def __init__(self, twin: Twin, good: bytes, rng: random.Random) -> None:
        self.interval = twin.interval
        self.noise = True
        self._twin, self._good, self._rng = twin, good, rng

    def tick(self) -> bytes:
        return self._spoiled(self._twin.tick())

    def hear(self, data: bytes) -> bytes:
        return self._spoiled(self._twin.hear(data))

    def _spoiled(self, said: bytes) -> bytes:
        if not self.noise or not said or self._rng.random() < 0.3:
            return said
        if self._rng.random() < 0.3:
            return said[: self._rng.randrange(len(said))]
        return garbage(self._good, self._rng) + said + garbage(self._good, self._rng, 20)


def assert_records_once(make: Make, seconds: float = 300.0, seed: int = 0, most: int = 12) -> list[Reading]:
    """Stored records: with the bookmark of a record, exactly those after it are given; with the last, none. So many
    bookmarks are tried. Returns the records."""
    first = make()
    records = _session(first, seconds, seed).records
    if not records:
        raise broken(first, f"no stored record within {seconds:g} s", seed)
    rng = random.Random(seed)  # noqa: S311
    tried = {0, len(records) - 1, *(rng.randrange(len(records)) for _ in range(most - 2))}
    if any(FROM_MEMORY not in record.flags for record in records):
        raise broken(first, f"a stored record has not the flag {FROM_MEMORY}", seed)
    marks: dict[str, Any] = {}
    for i, record in enumerate(records):
        assert record.bookmark is not None
        marks = {**marks, record.bookmark[0]: record.bookmark[1]}
        if i not in tried:
            continue
        driver = make()
        driver.bookmarks = dict(marks)
        again = _session(driver, seconds, seed).records
        if again != records[i + 1 :]:
            text = f"with the bookmark of record {i + 1} of {len(records)} it gave not the later ones, but {len(again)}"
            raise broken(driver, text, seed)
    return records


def assert_commands(make: Make, seconds: float = 20.0, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Each of its commands, with its example parameters, is carried out by the twin. Returns the results by name."""
    results: dict[str, dict[str, Any]] = {}
    for command in type(make()).commands:
        driver = make()
        parameters = msgspec.convert(command.example, command.parameters)
        try:
            done = session(driver, driver.twin(driver.options, seed), seconds, (command.name, parameters))
        except Exception as error:
            raise broken(driver, f"its twin does not carry out {command.name!r}: {error!r}", seed) from error
        if not isinstance(done.result, dict) or complaint(Reply("result", done.result)):
            raise broken(driver, f"the result of {command.name!r} is no JSON object: {done.result!r:.200}", seed)
        results[command.name] = done.result
    return results


def assert_twin(make: Make, seed: int = 0) -> None:
    """The twin does the same for the same seed, and takes anything that is said to it."""
    driver = make()
    one, other = (driver.twin(driver.options, seed) for _ in range(2))
    if not one.interval > 0:
        raise broken(driver, "the `interval` of its twin is not positive", seed)
    rng = random.Random(seed)  # noqa: S311
    for _ in range(100):
        words = rng.randbytes(rng.randint(0, 40)) if rng.random() < 0.3 else b""
        said = [(twin.hear(words) if words else b"", twin.tick()) for twin in (one, other)]
        if not all(isinstance(part, bytes) for part in said[0]):
            raise broken(driver, "its twin says something that is not bytes", seed)
        if said[0] != said[1]:
            raise broken(driver, "its twin says different things with the same seed", seed)


def assert_driver(
    kind: type[Driver],
    options: dict[str, Any] | None = None,
    seconds: float = 30.0,
    seed: int = 0,
    rounds: int = 20,
    stored: bool = True,
) -> None:
    """All promises of a serial driver, with `options` as in a drop; default none, its example where it needs some.
    Not `stored`: its bookmarks are of live messages that come again, not of records in the device's memory."""
    if kind.transport in ("ble", "mqtt"):
        raise BrokenPromise(f"{kind.name}: the kit is for drivers whose decoder takes octets, not {kind.transport}")
    make = maker(kind, options)
    for question in kind.scan_hints.probes:
        if rule := make().violation(question.request):
            raise BrokenPromise(f"{kind.name}: a scan would ask {question.request!r}, which its rule {rule!r} forbids")
    assert_twin(make, seed)
    done = assert_conversation(make, seconds, seed)
    chunks = enough(done.chunks)
    assert_pieces(make, chunks, seed, max(2, rounds // 4))
    assert_survives(make, chunks, seed, rounds)
    if amount(feed(make(), make().decoder(), chunks, seed)):
        assert_resyncs(make, chunks, seed, rounds)
    assert_recovers(make, seconds, seed, 1)  # alone where the decoder takes only what the conversation asked for
    assert_bounded(make, chunks, seed)
    assert_counts_faults(make, chunks, seed)
    if done.records and stored:
        assert_records_once(make, seconds, seed)


def enough(chunks: list[bytes]) -> list[bytes]:
    """The beginning of a long session: what is enough to judge by."""
    total = 0
    for i, chunk in enumerate(chunks):
        total += len(chunk)
        if total > ENOUGH:
            return chunks[: i + 1]
    return chunks


def maker(kind: type[Driver], options: dict[str, Any] | None = None) -> Make:
    """Makes the driver with `options` as in a drop; default none, or its example where it needs some. Broken when they
    are wrong, or the example is."""
    example = _converted(kind, kind.example_options)
    if options is None:
        try:
            wanted = msgspec.convert({}, kind.options_type)
        except msgspec.ValidationError:
            wanted = example
    else:
        wanted = _converted(kind, options)
    return lambda: kind(wanted)


def _converted(kind: type[Driver], options: dict[str, Any]) -> Any:
    try:
        return msgspec.convert(options, kind.options_type)
    except msgspec.ValidationError as error:
        raise BrokenPromise(f"{kind.name}: these options are wrong: {error}") from error


def _session(driver: Driver, seconds: float, seed: int) -> VirtualSession:
    return _ran(driver, play(driver, driver.twin(driver.options, seed), seconds), seed)


def _ran(driver: Driver, work: Coroutine[Any, Any, T], seed: int) -> T:
    try:
        return in_virtual_time(work)
    except (ForbiddenWords, SessionStuck) as error:
        raise broken(driver, str(error), seed) from error
    except Exception as error:
        raise broken(driver, f"its session with its twin failed: {error!r}", seed) from error


def _check_outcome(
    driver: Driver, done: VirtualSession, seed: int, allowed: tuple[type[Exception], ...] = (SessionOver,)
) -> None:
    if done.outcome is not None and not isinstance(done.outcome, allowed):
        raise broken(driver, f"its session with its twin ended: {done.outcome!r}", seed) from done.outcome
