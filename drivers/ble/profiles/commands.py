"""Commands that several BLE drivers share."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from gatepost.drivers.driver import Command, SyncTime


class ReadStored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fetch stored records."""

    all: Annotated[
        bool, Meta(description="ask for all of them again; what was stored before is not reported twice")
    ] = False


SYNC_TIME = Command("sync_time", "Set the device's clock", SyncTime, 15.0, {"time": "2026-11-20T10:30:00"})
READ_STORED = Command("read_stored", "Fetch the records that are new in its memory", ReadStored, 600.0, {"all": True})
