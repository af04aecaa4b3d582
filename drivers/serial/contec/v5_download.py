"""Contec five-octet protocol: fetch the recording that the device has stored.

F5 F5 asks for it, F6 F6 F6 ends it. The answer comes between live frames: a header, its length, a record for each
second. It has neither time nor name, so a recording is known by a digest of itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, MutableMapping
from typing import Any

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, DeviceIO
from gatepost.drivers.reading import FROM_MEMORY, UNCERTAIN, Reading, measured
from gatepost.drivers.serial.contec.records import ContecDownload, StoredRecording, TakenOctets, gather, hand_over
from gatepost.drivers.serial.contec.v5_frames import (
    END_STORED,
    READ_STORED,
    RECORD,
    STORED_HEADER,
    decode_record,
    stored_length,
)

MARK = "stored"
MOST_RECORDINGS = 16  # that are remembered: more than one device may come to the port in turn
TRIES = 3
ANSWER = 2.0  # seconds without an octet of the answer
RECORDS = "stored records"
UNITS = {"spo2": "%", "heart_rate": "/min"}


class StoredSplitter:
    """Parts the octets of a stored recording that was asked for from live data. Holds less than one header."""

    def __init__(self, download: ContecDownload) -> None:
        self.heard = False  # whether the last `split` saw something of a recording
        self._download = download
        self._held = b""

    def split(self, data: bytes) -> Iterator[bytes]:
        """The live data in `data`; the rest goes to the download."""
        self.heard = False
        data, self._held = self._held + data, b""
        while data:
            download = self._download
            if download.listening:
                take = data[: download.wanted - download.received]
                data = data[len(take) :]
                self.heard = True
                if _wrong(take, download.received):
                    download.damage()
                else:
                    download.add(take, RECORD)
            elif download.armed:
                at = _header(data)
                if at:
                    yield data[:at]
                data = data[at:]
                whole = len(STORED_HEADER) + 3
                if len(data) < whole:
                    self._held = data
                    return
                self.heard = True
                self._begin(data[whole - 3 : whole])
                data = data[whole:]
            else:
                yield data
                return

    def _begin(self, octets: bytes) -> None:
        try:
            length = stored_length(octets)
        except FrameError:
            length = 1
        if length % RECORD:
            self._download.damage()
        else:
            self._download.begin(length, RECORD)


def _header(data: bytes) -> int:
    """Where a header begins, or may begin when more comes; the end of the data when it does not."""
    at = data.find(STORED_HEADER)
    if at >= 0:
        return at
    for length in range(min(len(STORED_HEADER) - 1, len(data)), 0, -1):
        if data.endswith(STORED_HEADER[:length]):
            return len(data) - length
    return len(data)


def _wrong(octets: bytes, at: int) -> bool:
    """Whether these cannot be the octets of records from position `at` on."""
    for i, octet in enumerate(octets, at):
        place = i % RECORD
        if (octet & 0xFE != 0xF0) if place == 0 else bool(octet & 0x80) != (place == 1):
            return True
    return False


async def fetch(io: DeviceIO, download: ContecDownload, bookmarks: MutableMapping[str, Any]) -> int:
    """Every record that is not stored yet; how many. TimeoutError when the device does not answer, CommandFailed
    `incomplete` when the recording would not come whole."""
    try:
        await _gather(io, download)
        content = download.content
        identity = hashlib.sha256(content).hexdigest()[:16]
        taken = TakenOctets.read(bookmarks.get(MARK)).newest(MOST_RECORDINGS - 1)
        remark = f"recording-{identity[:8]}"

        def make(number: int, octets: bytes) -> Reading:
            return record_reading(number, octets, remark)

        recording = StoredRecording(bookmarks, MARK, identity, taken, len(content), RECORD, make)
        return await hand_over(io, download, recording, RECORDS)
    finally:
        download.forget()


async def _gather(io: DeviceIO, download: ContecDownload) -> None:
    for attempt in range(TRIES):
        download.arm()
        await io.send(READ_STORED)
        try:
            if await gather(io, download, RECORDS, ANSWER):
                return
        except TimeoutError:
            if download.armed and attempt == TRIES - 1:
                raise
        finally:
            await io.send(END_STORED)
    raise CommandFailed("incomplete", f"the stored recording did not come whole in {TRIES} tries")


def record_reading(number: int, octets: bytes, remark: str) -> Reading:
    """A stored record as a reading; `sequence_number` is its second in the recording."""
    record = decode_record(octets)
    values = {"spo2": record["spo2"], "heart_rate": record["pulse_rate"]}
    reading = measured("pulse_oximetry", values, UNITS, "no-signal", partial=UNCERTAIN)
    reading.values["sequence_number"] = number
    reading.flags = (FROM_MEMORY, remark, *reading.flags)
    return reading
