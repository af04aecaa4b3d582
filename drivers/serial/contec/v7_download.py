"""Contec protocol V7: fetch what the device has stored, while its live data rests.

The order is that of the paper: identity, count of segments, start and length of each, then the data of those that are
not stored yet. A segment is known by its start, its length and its user; nothing is ever deleted.
"""

from __future__ import annotations

from collections.abc import Collection, MutableMapping
from datetime import datetime
from typing import Any, NamedTuple

from gatepost.drivers.driver import CommandFailed, DeviceIO
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.serial.contec import v7_packets as v7
from gatepost.drivers.serial.contec import v7_queries as talking
from gatepost.drivers.serial.contec.records import (
    LONGEST,
    ContecDownload,
    StoredRecording,
    TakenOctets,
    gather,
    hand_over,
    settle,
)
from gatepost.drivers.serial.contec.v7_segments import record_reading, start_of

SEGMENT_TRIES = 3  # of a segment whose octets do not come whole
RECORDS = "stored records"


class V7Segment(NamedTuple):
    """What the device says of one. `start` is None when its clock said no date."""

    user: int
    number: int
    start: datetime | None
    told: str  # the start as the device told it
    length: int

    @property
    def identity(self) -> str:
        return f"{self.told}/{self.length}"


class DownloadNotes(NamedTuple):
    """Where it is noted what was taken."""

    bookmarks: MutableMapping[str, Any]
    mark: str
    taken: TakenOctets


class FetchedRecords(NamedTuple):
    """How much was there, and how much of it was new."""

    recordings: int
    records: int


async def fetch(
    io: DeviceIO, download: ContecDownload, bookmarks: MutableMapping[str, Any], users: Collection[int]
) -> FetchedRecords:
    """Every stored record that the bookmarks do not know. TimeoutError when the device does not answer, CommandFailed
    when it refuses (`recording`), or `incomplete` when a segment would not come whole."""
    name = await _name(io)
    recordings = records = 0
    for user in users:
        mark = f"stored:{name}:{user}" if name else f"stored:{user}"
        segments = [
            segment for number in range(await _count(io, user)) if (segment := await _segment(io, user, number))
        ]
        taken = TakenOctets.read(bookmarks.get(mark)).only({segment.identity for segment in segments})
        for segment in segments:
            if taken.octets.get(segment.identity, 0) < segment.length:
                records += await _take(io, download, segment, DownloadNotes(bookmarks, mark, taken))
                taken.octets[segment.identity] = segment.length
        recordings += len(segments)
    return FetchedRecords(recordings, records)


async def _name(io: DeviceIO) -> str:
    """The device's identity; some units have none."""
    try:
        told = (await talking.identity(io))["id"]
    except TimeoutError:
        return ""
    name = "".join(letter for letter in told if letter.isprintable()).strip()
    if name:
        io.update_status(serial_number=name)
    return name


async def _count(io: DeviceIO, user: int) -> int:
    def count(reply: Reply) -> int | None:
        return reply.fields["segments"] if reply.kind == "segments" and reply.fields["user"] == user else None

    return await talking.question(io, v7.ASK_SEGMENTS, bytes((user,)), count)


async def _segment(io: DeviceIO, user: int, number: int) -> V7Segment | None:
    """Start and length; None for one that is empty, or too long to be true."""
    which = {"user": user, "segment": number}
    parts: dict[str, dict[str, Any]] = {}

    def start(reply: Reply) -> bool | None:
        if reply.kind in ("start-date", "start-time") and which.items() <= reply.fields.items():
            parts[reply.kind] = reply.fields
        return True if len(parts) == 2 else None

    def length(reply: Reply) -> int | None:
        return reply.fields["length"] if reply.kind == "length" and which.items() <= reply.fields.items() else None

    arguments = bytes((user, number))
    await talking.question(io, v7.ASK_START, arguments, start)
    octets = await talking.question(io, v7.ASK_LENGTH, arguments, length)
    if not 0 < octets <= LONGEST:
        return None
    date, time = parts["start-date"], parts["start-time"]
    told = "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}".format(**{**date, **time})
    return V7Segment(user, number, start_of(date, time), told, octets)


async def _take(io: DeviceIO, download: ContecDownload, segment: V7Segment, notes: DownloadNotes) -> int:
    """The records of one segment that are not stored yet; how many."""
    try:
        await _gather(io, download, segment)

        def make(number: int, octets: bytes) -> Reading:
            return record_reading(number, octets, segment.start)

        recording = StoredRecording(*notes[:2], segment.identity, notes.taken, segment.length, download.size, make)
        return await hand_over(io, download, recording, RECORDS)
    finally:
        download.forget()


async def _gather(io: DeviceIO, download: ContecDownload, segment: V7Segment) -> None:
    for _ in range(SEGMENT_TRIES):
        download.expect(segment.length)
        await io.send(v7.encode_packet(v7.ASK_STORED, bytes((segment.user, segment.number))))
        try:
            whole = await gather(io, download, RECORDS, 2 * talking.ANSWER_TIMEOUT, _refused)
        except TimeoutError:
            whole = False
        try:
            await talking.order(io, v7.STOP_STORED)
        except TimeoutError:  # one that has ended already need not answer
            await settle(io)
        if whole:
            return
    raise CommandFailed("incomplete", f"a stored segment did not come whole in {SEGMENT_TRIES} tries")


def _refused(item: Reading | Reply) -> None:
    talking.feedback_to(v7.ASK_STORED, item)
