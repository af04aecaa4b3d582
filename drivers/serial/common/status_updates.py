"""Status updates of a decoder (low battery, serial number), on their way into the device's status."""

from __future__ import annotations

from typing import Any

from gatepost.drivers.driver import DeviceIO
from gatepost.drivers.reading import Reading, Reply

KNOWN = "known"
WAIT_TIMEOUT = 3600.0  # seconds between two looks at nothing


class StatusUpdates:
    """Gives a reply when something is learned for the first time, or has changed."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def learn(self, **known: Any) -> list[Reply]:
        """None is nothing to learn."""
        fresh = {name: value for name, value in known.items() if value is not None and self._known.get(name) != value}
        self._known |= fresh
        return [Reply(KNOWN, fresh)] if fresh else []


async def follow(io: DeviceIO) -> None:
    """Tell what the decoder learns, as long as the session lasts."""
    while True:
        try:
            io.update_status(**await io.wait(_known, WAIT_TIMEOUT))
        except TimeoutError:
            continue


def _known(item: Reading | Reply) -> dict[str, Any] | None:
    return item.fields if isinstance(item, Reply) and item.kind == KNOWN else None
