"""Digests of stored records that were taken already, for devices whose records have no numbers that last."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Any

DIGEST_SIZE = 6  # octets; 8 characters of a bookmark
MAX_DIGESTS = 512  # of one bookmark


class RecordDigests:
    """Digests of the newest records, the oldest first, at most `most`; `dump` is their bookmark.

    A bookmark that is not theirs means that nothing was taken yet.
    """

    def __init__(self, bookmark: Any = None, most: int = MAX_DIGESTS) -> None:
        self._limit = most * DIGEST_SIZE
        self._digests = b""
        if isinstance(bookmark, str):
            try:
                packed = b64decode(bookmark.replace("-", "+").replace("_", "/"), validate=True)
            except (ValueError, binascii.Error):
                return
            self._digests = packed[-self._limit :] if len(packed) % DIGEST_SIZE == 0 else b""

    def dump(self) -> str:
        return urlsafe_b64encode(self._digests).decode("ascii")

    def take(self, *parts: Any) -> bool:
        """Whether a record of these parts (JSON) was not there before; it is from now on."""
        return self.add(digest_of(json.dumps(parts, sort_keys=True)))

    def add(self, digest: bytes) -> bool:
        """Whether the digest was not there before; it is from now on."""
        if digest in self:
            return False
        self._digests = (self._digests + digest)[-self._limit :]
        return True

    def __contains__(self, digest: bytes) -> bool:
        known = self._digests
        return any(known[at : at + DIGEST_SIZE] == digest for at in range(0, len(known), DIGEST_SIZE))

    def __len__(self) -> int:
        return len(self._digests) // DIGEST_SIZE


def digest_of(record: str) -> bytes:
    return blake2b(record.encode(), digest_size=DIGEST_SIZE).digest()
