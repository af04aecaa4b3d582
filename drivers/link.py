"""Link to a device: its protocol, its events, and its failure as data: a reason to branch on, a sentence and a hint.

Links: drivers/serial/port/link.py, drivers/onewire/link.py, drivers/ble/link/. Each explains in its own `link_errors`
what pyserial, the kernel or BlueZ raised.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, Protocol


class Reason(Enum):
    """Reason of a LinkFailed; callers branch on it, never on the text. See docs/drivers.md, docs/bluetooth.md."""

    MISSING = "missing"
    PERMISSION = "permission"
    BUSY = "busy"
    TIMEOUT = "timeout"
    SETTINGS = "settings"
    IO = "io"
    SILENT = "silent"  # the link is open, the device behind it does not answer
    STORE = "store"  # the bookmarks of the device cannot be read
    NO_SERVICE = "no-bluetooth-service"
    NO_ADAPTER = "no-adapter"
    ADAPTER_OFF = "adapter-off"
    SCAN = "scan-failed"
    SLOT = "waiting-for-slot"
    GONE = "gone"
    DROPPED = "dropped"
    IN_PROGRESS = "in-progress"
    PAIRING = "pairing"
    BOND_LOST = "bond-lost"
    RADIO = "radio"


class LinkFailed(Exception):
    """A link could not be opened, was lost, or did not do what was asked."""

    def __init__(self, reason: Reason, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint


class LinkMemory(Protocol):
    """Small durable state of one link, as JSON. Both raise whatever the store raises."""

    async def load(self) -> tuple[Any, list[Any]]:
        """What was kept for this link (None = nothing), and for those of the other configured devices."""
        ...

    async def keep(self, state: Any) -> None: ...


class LinkEvents(NamedTuple):
    """Callbacks of a link, called on the event loop between `open` and `close`, and its memory."""

    data: Callable[[Any], Any]  # bytes, a GattValue, ReceivedAdvert or MqttMessage; False: nobody is there to take it
    lost: Callable[[Exception | None], None]  # once, when the connection goes by itself
    waiting: Callable[[str, str, str], None]  # while `open` waits: a stable key, a sentence, a hint
    known: Callable[[dict[str, Any]], None]  # parts of the device's status: signal_strength (dBm), battery (%)
    memory: LinkMemory | None = None
    presence: Callable[[str, str, str], None] = lambda *_: None  # online, offline or error, key, sentence: see below


class Link(Protocol):
    """Link to one device, opened again after it was lost. Every await is bounded, but for an `open` that waits for a
    sleepy device to show itself and says so (`LinkEvents.waiting`). Raises LinkFailed.

    A link with a true `tells_presence` stays open while its device comes and goes, and says so (`LinkEvents.presence`).
    It is told with `expect()` that the device is configured, before the first `open`: what comes for it from then on
    waits until it is open.
    One with `retire()` holds something between two openings, which it gives back when its device is removed.
    """

    @property
    def can_pause(self) -> bool: ...

    async def open(self, timeout: float) -> None: ...

    def pause(self) -> None:
        """Take nothing more from the device until `resume`."""
        ...

    def resume(self) -> None: ...

    async def send(self, data: bytes, timeout: float) -> None: ...

    async def close(self, timeout: float) -> None:
        """Also after a failed or cancelled `open`; never raises for a port that is gone."""
        ...

    async def usable_again(self) -> None:
        """Returns when what kept it from being opened is over, as an adapter that was missing: the pause before the
        next attempt ends then. It may never return."""
        ...

    def counters(self) -> dict[str, int]:
        """Errors that the hardware counted, by kind."""
        ...
