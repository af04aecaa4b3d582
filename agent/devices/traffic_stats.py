"""Traffic statistics of a device: when it was last heard, how often as a rule, how many faults lately. No timers."""

from __future__ import annotations

MIN_GAPS = 4  # gaps that say nothing of a habit yet
WEIGHT = 8  # of the last gap: one part in so many
LONGEST_GAP_FACTOR = 4  # times the usual gap: a longer one counts as that for what is usual
FADE = 0.98  # for each further gap: a device that speaks in bursts is used to its pauses, one pause is soon forgotten
RECENT_SPAN = 60_000_000  # microseconds: `recent` looks back over one to two of these


class TrafficStats:
    """Traffic of one device. Times are microseconds of the stamp's monotonic clock. `heard` for every chunk of
    bytes, `spoke` for every chunk in which something could be decoded."""

    __slots__ = ("_began", "_gaps", "_last", "_longest", "_mark", "_now", "_spoke", "_then", "_usual")

    def __init__(self) -> None:
        self._began = 0  # the session
        self._last = 0  # the newest byte; 0 = none yet
        self._spoke = 0  # the newest that could be decoded, in this session
        self._gaps = 0
        self._usual = 0.0
        self._longest = 0.0
        self._mark = 0  # when faults were counted last
        self._now = 0  # how many there were then
        self._then = 0  # and the time before

    def begin(self, now: int) -> None:
        """A session: the gap before it is none of the device's."""
        self._began = now
        self._spoke = 0

    def heard(self, now: int) -> bool:
        """Whether it is time to `count` faults."""
        self._last = now
        return now - self._mark >= RECENT_SPAN

    def spoke(self, now: int) -> None:
        before, self._spoke = self._spoke, now
        if before:
            gap: float = now - before
            self._gaps += 1
            longest = self._longest * FADE
            self._longest = gap if gap > longest else longest
            usual = self._usual
            if self._gaps == 1:
                self._usual = gap
            else:
                if gap > LONGEST_GAP_FACTOR * usual:
                    gap = LONGEST_GAP_FACTOR * usual
                self._usual = usual + (gap - usual) / WEIGHT

    def count(self, now: int, faults: int) -> None:
        self._then = self._now if now - self._mark < 2 * RECENT_SPAN else faults
        self._mark, self._now = now, faults

    def quiet_for(self, now: int, online: bool) -> float | None:
        """Seconds since the last byte; of a device that is there and never said one, since it was opened."""
        since = self._last or (self._began if online else 0)
        return max(0, now - since) / 1_000_000 if since else None

    @property
    def usual_gap(self) -> float | None:
        """Seconds between two readings (or answers) as a rule, pauses included; None = that is not known yet."""
        return max(self._usual, self._longest) / 1_000_000 if self._gaps >= MIN_GAPS else None

    def recent(self, now: int, faults: int) -> int:
        """How many of the faults came within the last one to two minutes."""
        age = now - self._mark
        return 0 if age >= 2 * RECENT_SPAN else faults - (self._now if age >= RECENT_SPAN else self._then)
