"""Which records of a device's memory are stored already, for devices that number nothing and always send all of it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

DIGEST = 8  # characters of one record
SHARDS = 16  # bookmarks of one device, so that a new record rewrites a sixteenth of what is known
MAX_BOOKMARK = 512 * DIGEST  # characters of one bookmark: 8192 records of one device in all
MAX_COUNTED = 20_000  # different records of one dump


class RecordDigests:
    """A record is known by a digest of what it says, not by its time: a clock that was set back loses nothing.

    The bookmarks hold the digests, the newest last. With `twins` the same record twice in one dump is two records; then
    `begin` must be called before each dump, and nothing may be heard twice of one.
    """

    def __init__(self, bookmarks: Mapping[str, Any], twins: bool = False) -> None:
        self._twins = twins
        self._known = {name: text for name, text in bookmarks.items() if isinstance(text, str)}
        self._times: dict[str, int] = {}  # how often a record came in this dump

    def begin(self) -> None:
        """A new dump."""
        self._times.clear()

    def mark(self, owner: str, *record: object) -> tuple[str, str] | None:
        """The mark of a record of the device `owner`, None when it was taken before."""
        digest = _digest(owner, *record)
        if self._twins:
            times = self._times.get(digest, 0) + 1
            if times > 1 or len(self._times) < MAX_COUNTED:
                self._times[digest] = times
            if times > 1:
                digest = _digest(owner, *record, times)
        name = f"{owner}/{sum(digest.encode()) % SHARDS:x}"
        known = self._known.get(name, "")
        if digest in {known[i : i + DIGEST] for i in range(0, len(known), DIGEST)}:
            return None
        self._known[name] = (known + digest)[-MAX_BOOKMARK:]
        return name, self._known[name]


def _digest(*record: object) -> str:
    return urlsafe_b64encode(blake2b(repr(record).encode(), digest_size=6).digest()).decode()
