"""A device that is asked and says nothing, as the reason why a conversation ends."""

from __future__ import annotations

from enum import Enum


class NoAnswer(Exception):
    """Raised by a conversation: the port is there, the device behind it is not. `reason` as a link's failure has it."""

    class Why(Enum):
        SILENT = "silent"

    reason = Why.SILENT

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
