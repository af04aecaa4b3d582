"""Recordings of Contec oximeters on their way into the gateway, both generations.

A recording is gathered whole at the speed of the line, because neither protocol has a checksum: only one whose length
is right is believed. Then its records are let through in batches, each batch once the one before is on disk. So a
lost octet never shifts the times of records, and a slow disk never costs octets. 24 hours are 346 kB at most.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping
from typing import Any, NamedTuple

from gatepost.drivers import stored_batches
from gatepost.drivers.driver import DeviceIO
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.waveforms import WaveformChannel

FRAME_RATE = 60.0  # Hz, of live data
PLETH = (WaveformChannel("pleth", "{raw}"),)
LONGEST = 2_097_152  # octets of one recording: what the older protocol can say, and six days of the newer one
BATCH = 250  # records from one call of the decoder
WINDOW = 8  # batches that may be on their way to the disk
QUIET = 0.5  # seconds without an octet after which a device has said what it had to say
MOST_CHUNKS = 10_000  # that may still come of an answer that is not wanted any more
PROGRESS = "stored-progress"  # the reply that tells of arriving data

Make = Callable[[int, bytes], Reading]  # number of the record, its octets -> reading without a mark


class TakenOctets(NamedTuple):
    """The value of a bookmark: of each recording (identity) how many octets are stored. Bounded by its maker."""

    octets: dict[str, int]

    @classmethod
    def read(cls, value: Any) -> TakenOctets:
        """What a bookmark says; anything strange is nothing."""
        if not isinstance(value, list):
            return cls({})
        pairs = (pair for pair in value if isinstance(pair, list) and len(pair) == 2)
        return cls({name: octets for name, octets in pairs if isinstance(name, str) and isinstance(octets, int)})

    def only(self, identities: Collection[str]) -> TakenOctets:
        """Without the recordings that are not on the device any more."""
        return TakenOctets({name: octets for name, octets in self.octets.items() if name in identities})

    def newest(self, most: int) -> TakenOctets:
        """The recordings that were taken last."""
        return TakenOctets(dict(list(self.octets.items())[-most:]))

    def without(self, identity: str) -> list[list[str | int]]:
        """As JSON, but for one recording that is written anew."""
        return [[name, octets] for name, octets in self.octets.items() if name != identity]


class StoredRecording(NamedTuple):
    """What must be known of a recording to give its records. `size`: octets of a record. What was given is noted in
    `bookmarks` at once, so that nothing is given twice in a session either."""

    bookmarks: MutableMapping[str, Any]
    mark: str
    identity: str
    taken: TakenOctets
    length: int
    size: int
    make: Make

    @property
    def records(self) -> int:
        return self.length // self.size

    @property
    def first(self) -> int:
        """The first record that is not stored yet."""
        octets = self.taken.octets.get(self.identity, 0)
        return self.records if octets >= self.length else octets // self.size


class ContecDownload:
    """Shared by a decoder, which fills and drains it, and a conversation, which says what is wanted."""

    def __init__(self) -> None:
        self.wanted = 0  # octets; 0 = nothing is expected and what comes is ignored
        self.armed = False  # the older protocol: an answer that begins with its length is expected
        self.damaged = False
        self.size = 0  # octets of a record, told by the kind of packet
        self._data = bytearray()
        self._recording: StoredRecording | None = None
        self._next = 0

    # -- the conversation

    def expect(self, octets: int) -> None:
        """Nothing has come yet of a recording of so many octets."""
        self.forget()
        self.wanted = octets

    def arm(self) -> None:
        self.forget()
        self.armed = True

    def forget(self) -> None:
        self.wanted = self.size = self._next = 0
        self.armed = self.damaged = False
        self._data = bytearray()
        self._recording = None

    @property
    def received(self) -> int:
        return len(self._data)

    @property
    def complete(self) -> bool:
        return self.wanted > 0 and len(self._data) >= self.wanted and not self.damaged

    @property
    def content(self) -> bytes:
        return bytes(self._data[: self.wanted])

    def offer(self, recording: StoredRecording) -> None:
        """From now on every `feed(b"")` of the decoder gives a batch of its records."""
        self._recording = recording
        self._next = recording.first

    @property
    def left(self) -> int:
        return 0 if self._recording is None else self._recording.records - self._next

    # -- the decoder

    @property
    def listening(self) -> bool:
        return self.wanted > 0 and len(self._data) < self.wanted and not self.damaged

    def add(self, data: bytes, size: int) -> None:
        """Octets of records of `size` octets. All records of a recording have the same."""
        if not self.listening:
            return
        if self.size not in (0, size):
            self.damaged = True
            return
        self.size = size
        self._data += data

    def begin(self, octets: int, size: int) -> None:
        """The device named the length of what it was asked for."""
        self.armed = False
        self.wanted, self.size = octets, size

    def damage(self) -> None:
        """Octets were lost: what was gathered is of no use."""
        if self.armed or self.listening:
            self.armed, self.damaged = False, True

    def state(self) -> Reply:
        return Reply(PROGRESS, {"received": self.received, "wanted": self.wanted, "damaged": self.damaged})

    def drain(self) -> list[Reading | Reply]:
        """The next batch of what is offered."""
        recording = self._recording
        if recording is None:
            return []
        out: list[Reading | Reply] = []
        others, size = recording.taken.without(recording.identity), recording.size
        for number in range(self._next, min(self._next + BATCH, recording.records)):
            reading = recording.make(number, bytes(self._data[number * size : (number + 1) * size]))
            octets = recording.length if number == recording.records - 1 else (number + 1) * size
            reading.bookmark = (recording.mark, [*others, [recording.identity, octets]])
            out.append(reading)
            recording.bookmarks[recording.mark] = reading.bookmark[1]
        self._next += len(out)
        return out


def _arrived(item: Reading | Reply) -> Reply | None:
    return item if isinstance(item, Reply) and item.kind == PROGRESS else None


async def gather(
    io: DeviceIO,
    download: ContecDownload,
    what: str,
    patience: float,
    refused: Callable[[Reading | Reply], None] | None = None,
) -> bool:
    """Until the expected recording is there, while its octets keep coming; whether it came undamaged. TimeoutError
    when nothing came for `patience` seconds; what `refused` raises."""

    def told(item: Reading | Reply) -> Reply | None:
        if refused is not None:
            refused(item)
        return _arrived(item)

    while not download.complete and not download.damaged:
        await io.wait(told, patience)
        io.progress(what, download.received, download.wanted or None)
    return not download.damaged


async def settle(io: DeviceIO) -> None:
    """Until no stored octets come any more: what is left of one answer must not begin the next. TimeoutError when they
    do not end."""
    for _ in range(MOST_CHUNKS):
        try:
            await io.wait(_arrived, QUIET)
        except TimeoutError:
            return
    raise TimeoutError


async def hand_over(io: DeviceIO, download: ContecDownload, recording: StoredRecording, what: str) -> int:
    """Let the new records of a gathered recording through; how many. SessionOver when the store does not take them."""
    download.offer(recording)
    new = download.left
    await stored_batches.hand_over(io, download, b"", window=WINDOW, what=what, total=recording.records)
    download.forget()
    return new
