"""Records without numbers, which a device keeps and sends again: each is reported once.

Two are the same when device time, user and every value are. Without a device time nobody can tell a repetition from a
new measurement that came out the same: then each one is reported.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.stored_records.racp_procedure import record
from gatepost.drivers.reading import FROM_MEMORY, Reading
from gatepost.drivers.record_digests import MAX_DIGESTS, RecordDigests

OLD_AFTER = timedelta(minutes=10)  # a measurement older than this, by the device's own clock, comes from its memory
MOST_USERS = 256


class UnnumberedRecords:
    """Records without numbers. `device_clock`: what the device's clock said when it was connected, where that is
    known."""

    def __init__(self, memory: ProfileMemory, kind: str, most: int = MAX_DIGESTS) -> None:
        """`most`: measurements of one user that are remembered; more than the device keeps."""
        self.device_clock: datetime | None = None
        self._memory = memory
        self._kind = kind
        self._most = most
        self._seen: dict[str, RecordDigests] = {}

    def give(self, reading: Reading, beside: str = "") -> Items:
        """The reading with its mark, or a remark that it is known. `beside` tells apart what the reading does not."""
        if reading.device_time is None and not beside:
            return [reading]
        user = reading.values.get("user_id")
        name = self._memory.mark(self._kind if user is None else f"{self._kind}-{user}")
        seen = self._seen.get(name)
        if seen is None:
            if len(self._seen) >= MOST_USERS:
                self._seen.clear()
            seen = self._seen[name] = RecordDigests(self._memory.bookmarks.get(name), self._most)
        if not seen.take(reading.metric, reading.device_time, reading.values, beside):
            return [record(known=True)]
        reading.bookmark = (name, seen.dump())
        if self._is_old(reading) and FROM_MEMORY not in reading.flags:
            reading.flags = (*reading.flags, FROM_MEMORY)
        return [reading]

    def _is_old(self, reading: Reading) -> bool:
        if self.device_clock is None or reading.device_time is None:
            return False
        return datetime.fromisoformat(reading.device_time) < self.device_clock - OLD_AFTER


class UnnumberedProfile(GattProfile):
    """Profile of records without numbers. `kind` names their bookmarks; `most` of one user are remembered."""

    kind: ClassVar[str]
    most: ClassVar[int] = MAX_DIGESTS

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._records = UnnumberedRecords(memory, self.kind, self.most)

    async def prepare(self, session: ProfileSession) -> None:
        self._records.device_clock = session.device_clock
