"""A message that makes the broker hang up must not block the lane for ever, nor may an innocent one be condemned."""

from __future__ import annotations

SUSPECT_AFTER = 2  # connections in a row that ended with the same message first in flight
CONDEMN_AFTER = 3  # hang-ups right after the suspect alone was sent on a link that was quiet and held
QUIET = 2.0  # seconds that the link must hold before the suspect is sent


class Poison:
    """Watches which message was first in flight when the broker hung up.

    The same one twice in a row makes it a suspect: it is then sent alone, after the link has held for QUIET seconds,
    so that a broker that kicks everybody condemns nobody. CONDEMN_AFTER such hang-ups condemn it.
    """

    def __init__(self) -> None:
        self.suspect: int | None = None
        self._first: int | None = None
        self._times = 0
        self._strikes = 0

    @property
    def watching(self) -> bool:
        """Whether some message is under suspicion at all."""
        return self._first is not None

    def hung_up(self, first: int | None, alone: bool) -> int | None:
        """The broker ended the connection; `first` = seq of the first message in flight, `alone` = it was sent alone.

        The seq of a message now condemned, or None.
        """
        if first is None:
            return None
        if self.suspect is not None:
            if first == self.suspect and alone:
                self._strikes += 1
                if self._strikes >= CONDEMN_AFTER:
                    self.acquit()
                    return first
            return None
        self._times = self._times + 1 if first == self._first else 1
        self._first = first
        if self._times >= SUSPECT_AFTER:
            self.suspect, self._strikes = first, 0
        return None

    def delivered(self, seq: int) -> None:
        """It was acknowledged or refused: the broker lives with it."""
        if seq in (self.suspect, self._first):
            self.acquit()

    def acquit(self) -> None:
        self.suspect = self._first = None
        self._times = self._strikes = 0
