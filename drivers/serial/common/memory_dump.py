"""Dumps of a device's memory: which records are stored already, where it numbers nothing and always sends all."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from gatepost.drivers.record_digests import RecordDigests, digest_of

SHARDS = 16  # bookmarks of one device, so that a new record rewrites a sixteenth of what is known: 8192 records in all
MAX_COUNTED = 20_000  # different records of one dump


class MemoryDump:
    """A record is known by a digest of what it says, not by its time: a clock that was set back loses nothing.

    With `twins` the same record twice in one dump is two records; then `begin` must be called before each dump, and
    nothing may be heard twice of one.
    """

    def __init__(self, bookmarks: Mapping[str, Any], twins: bool = False) -> None:
        self._twins = twins
        self._bookmarks = bookmarks
        self._known: dict[str, RecordDigests] = {}
        self._times: dict[bytes, int] = {}  # how often a record came in this dump

    def begin(self) -> None:
        """A new dump."""
        self._times.clear()

    def take(self, owner: str, *record: object) -> tuple[str, str] | None:
        """The bookmark of a record of the device `owner`, None when it was taken before."""
        digest = digest_of(repr((owner, *record)))
        if self._twins:
            times = self._times.get(digest, 0) + 1
            if times > 1 or len(self._times) < MAX_COUNTED:
                self._times[digest] = times
            if times > 1:
                digest = digest_of(repr((owner, *record, times)))
        name = f"{owner}/{sum(urlsafe_b64encode(digest)) % SHARDS:x}"
        if name not in self._known:
            self._known[name] = RecordDigests(self._bookmarks.get(name))
        known = self._known[name]
        return (name, known.dump()) if known.add(digest) else None
